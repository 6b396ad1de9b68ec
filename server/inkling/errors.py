"""Errors that are meant for the user, kept apart from bugs.

An `InklingError` is shown word for word; any other exception is a defect, logged with its traceback and shown as
"internal error" without details, since details may hold the user's text.
"""

from __future__ import annotations


class InklingError(Exception):
    """What happened, to which thing, and what to do next.

    `reason` is a stable slug (`model-not-found`, `weights-corrupt`, `engine-down`, …) for programs;
    `message` names the thing; `hint` says the way out. None of them may hold document text.
    """

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message} {hint}")
        self.reason = reason
        self.message = message
        self.hint = hint
