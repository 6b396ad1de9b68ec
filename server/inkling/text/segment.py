"""The segment: a span of a document worth reading on its own, and its text made clean."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum


class SegmentKind(StrEnum):
    """What a segment is."""

    COMMENT = "comment"
    DOCSTRING = "docstring"
    PARAGRAPH = "paragraph"
    SENTENCE = "sentence"
    STRING = "string"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    FUNCTION = "function"
    SECTION = "section"
    """A Markdown heading with what follows it, up to the next heading of its level or above."""
    COMMIT_MESSAGE = "commit_message"


@dataclass(frozen=True, slots=True)
class Segment:
    """A span `[start, end)` of a document in code points, and its clean text.

    The clean text has no comment markers, decoration, quotes or indentation, and `\\n` between its lines. `runs` says
    where it comes from: pairs (offset in the clean text, offset in the document), each the start of a stretch that was
    taken over unchanged, in order.
    """

    kind: SegmentKind
    start: int
    end: int
    text: str
    runs: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def to_document(self, start: int, end: int) -> tuple[int, int]:
        """The document's span of `[start, end)` of the clean text, from its first character to its last."""
        start = min(max(start, 0), len(self.text))
        end = min(max(end, start), len(self.text))
        first = self._place(start) if start < len(self.text) else self._place(start - 1) + 1 if start else self.start
        return first, max(first, self._place(end - 1) + 1) if end > start else first

    def _place(self, offset: int) -> int:
        if not self.runs:
            return self.start + offset
        clean, document = self.runs[bisect_right(self.runs, offset, key=lambda run: run[0]) - 1]
        return document + offset - clean
