"""Plugins: find them, load them, call them so that a bad one loses only its own result, disable it when it stays bad.

A plugin is found by the entry-point group `inkling.plugins`. It is disabled, with a reason for the user, when it does
not import, is not what an entry point promises, or fails `FAILURES` times in a row. A failure is an exception, a
result of the wrong type, no result in time, or the event loop blocked; an `InklingError` is no failure but the
plugin's own way to say why there is nothing.

* `entry`  one plugin as the host knows it, and what makes a class one;
* `call`   one call of one method: what came, what did not and why, how long the event loop was held;
* `host`   all plugins of a session.
"""

from inkling.plugins.call import Outcome
from inkling.plugins.entry import Entry, Method
from inkling.plugins.host import FAILURES, Host, Listener

__all__ = ["FAILURES", "Entry", "Host", "Listener", "Method", "Outcome"]
