"""Positions at the edge: between the client's columns (UTF-8 bytes, UTF-16 units or UTF-32) and code points.

The conversion reads the sums in the rope's nodes, so it costs O(log n) however long the line is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from inkling.text.position import Position, Range
from inkling.text.rope import Rope
from inkling.text.snapshot import Snapshot


class Encoding(StrEnum):
    """What a client counts columns in, under the protocol's names."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


class Place(NamedTuple):
    """Where a client's position lies: a code-point offset, and how many units past it (inside that character)."""

    offset: int
    inside: int


def locate(rope: Rope, line: int, column: int, encoding: Encoding) -> Place:
    """Find a client's position. Columns past the end of a line clamp to it, lines past the last to the text's end."""
    if line < 0:
        return Place(0, 0)
    if line >= rope.line_count:
        return Place(len(rope), 0)
    start, end, _ = rope.line_span(line)
    if column <= 0:
        return Place(start, 0)
    root = rope.root
    if encoding is Encoding.UTF32 or root.utf8 == root.chars:
        return Place(min(start + column, end), 0)
    utf8 = encoding is Encoding.UTF8
    offset, inside = rope.offset_of(rope.units_before(start, utf8=utf8) + column, utf8=utf8)
    return Place(offset, inside) if offset < end else Place(end, 0)


def decode(snapshot: Snapshot, line: int, column: int, encoding: Encoding) -> Position:
    """A client's position, in code points and clamped into the text. A place inside a character moves to its start."""
    return snapshot.position(locate(snapshot.rope, line, column, encoding).offset)


def decode_range(snapshot: Snapshot, start: tuple[int, int], end: tuple[int, int], encoding: Encoding) -> Range:
    """A client's range; an inverted one is turned round."""
    first, last = sorted((decode(snapshot, *start, encoding), decode(snapshot, *end, encoding)))
    return Range(first, last)


def encode(snapshot: Snapshot, position: Position, encoding: Encoding) -> tuple[int, int]:
    """The client's line and column of a position, clamped into the text."""
    rope = snapshot.rope
    line = min(max(position.line, 0), rope.line_count - 1)
    start, _, _ = rope.line_span(line)
    offset = snapshot.offset(position)
    root = rope.root
    if encoding is Encoding.UTF32 or root.utf8 == root.chars:
        return line, offset - start
    utf8 = encoding is Encoding.UTF8
    return line, rope.units_before(offset, utf8=utf8) - rope.units_before(start, utf8=utf8)


def encode_range(snapshot: Snapshot, span: Range, encoding: Encoding) -> tuple[tuple[int, int], tuple[int, int]]:
    """The client's start and end of a range."""
    return encode(snapshot, span.start, encoding), encode(snapshot, span.end, encoding)
