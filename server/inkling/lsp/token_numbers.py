"""Semantic tokens as the protocol sends them: five numbers each, places relative to the token before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inkling.api import SEMANTIC_MODIFIERS, SEMANTIC_TYPES, Position, Range, SemanticToken, Snapshot
from inkling.lsp.client import Client
from inkling.text.encoding import Encoding

_TYPES = {name: number for number, name in enumerate(SEMANTIC_TYPES)}
_MODIFIERS = {name: 1 << number for number, name in enumerate(SEMANTIC_MODIFIERS)}


def numbers(snapshot: Snapshot, tokens: Sequence[SemanticToken], unit: Encoding, client: Client) -> list[int]:
    """(lines down, columns right, length, type, modifiers) of each token, in the client's columns.

    A token that crosses lines is split for a client that knows none such; where tokens overlap, and the client takes
    no overlapping ones, the one that starts first keeps its place, and of two that start together the longer.
    """
    lines = _Lines(snapshot, unit)
    crossing = client.can("textDocument.semanticTokens.multilineTokenSupport")
    pieces = [(*piece, token) for token in tokens for piece in _pieces(lines, token.range, crossing)]
    pieces.sort(key=lambda piece: (piece[0], -piece[2]))
    if not client.can("textDocument.semanticTokens.overlappingTokenSupport"):
        pieces = list(_apart(pieces))
    data: list[int] = []
    line = column = 0
    for start, here, end, token in pieces:
        right = lines.units_before(here, start)
        length = lines.units(start, end)
        data += (here - line, right - column if here == line else right, length)
        data += (_TYPES[token.type], sum({_MODIFIERS[name] for name in token.modifiers}))
        line, column = here, right
    return data


class _Lines:
    """Offsets and columns of a document that is gone through in order: each line is looked up once, and read once."""

    def __init__(self, snapshot: Snapshot, unit: Encoding) -> None:
        self._snapshot = snapshot
        self._plain = unit is Encoding.UTF32 or snapshot.rope.root.utf8 == snapshot.rope.root.chars
        self._codec, self._width = ("utf-8", 1) if unit is Encoding.UTF8 else ("utf-16-le", 2)
        self._spans: dict[int, tuple[int, int]] = {}
        self._measured = (-1, 0, 0)
        """A line, an offset in it, and the units before that."""

    def span(self, line: int) -> tuple[int, int]:
        """Where a line's text starts and ends."""
        found = self._spans.get(line)
        if found is None:
            start, end, _ = self._snapshot.rope.line_span(min(max(line, 0), self._snapshot.line_count - 1))
            found = self._spans[line] = (start, end)
        return found

    def offset(self, position: Position) -> int:
        """A position's offset, clamped into its line."""
        start, end = self.span(position.line)
        return end if position.line >= self._snapshot.line_count else min(start + max(position.character, 0), end)

    def units_before(self, line: int, offset: int) -> int:
        """The client's column of an offset in a line; quick for offsets that come in order."""
        start, _ = self.span(line)
        known, at, units = self._measured
        if known != line or at > offset:
            at, units = start, 0
        units += self.units(at, offset)
        self._measured = (line, offset, units)
        return units

    def units(self, start: int, end: int) -> int:
        """The client's units between two offsets."""
        if self._plain:
            return end - start
        return len(self._snapshot.slice(start, end).encode(self._codec, "surrogatepass")) // self._width


def _pieces(lines: _Lines, span: Range, crossing: bool) -> Iterator[tuple[int, int, int]]:
    """(start, line, end) of the token's parts: one in each line, or the whole; never an empty one."""
    first, last = span.start.line, span.end.line
    start, end = lines.offset(span.start), lines.offset(span.end)
    if crossing or first >= last:
        if start < end:
            yield start, first, end
        return
    for line in range(first, last + 1):
        low, high = lines.span(line)
        low, high = max(low, start), min(high, end)
        if low < high:
            yield low, line, high


def _apart(pieces: list[tuple[int, int, int, SemanticToken]]) -> Iterator[tuple[int, int, int, SemanticToken]]:
    reached = 0
    for piece in pieces:
        if piece[0] >= reached:
            reached = piece[2]
            yield piece
