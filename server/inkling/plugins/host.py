"""All plugins of a session: loaded, switched, asked, disabled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any, Protocol, TypeVar

from inkling.api import InklingError, Nothing
from inkling.eager import begin
from inkling.plugins.call import Outcome, WrongTypeError, contained, drive
from inkling.plugins.entry import Entry, Method, NotAPluginError, find, is_name, surfaces_of

T = TypeVar("T")
SLICE_S = 0.25
FAILURES = 3
BLOCKED_S = 2.0
"""Seconds that a plugin may keep the event loop to itself before that counts as a failure; its result stands."""


class Listener(Protocol):
    """Who is told about plugins."""

    def loaded(self, entry: Entry) -> None:
        """It was imported; give it its settings and handles. What this raises disables it."""
        ...

    def failed(self, entry: Entry, kind: str, failure: str, error: BaseException | None) -> None:
        """A call went wrong."""
        ...

    def disabled(self, entry: Entry) -> None:
        """It is asked no more."""
        ...


class Host:
    """The plugins of one session, in the order in which they are asked: added ones first, then those that ship."""

    def __init__(self, listener: Listener) -> None:
        self.entries: list[Entry] = []
        self.listener = listener
        self._strays: set[asyncio.Task[Any]] = set()

    def load(self, enabled: Callable[[str], str], points: Iterable[EntryPoint] | None = None) -> None:
        """Import all plugins; `enabled(name)` gives a reason not to, or an empty string. Never raises."""
        for point in find() if points is None else points:
            entry = Entry(point.name, point.dist.name if point.dist is not None else "", point)
            self.entries.append(entry)
            if not is_name(point.name):
                entry.disable("bad-name", "A plugin's name is lower-case words joined by underscores.")
                self.listener.disabled(entry)
            elif any(other.name == point.name for other in self.entries[:-1]):
                entry.disable("name-taken", f"Another plugin is named {point.name}.")
                self.listener.disabled(entry)
            else:
                entry.disable("disabled", "")
        self.review(enabled)

    def review(self, enabled: Callable[[str], str]) -> None:
        """Switch plugins off and on as the settings now say; one that is switched on later is imported then."""
        for entry in self.entries:
            why = enabled(entry.name)
            if why and entry.ready:
                entry.disable("disabled", why)
            elif why and entry.reason == "disabled":
                entry.detail = why
            elif entry.reason == "disabled":
                entry.state, entry.reason, entry.detail, entry.failures = "ready", "", "", 0
                if entry.plugin is None:
                    self._import(entry)

    def _import(self, entry: Entry) -> None:
        try:
            plugin_class = entry.point.load()
            surfaces = surfaces_of(entry, plugin_class)
            entry.plugin = plugin = plugin_class()
            entry.methods = tuple(Method(surface, getattr(plugin, name)) for name, surface in surfaces)
            self.listener.loaded(entry)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except NotAPluginError as error:
            entry.disable("not-a-plugin", str(error))
        except BaseException as error:
            entry.disable("import-failed", f"It does not load: {type(error).__name__}.")
            self.listener.failed(entry, "import", "import-failed", error)
        if not entry.ready:
            self.listener.disabled(entry)

    def ready(self, kind: str, language: str | None = None) -> list[tuple[Entry, Method]]:
        """Who to ask for a surface, in order."""
        return [(entry, method) for entry in self.entries if entry.ready for method in entry.of_kind(kind, language)]

    def named(self, kind: str, name: str, plugin: str | None = None) -> tuple[Entry, Method] | None:
        """The resolver or command of a name."""
        for entry, method in self.ready(kind):
            if method.surface.name == name and plugin in (None, entry.name):
                return entry, method
        return None

    @property
    def strays(self) -> int:
        """Calls that were given up and have not ended."""
        return len(self._strays)

    async def call(
        self,
        entry: Entry,
        method: Method,
        arguments: Sequence[Any],
        accept: Callable[[Any], T],
        *,
        timeout_s: float,
        keywords: Mapping[str, Any] | None = None,
        on_item: Callable[[T], None] | None = None,
        waits_for_engine: Callable[[], bool] = lambda: False,
    ) -> Outcome[T]:
        """Call one method and collect what it returns or yields, each item through `accept`, which may raise.

        Cancelling ends at once and reaches the plugin; so does the time limit. What a plugin that ignores them does
        later is lost. Time spent waiting for the engine is not held against the plugin.
        """
        outcome: Outcome[T] = Outcome(entry.name)
        task = begin(drive(entry, method, arguments, keywords or {}, accept, outcome, on_item))
        if not task.done():
            self._strays.add(task)
            task.add_done_callback(self._strays.discard)
            try:
                await _wait(task, timeout_s)
            except asyncio.CancelledError:
                task.cancel()
                raise
        if not task.done():
            task.cancel()
            # Later items must not slip into a result that has been given out.
            outcome = Outcome(entry.name, list(outcome.items), list(outcome.reasons))
            if waits_for_engine():
                outcome.reasons.append(Nothing("engine-slow", _slow(timeout_s)))
            else:
                outcome.reasons.append(Nothing("timed-out", f"{entry.name} gave no result within {timeout_s:g} s."))
                self._failed(entry, method, outcome, "timed-out", None)
        elif task.cancelled():
            outcome.reasons.append(Nothing("cancelled", f"{entry.name} cancelled itself."))
        elif (error := task.exception()) is not None:
            self._raised(entry, method, outcome, error)
        elif outcome.held_s > BLOCKED_S:
            self._failed(entry, method, outcome, "blocked", None)
        else:
            entry.failures = 0
        return outcome

    def _raised(self, entry: Entry, method: Method, outcome: Outcome[T], error: BaseException) -> None:
        if isinstance(error, InklingError):
            entry.failures = 0
            outcome.error = error
            outcome.reasons.append(Nothing(error.reason, str(error)))
            return
        failure = "wrong-type" if isinstance(error, WrongTypeError) else "raised"
        outcome.items.clear()
        outcome.reasons.append(Nothing(failure, f"{entry.name} failed; the server's log says where."))
        self._failed(entry, method, outcome, failure, error)

    def _failed(
        self, entry: Entry, method: Method, outcome: Outcome[T], failure: str, error: BaseException | None
    ) -> None:
        if failure != "blocked":
            outcome.failure = failure
        entry.failures += 1
        self.listener.failed(entry, method.surface.kind, failure, error)
        if entry.failures >= FAILURES and entry.ready:
            words = {
                "timed-out": "gave no result in time",
                "wrong-type": "gave results of the wrong type",
                "blocked": "blocked the server",
            }
            entry.disable("failing", f"It {words.get(failure, 'raised an error')} {FAILURES} times in a row.")
            self.listener.disabled(entry)

    async def stop(self, timeout_s: float) -> None:
        """Stop every plugin that was started."""
        started = [entry.plugin for entry in self.entries if entry.start and entry.plugin]
        stops = [asyncio.create_task(contained(plugin.stop)) for plugin in started]
        for task in self._strays:
            task.cancel()
        if stops or self._strays:
            await asyncio.wait({*stops, *self._strays}, timeout=timeout_s)
        for task in stops:
            if task.done() and not task.cancelled():
                task.exception()  # retrieved: at the end nobody can be told


def _slow(timeout_s: float) -> str:
    return f"The model needed more than {timeout_s:g} s. One that was being loaded is loaded on: ask again in a moment."


async def _wait(task: asyncio.Task[Any], timeout_s: float) -> None:
    """Wait for the task, for a time in which the machine could have done the work.

    On a starved machine the event loop itself comes late; that time is not the plugin's, so each slice of waiting
    counts for no more than it was meant to be.
    """
    left = timeout_s
    while left > 0 and not task.done():
        slice_s = min(left, SLICE_S)
        await asyncio.wait({task}, timeout=slice_s)
        left -= slice_s
