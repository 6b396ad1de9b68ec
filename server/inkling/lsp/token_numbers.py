"""Semantic tokens as the protocol sends them: five numbers each, places relative to the token before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inkling.api import SEMANTIC_MODIFIERS, SEMANTIC_TYPES, Position, Range, SemanticToken, Snapshot
from inkling.lsp.client import Client
from inkling.text import encoding
from inkling.text.encoding import Encoding

_TYPES = {name: number for number, name in enumerate(SEMANTIC_TYPES)}
_MODIFIERS = {name: 1 << number for number, name in enumerate(SEMANTIC_MODIFIERS)}


def numbers(snapshot: Snapshot, tokens: Sequence[SemanticToken], unit: Encoding, client: Client) -> list[int]:
    """(lines down, columns right, length, type, modifiers) of each token, in the client's columns.

    A token that crosses lines is split for a client that knows none such; where tokens overlap, and the client takes
    no overlapping ones, the one that starts first keeps its place, and of two that start together the longer.
    """
    crossing = client.can("textDocument.semanticTokens.multilineTokenSupport")
    pieces = [(*piece, token) for token in tokens for piece in _pieces(snapshot, token.range, crossing)]
    pieces.sort(key=lambda piece: (piece[0], -piece[1]))
    if not client.can("textDocument.semanticTokens.overlappingTokenSupport"):
        pieces = list(_apart(pieces))
    data: list[int] = []
    line = column = 0
    for start, end, token in pieces:
        first, last = encoding.encode_range(snapshot, snapshot.range(start, end), unit)
        length = last[1] - first[1] if first[0] == last[0] else _length(snapshot.slice(start, end), unit)
        data += (first[0] - line, first[1] - column if first[0] == line else first[1], length)
        data += (_TYPES[token.type], sum({_MODIFIERS[name] for name in token.modifiers}))
        line, column = first
    return data


def _pieces(snapshot: Snapshot, span: Range, crossing: bool) -> Iterator[tuple[int, int]]:
    """Offsets of the token's parts: one in each line, or the whole; never an empty one."""
    lines = range(span.start.line, min(span.end.line, snapshot.line_count - 1) + 1)
    if crossing or len(lines) < 2:
        spans = [span]
    else:
        ends = [span.end if line == span.end.line else snapshot.line_range(line).end for line in lines]
        starts = [span.start, *(Position(line, 0) for line in lines[1:])]
        spans = [Range(start, end) for start, end in zip(starts, ends, strict=True)]
    for part in spans:
        start, end = snapshot.offset(part.start), snapshot.offset(part.end)
        if start < end:
            yield start, end


def _apart(pieces: list[tuple[int, int, SemanticToken]]) -> Iterator[tuple[int, int, SemanticToken]]:
    reached = 0
    for start, end, token in pieces:
        if start >= reached:
            reached = end
            yield start, end, token


def _length(text: str, unit: Encoding) -> int:
    """Units in a text that may cross lines."""
    if unit is Encoding.UTF32:
        return len(text)
    if unit is Encoding.UTF8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
