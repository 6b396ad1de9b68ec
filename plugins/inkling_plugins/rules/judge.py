"""From what a model said of a unit to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inkling.api import Entity, Label, Segment
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.units import Part

Reading = tuple[Label | Entity, ...]
"""Labels, best first, or spans; offsets are into the text that the model read."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding within a segment: offsets into its clean text."""

    label: str
    score: float
    start: int
    end: int
    part: Part
    scores: Mapping[str, float]
    """The labels besides this one, best first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding in a document."""

    rule: Rule
    mark: Mark
    origin: Segment
    start: int
    end: int


def marks(rule: Rule, part: Part, reading: Reading) -> Iterator[Mark]:
    """What of a reading shows."""
    labels = [item for item in reading if isinstance(item, Label)]
    shown: Reading = reading if rule.multi_label or not labels else (labels[0],)
    for item in shown:
        if rule.level(item.label) == "off" or item.score < rule.least(item.label):
            continue
        if isinstance(item, Entity):
            yield Mark(item.label, item.score, part.start + item.start, part.start + item.end, part, {})
        else:
            others = {other.label: other.score for other in labels if other is not item}
            yield Mark(item.label, item.score, part.start, part.end, part, others)


def placed(rule: Rule, origin: Segment, mark: Mark) -> Finding:
    """A mark where its segment is now."""
    return Finding(rule, mark, origin, *origin.to_document(mark.start, mark.end))
