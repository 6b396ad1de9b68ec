"""Not asking a remote again too soon: one that is down must not cost each keystroke a time-out."""

from __future__ import annotations

import time
from collections.abc import Callable

from inkling.errors import InklingError

_FIRST_S, _LONGEST_S = 1.0, 30.0
_LONGEST_ASKED_S = 120.0
"""No remote is left alone longer than this, whatever its `Retry-After` says."""


class Patience:
    """While it rests, every call fails at once with the error that it rests for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._pause_s = 0.0
        self._error: InklingError | None = None

    @property
    def error(self) -> InklingError | None:
        """What was wrong at the last call; None when it went well."""
        return self._error

    def check(self) -> None:
        """Raises the last error while the rest lasts."""
        if self._error is not None and self._clock() < self._until:
            raise self._error

    def unreachable(self, error: InklingError) -> None:
        """Nobody answers: rest a second, then twice as long each time."""
        self._error = error
        self._pause_s = min(_LONGEST_S, max(_FIRST_S, 2 * self._pause_s))
        self._until = self._clock() + self._pause_s

    def asked_to_wait(self, error: InklingError, seconds: float) -> None:
        """It said when to come back."""
        self._error = error
        self._until = self._clock() + min(_LONGEST_ASKED_S, seconds)

    def answered(self) -> None:
        """It answers."""
        self._error = None
        self._pause_s = self._until = 0.0
