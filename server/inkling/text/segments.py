"""Segments of a snapshot: comments, docstrings, paragraphs, sentences and so on, and the block around the cursor."""

from __future__ import annotations

import re
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from inkling.text.position import Position
from inkling.text.segment import Segment, SegmentKind
from inkling.text.snapshot import Snapshot

_PARAGRAPH = re.compile(r"\S[^\r\n]*(?:(?:\r\n|\r|\n)(?![ \t]*(?:[\r\n]|\Z))[^\r\n]*)*")

_found: WeakKeyDictionary[Snapshot, tuple[Segment, ...]] = WeakKeyDictionary()


def segments(snapshot: Snapshot, kinds: Iterable[SegmentKind]) -> tuple[Segment, ...]:
    """The segments of the given kinds, in document order. Computed once per snapshot, which is never kept alive."""
    every = _found.get(snapshot)
    if every is None:
        every = _found[snapshot] = tuple(
            Segment(SegmentKind.PARAGRAPH, m.start(), m.end(), m.group()) for m in _PARAGRAPH.finditer(snapshot.text)
        )
    wanted = frozenset(kinds)
    return tuple(segment for segment in every if segment.kind in wanted)


def block_at(snapshot: Snapshot, position: Position) -> Segment | None:
    """The smallest paragraph, comment, docstring, function or section around the position."""
    offset = snapshot.offset(position)
    blocks = segments(snapshot, (SegmentKind.PARAGRAPH,))
    return min((b for b in blocks if b.start <= offset <= b.end), key=lambda b: b.end - b.start, default=None)


def sentences(segment: Segment) -> tuple[Segment, ...]:
    """The sentences of a segment, as segments of the same document."""
    return (Segment(SegmentKind.SENTENCE, segment.start, segment.end, segment.text, segment.runs),)


__all__ = ["Segment", "SegmentKind", "block_at", "segments", "sentences"]
