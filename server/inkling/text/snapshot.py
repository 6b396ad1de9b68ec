"""One immutable version of a document: all that handlers and plugins ever see of it."""

from __future__ import annotations

import itertools
import re

from inkling.text.mentions import mentions
from inkling.text.position import Position, Range
from inkling.text.rope import Rope, without_surrogates

_revisions = itertools.count(1)
_WORD = re.compile(r"\w+")
_WORD_REACH = 256
"""Longest stretch looked at on each side for a word, so that one giant line costs no more than any other."""


class Snapshot:
    """A version of a document. Offsets are code points; positions are (line, code point in the line).

    Lines end at `\\n`, `\\r\\n` or `\\r` alone, and a line's text does not include its end. Snapshots of one document
    share their unchanged text, so making one costs nothing.
    """

    __slots__ = ("__weakref__", "_eol", "_text", "language", "revision", "rope", "uri", "version")

    uri: str
    version: int
    language: str
    """The LSP language id, such as `python` or `markdown`."""
    revision: int
    """Unique within the process, and growing: two snapshots of equal revision are the same object."""

    def __init__(self, uri: str, version: int, language: str, rope: Rope) -> None:
        self.uri = uri
        self.version = version
        self.language = language
        self.rope = rope
        self.revision = next(_revisions)
        self._text: str | None = None
        self._eol = ""

    @classmethod
    def of(
        cls, text: str, *, uri: str = "untitled:snapshot", language: str = "plaintext", version: int = 0
    ) -> Snapshot:
        """A snapshot of a text that no editor holds."""
        return cls(uri, version, language, Rope.of(text))

    def __len__(self) -> int:
        return len(self.rope)

    def __repr__(self) -> str:
        return f"Snapshot({self.uri!r}, version={self.version}, {len(self)} code points)"

    @property
    def text(self) -> str:
        """The whole text. The first call costs O(length)."""
        if self._text is None:
            self._text = self.slice(0, len(self.rope))
        return self._text

    def mentions(self, word: str) -> bool:
        """Whether a word, or any other short string, occurs in the text. After an edit that costs O(log n)."""
        return self.rope.fold(mentions(word))[0]

    @property
    def line_count(self) -> int:
        """Lines, at least 1: the text after the last line end counts, be it empty."""
        return self.rope.line_count

    @property
    def eol(self) -> str:
        """The line ending used most (in the first 64 K of the text); `\\n` when there is none."""
        if not self._eol:
            head = self.slice(0, 65536)
            pairs = head.count("\r\n")
            counts = {"\n": head.count("\n") - pairs, "\r\n": pairs, "\r": head.count("\r") - pairs}
            self._eol = max(counts, key=counts.__getitem__)
        return self._eol

    def line(self, index: int) -> str:
        """A line's text without its end. Raises IndexError outside `0 ≤ index < line_count`."""
        start, end, _ = self._line_span(index)
        return self.slice(start, end)

    def line_range(self, index: int) -> Range:
        """The range of a line's text without its end. Raises IndexError as `line` does."""
        start, end, _ = self._line_span(index)
        return Range(Position(index, 0), Position(index, end - start))

    def slice(self, start: int, end: int) -> str:
        """The text from one offset to another; both are clamped as in Python slices of non-negative indices."""
        size = len(self.rope)
        start, end = min(max(start, 0), size), min(max(end, 0), size)
        if start >= end:
            return ""
        if self._text is not None:
            return self._text[start:end]
        text = self.rope.slice(start, end)
        return without_surrogates(text) if self.rope.root.lone else text

    def text_in(self, range: Range) -> str:
        """The text of a range."""
        return self.slice(self.offset(range.start), self.offset(range.end))

    def offset(self, position: Position) -> int:
        """A position's offset. Columns past the end of the line clamp to it, lines past the last to the text's end."""
        line, character = position
        if line < 0:
            return 0
        if line >= self.rope.line_count:
            return len(self.rope)
        start, end, _ = self.rope.line_span(line)
        return min(start + max(character, 0), end)

    def position(self, offset: int) -> Position:
        """An offset's position; an offset between `\\r` and `\\n` is at the end of its line."""
        return Position(*self.rope.place(min(max(offset, 0), len(self.rope))))

    def range(self, start: int, end: int) -> Range:
        """The range between two offsets."""
        return Range(self.position(start), self.position(end))

    def word_at(self, position: Position) -> Range | None:
        """The word (letters, digits, underscores) that the position touches; of two, the later."""
        offset = self.offset(position)
        line = min(max(position.line, 0), self.line_count - 1)
        start, end, _ = self.rope.line_span(line)
        first, last = max(start, offset - _WORD_REACH), min(end, offset + _WORD_REACH)
        text, here = self.slice(first, last), offset - first
        behind = _WORD.match(text, here)
        before = _WORD.match(text[:here][::-1])
        low = here - before.end() if before else here
        high = behind.end() if behind else here
        if low == high:
            return None
        return Range(Position(line, first + low - start), Position(line, first + high - start))

    def _line_span(self, index: int) -> tuple[int, int, int]:
        if not 0 <= index < self.rope.line_count:
            raise IndexError(f"line {index} of a document of {self.rope.line_count} lines")
        return self.rope.line_span(index)
