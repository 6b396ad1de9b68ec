"""How a developer types, as numbers: bursts of keys, pauses to think, breaks, jumps elsewhere. Seeded, no clock.

The defaults are assumptions, not measurements; every figure that comes from them says so. They give about 5 keys a
second within a burst and about 20 keys a minute over a working hour with its breaks.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

DEBOUNCE_S = (0.02, 1.0)
"""The completion plugin's shortest and longest wait."""


@dataclass(frozen=True, slots=True)
class Habits:
    """Times in seconds; medians of log-normal times, whose `spread` is the standard deviation of the logarithm."""

    key_median_s: float = 0.17
    key_spread: float = 0.45
    burst_keys: float = 22.0
    """Mean keys between two pauses."""

    think_median_s: float = 2.5
    think_spread: float = 1.0
    break_share: float = 0.15
    """Of all pauses: reading, running tests, talking."""

    break_mean_s: float = 90.0
    jump_share: float = 0.5
    """Of all breaks: the developer goes on elsewhere."""

    diagnostics_pause_s: float = 0.5
    """Diagnostics are asked for after a pause this long in what was edited."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A key typed `after_s` seconds after the one before; with `jump`, in another place."""

    after_s: float
    jump: bool = False


def strokes(seed: int, habits: Habits | None = None) -> Iterator[Stroke]:
    """Keys for ever, the same for the same seed. The first comes at a time of its own, as if one just looked in."""
    habits = habits or Habits()
    chance = random.Random(seed)  # noqa: S311
    yield Stroke(chance.random() * _mean_pause_s(habits))
    while True:
        while chance.random() > 1 / habits.burst_keys:
            yield Stroke(chance.lognormvariate(math.log(habits.key_median_s), habits.key_spread))
        if chance.random() < habits.break_share:
            yield Stroke(chance.expovariate(1 / habits.break_mean_s), chance.random() < habits.jump_share)
        else:
            yield Stroke(chance.lognormvariate(math.log(habits.think_median_s), habits.think_spread))


def _mean_pause_s(habits: Habits) -> float:
    think = habits.think_median_s * math.exp(habits.think_spread**2 / 2)
    return habits.break_share * habits.break_mean_s + (1 - habits.break_share) * think


class Rhythm:
    """The completion plugin's wait before it asks: the typing interval less the model's latency, within bounds."""

    def __init__(self) -> None:
        self.interval_s = 0.0
        self.latency_s = 0.0

    def typed(self, after_s: float) -> float:
        """A key; returns the seconds to wait."""
        if after_s <= 1.0:
            self.interval_s += 0.3 * (after_s - self.interval_s) if self.interval_s else after_s
        return min(max(self.interval_s - self.latency_s, DEBOUNCE_S[0]), DEBOUNCE_S[1])

    def answered(self, latency_s: float) -> None:
        """The model's first text took this long."""
        self.latency_s += 0.3 * (latency_s - self.latency_s) if self.latency_s else latency_s
