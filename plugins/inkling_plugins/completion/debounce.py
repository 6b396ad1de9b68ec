"""How long to wait after a keystroke before asking a model: by the typist's rhythm, and by how slow the model is."""

from __future__ import annotations

from dataclasses import dataclass

_RHYTHM_RANGE_S = 1.0
"""Pauses longer than this are thinking, not typing."""
_SMOOTHING = 0.3
_PATIENCE = 5
"""Suggestions ignored in a row before the wait grows."""
_IGNORED_STEP_S = 0.2
_IGNORED_MOST_S = 2.0


@dataclass(slots=True)
class Debounce:
    """Exponential means of the pauses between requests and of the model's time to first text, in seconds."""

    interval_s: float = 0.0
    latency_s: float = 0.0
    ignored: int = 0
    _last: float | None = None

    def typed(self, now: float, *, goes_on: bool = True) -> None:
        """A request came in at `now` (a monotonic clock's seconds); `goes_on` unless the cursor has jumped."""
        if goes_on and self._last is not None and 0 <= (pause := now - self._last) <= _RHYTHM_RANGE_S:
            self.interval_s = pause if not self.interval_s else _mean(self.interval_s, pause)
        self._last = now

    def answered(self, latency_s: float) -> None:
        """The model's first text took `latency_s`."""
        self.latency_s = latency_s if not self.latency_s else _mean(self.latency_s, latency_s)

    def shown(self, *, taken: bool) -> None:
        """The suggestion shown last was typed or accepted, or it was not."""
        self.ignored = 0 if taken else self.ignored + 1

    def wait_s(self, *, rate: float, least_s: float, most_s: float) -> float:
        """`rate` of the typing interval less the model's latency, within bounds, plus a penalty for being ignored.

        While the model is slower than the typist, its own latency is wait enough.
        """
        wait = min(max(rate * self.interval_s - self.latency_s, least_s), most_s)
        if self.ignored >= _PATIENCE:
            wait += min((self.ignored - _PATIENCE + 1) * _IGNORED_STEP_S, _IGNORED_MOST_S)
        return wait


def rate_at(line_before: str) -> float:
    """The share of a typing interval to wait: less after a break in the line, more in the middle of a word."""
    last = line_before[-1:]
    return 0.5 if not last or not (last.isalnum() or last == "_") else 1.0


def _mean(old: float, new: float) -> float:
    return old + _SMOOTHING * (new - old)
