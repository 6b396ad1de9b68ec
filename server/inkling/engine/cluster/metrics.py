"""Numbers for Prometheus: counters, gauges and latency histograms of one process, and many processes' on one page."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the page; `family` is the metric that the line belongs to, which for a histogram is shorter."""

    family: str
    kind: str
    name: str
    labels: Labels
    value: float


class Metrics:
    """Metrics of one process. Used on one event loop."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], _Histogram] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count: `name` ends in `_total`."""
        key = ("counter", name, tuple(sorted(labels.items())))
        self._numbers[key] = self._numbers.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Say how much there is now."""
        self._numbers["gauge", name, tuple(sorted(labels.items()))] = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add to a histogram: `name` ends in `_seconds`."""
        key = (name, tuple(sorted(labels.items())))
        if key not in self._histograms:
            self._histograms[key] = _Histogram()
        self._histograms[key].observe(seconds)

    def samples(self) -> list[Sample]:
        """Everything, as lines."""
        lines = [Sample(name, kind, name, labels, value) for (kind, name, labels), value in self._numbers.items()]
        for (name, labels), histogram in self._histograms.items():
            lines += histogram.samples(name, labels)
        return lines


class _Histogram:
    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect.bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._sum += seconds

    def samples(self, name: str, labels: Labels) -> list[Sample]:
        lines: list[Sample] = []
        total = 0
        for bound, count in zip((*LATENCY_BUCKETS_S, float("inf")), self._counts, strict=True):
            total += count
            bucket = (*labels, ("le", "+Inf" if bound == float("inf") else f"{bound:g}"))
            lines.append(Sample(name, "histogram", f"{name}_bucket", bucket, total))
        lines.append(Sample(name, "histogram", f"{name}_sum", labels, self._sum))
        lines.append(Sample(name, "histogram", f"{name}_count", labels, total))
        return lines


def counters_as_samples(counters: Mapping[str, int]) -> list[Sample]:
    """A model's counters, which only grow."""
    return [
        Sample(f"inkling_{name}_total", "counter", f"inkling_{name}_total", (), float(value))
        for name, value in counters.items()
    ]


def page(sources: Iterable[tuple[Mapping[str, str], Sequence[Sample]]]) -> str:
    """Prometheus's text format. Each source has labels of its own (`deployment`, `replica`): nothing is summed here,
    so that a replica that comes or goes is a series that begins or ends, not a counter that jumps."""
    families: dict[str, tuple[str, list[str]]] = {}
    for own, samples in sources:
        for sample in samples:
            kind, lines = families.setdefault(sample.family, (sample.kind, []))
            labels = {**own, **dict(sample.labels)}
            inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
            lines.append(f"{sample.name}{{{inner}}} {sample.value:g}" if inner else f"{sample.name} {sample.value:g}")
    text: list[str] = []
    for family, (kind, lines) in families.items():
        text += [f"# TYPE {family} {kind}", *lines]
    return "\n".join(text) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
