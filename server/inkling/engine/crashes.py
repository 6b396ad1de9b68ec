"""How often the engine may crash before it is left down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable


class CrashLimit:
    """Counts crashes within a window of time; `gave_up` stays set until `reset`."""

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._crashes: deque[float] = deque()
        self.gave_up = False

    def crashed(self) -> float:
        """Count one; returns the seconds to wait before the restart: none after the first, then doubling."""
        now = self._clock()
        self._crashes.append(now)
        while now - self._crashes[0] > self._window_s:
            self._crashes.popleft()
        self.gave_up = self.gave_up or len(self._crashes) >= self._limit
        return 0.0 if len(self._crashes) == 1 else min(10.0, 0.25 * 2.0 ** (len(self._crashes) - 2))

    def reset(self) -> None:
        """The user restarted it."""
        self._crashes.clear()
        self.gave_up = False
