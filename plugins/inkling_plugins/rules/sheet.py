"""A document under a rule, kept in step edit by edit: what stays where it was is not looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress, count
from operator import ne

from inkling.api import Segment, SegmentKind
from inkling_plugins.rules.judge import Mark, Reading, marks
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.units import Part, parts_of

Key = tuple[SegmentKind, str]


@dataclass(slots=True, eq=False)
class Note:
    """One segment's units, and its marks once all of them have been read. It stays when its segment moves."""

    parts: tuple[Part, ...]
    marks: tuple[Mark, ...] | None = None

    def settle(self, rule: Rule, reading_of: Callable[[bytes], Reading | None]) -> tuple[Mark, ...]:
        """The marks of what has been read; kept when that is all."""
        if self.marks is not None:
            return self.marks
        readings = [reading_of(part.key) for part in self.parts]
        found = tuple(
            mark
            for part, reading in zip(self.parts, readings, strict=True)
            if reading is not None
            for mark in marks(rule, part, reading)
        )
        if all(reading is not None for reading in readings):
            self.marks = found
        return found


@dataclass(frozen=True)
class Sheet:
    """One version of a document under a rule: its segments in order, and a note beside each.

    A later version shares the notes of all segments that are in both, so that an edit costs what it changed and a few
    walks over arrays.
    """

    rule: Rule
    weights: str
    segments: Sequence[Segment] = ()
    notes: Sequence[Note] = ()
    keys: Sequence[Key] = field(default=(), repr=False)

    def followed_by(self, segments: Sequence[Segment]) -> Sheet:
        """The sheet of the next version."""
        keys = [(segment.kind, segment.text) for segment in segments]
        first = _same(self.keys, keys)
        shortest = min(len(self.keys), len(keys)) - first
        rest = min(shortest, _same(self.keys[::-1], keys[::-1])) if shortest else 0
        old_end, new_end = len(self.keys) - rest, len(keys) - rest
        left: dict[Key, list[Note]] = {}
        for key, note in zip(self.keys[first:old_end], self.notes[first:old_end], strict=True):
            left.setdefault(key, []).append(note)
        fresh = []
        for key, segment in zip(keys[first:new_end], segments[first:new_end], strict=True):
            again = left.get(key)
            fresh.append(again.pop() if again else Note(parts_of(segment, self.rule, self.weights)))
        notes = [*self.notes[:first], *fresh, *self.notes[old_end:]]
        return Sheet(self.rule, self.weights, segments, notes, keys)

    @property
    def units(self) -> int:
        """How many texts there are to read."""
        return sum([len(note.parts) for note in self.notes])

    def unread(self) -> Iterator[tuple[Segment, Note]]:
        """The segments of which something may not have been read."""
        return ((self.segments[at], note) for at, note in enumerate(self.notes) if note.marks is None)

    @cached_property
    def overlaps(self) -> bool:
        """Whether some segment begins within another: the same words may then be found twice."""
        return any(one.end > other.start for one, other in zip(self.segments, self.segments[1:], strict=False))


def _same(one: Sequence[Key], other: Sequence[Key]) -> int:
    """How many keys are the same from the beginning on; texts that are one object are not compared."""
    return next(compress(count(), map(ne, one, other)), min(len(one), len(other)))
