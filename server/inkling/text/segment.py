"""The segment: a span of a document worth reading on its own, and its text made clean."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter

Span = tuple[int, int]
"""Half-open, in code points."""


class SegmentKind(StrEnum):
    """What a segment is."""

    COMMENT = "comment"
    DOCSTRING = "docstring"
    """A Python string statement, or a documentation comment such as `/** */` and `///`."""
    PARAGRAPH = "paragraph"
    SENTENCE = "sentence"
    STRING = "string"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    FUNCTION = "function"
    CLASS = "class"
    SECTION = "section"
    """A Markdown heading with what follows it, up to the next heading of its level or above."""
    COMMIT_MESSAGE = "commit_message"

    __hash__ = str.__hash__  # an enum's own is written in Python, and a document has thousands of segments


@dataclass(frozen=True, slots=True)
class Segment:
    """A span `[start, end)` of a document in code points, and its clean text.

    The clean text has no comment markers, decoration, quotes or indentation, and `\\n` between its lines. `runs` says
    where it comes from: pairs (offset in the clean text, offset in the document), each the start of a stretch that was
    taken over unchanged, in order; empty when the whole text was.
    """

    kind: SegmentKind
    start: int
    end: int
    text: str
    runs: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def to_document(self, start: int, end: int) -> Span:
        """The document's span of `[start, end)` of the clean text, from its first character to its last."""
        start = min(max(start, 0), len(self.text))
        end = min(max(end, start), len(self.text))
        if end > start:
            return self._place(start), self._place(end - 1) + 1
        if not self.text:
            return self.start, self.start
        place = self._place(start) if start < len(self.text) else self._place(start - 1) + 1
        return place, place

    def part(self, kind: SegmentKind, start: int, end: int) -> Segment:
        """The stretch `[start, end)` of the clean text as a segment of its own; newlines in it become spaces."""
        text = self.text[start:end].replace("\n", " ")
        if len(self.runs) <= 1:
            place = self._place(start)
            return Segment(kind, place, place + len(text), text)
        first, last = self.to_document(start, end)
        runs = [
            (max(clean, start) - start, document + max(0, start - clean))
            for clean, document in self._runs_in(start, end)
        ]
        return Segment(kind, first, last, text, tuple(runs))

    def moved(self, by: int) -> Segment:
        """The same segment `by` code points further on."""
        runs = tuple([(clean, document + by) for clean, document in self.runs]) if self.runs else ()
        return Segment(self.kind, self.start + by, self.end + by, self.text, runs)

    def _runs_in(self, start: int, end: int) -> Iterable[tuple[int, int]]:
        first = bisect_right(self.runs, start, key=itemgetter(0)) - 1
        last = bisect_right(self.runs, max(start, end - 1), key=itemgetter(0))
        return self.runs[first:last]

    def _place(self, offset: int) -> int:
        if not self.runs:
            return self.start + offset
        clean, document = self.runs[bisect_right(self.runs, offset, key=itemgetter(0)) - 1]
        return document + offset - clean


Pieces = tuple[tuple[str, int], ...]
"""Clean text in pieces: each piece, and the offset in the raw text that it stands for."""


def assemble(kind: SegmentKind, start: int, end: int, pieces: Pieces, base: int) -> Segment:
    """A segment from pieces of the raw text that begins at `base` in the document."""
    runs: list[tuple[int, int]] = []
    length, next_place = 0, -1
    for piece, place in pieces:
        if place != next_place:
            runs.append((length, base + place))
        length += len(piece)
        next_place = place + len(piece)
    if len(runs) == 1 and runs[0][1] == start:
        runs = []
    return Segment(kind, start, end, "".join([piece for piece, _ in pieces]), tuple(runs))


def joined(raw: str, spans: Iterable[Span | None]) -> Pieces:
    """Pieces from the content spans of consecutive lines, `\\n` between them; None or an empty span is a blank line.

    Blank lines at either end are left out, and runs of them become one. Each `\\n` stands for the character that ends
    its line.
    """
    pieces: list[tuple[str, int]] = []
    blank = False
    for span in spans:
        if span is None or span[0] >= span[1]:
            blank = bool(pieces)
            continue
        start, end = span
        if pieces:
            last = pieces[-1][1] + len(pieces[-1][0])
            place = min((i for i in (raw.find("\n", last, start), raw.find("\r", last, start)) if i >= 0), default=last)
            pieces.append(("\n", place))
            if blank:
                pieces.append(("\n", place))
        pieces.append((raw[start:end], start))
        blank = False
    return tuple(pieces)
