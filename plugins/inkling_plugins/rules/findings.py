"""What a rule found in a document, in order. Nothing is placed in the text before it is looked at."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import overload

from inkling.api import Segments
from inkling_plugins.rules.judge import Finding, Mark, placed
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.sheet import Note, Sheet

_GRAVITY = {"error": 1, "warning": 2, "information": 3, "hint": 4}
_REBUILD = 8
"""From which part of the notes on sorting all of them anew is cheaper than one after the other."""

Item = tuple[int, float, int, int]
"""A mark: gravity, score turned round, its note's number, its place in the note."""


@dataclass(frozen=True)
class Chosen:
    """The gravest findings, in document order, and of the others the first and how many have which label."""

    shown: Sequence[Finding]
    first: Finding | None = None
    hidden: Mapping[str, int] = field(default_factory=dict)


class Findings(Sequence[Finding]):
    """Made of segments in document order and the marks in each."""

    def __init__(
        self,
        rule: Rule,
        segments: Segments,
        found: Sequence[tuple[Mark, ...]],
        choose: Callable[[int], Chosen] | None = None,
    ) -> None:
        self._rule = rule
        self._segments = segments
        self._found = found
        self._choose = choose

    @cached_property
    def _all(self) -> list[Finding]:
        marked = [(self._segments[at], marks) for at, marks in enumerate(self._found) if marks]
        return [placed(self._rule, segment, mark) for segment, marks in marked for mark in marks]

    @cached_property
    def _length(self) -> int:
        return sum([len(marks) for marks in self._found])

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...

    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        return self._all[index]

    def touching(self, start: int, end: int) -> list[Finding]:
        """Those that have a character in a span of the document, or touch it."""
        if not self._segments.apart:
            return _touching(self._all, start, end)
        first = bisect_left(self._segments, start, key=attrgetter("end"))
        last = bisect_right(self._segments, end, key=attrgetter("start"))
        near = Findings(self._rule, self._segments[first:last], self._found[first:last])
        return _touching(near, start, end)

    def gravest(self, most: int) -> Chosen:
        """So many, those that weigh most."""
        if len(self) <= most:
            return Chosen(self._all)
        return self._choose(most) if self._choose is not None else gravest(self._all, most)


def touching(findings: Sequence[Finding], start: int, end: int) -> list[Finding]:
    """Those that have a character in a span, or touch it."""
    return findings.touching(start, end) if isinstance(findings, Findings) else _touching(findings, start, end)


def _touching(findings: Iterable[Finding], start: int, end: int) -> list[Finding]:
    return [finding for finding in findings if finding.start <= end and start <= finding.end]


def gravest(findings: Sequence[Finding], most: int) -> Chosen:
    """So many of a list, those that weigh most: the severest, then the surest, then the first."""
    order = sorted(range(len(findings)), key=lambda at: _weight(findings[at].rule, findings[at].mark))
    chosen = set(order[:most])
    rest = [finding for at, finding in enumerate(findings) if at not in chosen]
    hidden = Counter(finding.mark.label for finding in rest)
    return Chosen([findings[at] for at in sorted(chosen)], rest[0] if rest else None, hidden)


class Ranking:
    """All marks of a document, the gravest first, kept in step: an edit costs the marks that came and went."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._numbers: dict[Note, int] = {}
        self._notes: dict[int, Note] = {}
        self._order: list[Item] = []
        self._counts: Counter[str] = Counter()
        self._next = 0

    def follow(self, notes: Sequence[Note]) -> None:
        """The document's notes are these now; of each, all has been read."""
        gone, come = self._numbers.keys() - set(notes), [note for note in notes if note not in self._numbers]
        anew = (len(gone) + len(come)) * _REBUILD > len(notes)
        for note in gone:
            number = self._numbers.pop(note)
            del self._notes[number]
            self._counts.subtract(mark.label for mark in note.marks or ())
            for item in () if anew else self._items(number, note):
                del self._order[bisect_left(self._order, item)]
        for note in come:
            number = self._numbers[note] = self._next
            self._next += 1
            self._notes[number] = note
            self._counts.update(mark.label for mark in note.marks or ())
            for item in () if anew else self._items(number, note):
                insort(self._order, item)
        if anew:
            self._order = sorted(item for number, note in self._notes.items() for item in self._items(number, note))

    def choose(self, sheet: Sheet, most: int) -> Chosen:
        """The gravest of a sheet that it followed."""
        marks: dict[int, set[int]] = {}
        for _, _, number, place in self._order[:most]:
            marks.setdefault(number, set()).add(place)
        chosen = {self._notes[number]: places for number, places in marks.items()}
        shown = [
            placed(self._rule, sheet.segments[at], note.marks[place])
            for at, note in enumerate(sheet.notes)
            if note in chosen and note.marks
            for place in sorted(chosen[note])
        ]
        hidden = self._counts.copy()
        hidden.subtract(finding.mark.label for finding in shown)
        return Chosen(shown, self._first_besides(sheet, chosen), +hidden)

    def _first_besides(self, sheet: Sheet, chosen: Mapping[Note, Collection[int]]) -> Finding | None:
        for at, note in enumerate(sheet.notes):
            for place, mark in enumerate(note.marks or ()):
                if place not in chosen.get(note, ()):
                    return placed(self._rule, sheet.segments[at], mark)
        return None

    def _items(self, number: int, note: Note) -> Iterator[Item]:
        for place, mark in enumerate(note.marks or ()):
            yield (*_weight(self._rule, mark), number, place)


def _weight(rule: Rule, mark: Mark) -> tuple[int, float]:
    """What orders findings: the least first."""
    return _GRAVITY[rule.level(mark.label)], -mark.score
