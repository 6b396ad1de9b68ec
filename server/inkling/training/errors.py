"""What a training run tells its user when it cannot go on."""

from __future__ import annotations

from inkling.errors import InklingError


class TrainingError(InklingError):
    """A fault meant for the user: what happened, to which thing, and what to do next, in one message."""

    def __init__(self, message: str, *, reason: str = "training-failed") -> None:
        super().__init__(reason, message)
