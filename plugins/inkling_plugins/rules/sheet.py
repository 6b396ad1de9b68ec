"""A document under a rule, kept in step edit by edit: what stays where it was is not looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from inkling.api import Segment, Segments
from inkling_plugins.rules.judge import Mark, Reading, marks
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.units import Part, parts_of


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
    segments: Segments = field(default_factory=lambda: Segments(()))
    notes: Sequence[Note] = ()

    def lacks(self, segments: Segments) -> int:
        """How many of the next version's segments may need a note of their own."""
        return len(segments) - sum(segments.shared(self.segments))

    def followed_by(self, segments: Segments) -> Sheet:
        """The sheet of the next version."""
        first, rest = segments.shared(self.segments)
        old_end, new_end = len(self.segments) - rest, len(segments) - rest
        left: dict[tuple[str, str], list[Note]] = {}
        for segment, note in zip(self.segments[first:old_end], self.notes[first:old_end], strict=True):
            left.setdefault((segment.kind, segment.text), []).append(note)
        fresh = []
        for segment in segments[first:new_end]:
            again = left.get((segment.kind, segment.text))
            fresh.append(again.pop() if again else Note(parts_of(segment, self.rule, self.weights)))
        return Sheet(self.rule, self.weights, segments, [*self.notes[:first], *fresh, *self.notes[old_end:]])

    @property
    def units(self) -> int:
        """How many texts there are to read."""
        return sum([len(note.parts) for note in self.notes])

    def unread(self) -> Iterator[tuple[Segment, Note]]:
        """The segments of which something may not have been read."""
        return ((self.segments[at], note) for at, note in enumerate(self.notes) if note.marks is None)
