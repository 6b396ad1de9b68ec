"""Paragraphs of a text that has no other structure: what an edit did not touch is taken over from the last snapshot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from operator import attrgetter

from inkling.text.clean import clean_lines
from inkling.text.code import paragraph_spans
from inkling.text.difference import rope_difference
from inkling.text.rope import Rope
from inkling.text.segment import SegmentKind, assemble
from inkling.text.segment_list import Segments
from inkling.text.snapshot import Snapshot

SMALL = 2_000
"""Characters of an edit after which paragraphs are found in well under a millisecond."""
_KEPT = 16
_latest: OrderedDict[str, tuple[Rope, Segments]] = OrderedDict()


def is_near(snapshot: Snapshot) -> bool:
    """Whether the paragraphs are known of a text that differs from this one by a small edit."""
    old = _latest.get(snapshot.uri)
    if old is None:
        return False
    start, old_end, new_end = rope_difference(old[0], snapshot.rope)
    return max(old_end, new_end) - start <= SMALL


def paragraph_segments(snapshot: Snapshot) -> Segments:
    """The paragraphs in order. The cost follows the edit, but for copying two arrays."""
    old = _latest.get(snapshot.uri)
    found = _paragraphs(snapshot, 0, len(snapshot)) if old is None else _edited(*old, snapshot)
    _latest[snapshot.uri] = (snapshot.rope, found)
    _latest.move_to_end(snapshot.uri)
    while len(_latest) > _KEPT:
        _latest.popitem(last=False)
    return found


def _paragraphs(snapshot: Snapshot, base: int, end: int) -> Segments:
    text = snapshot.slice(base, end)
    found = [
        assemble(SegmentKind.PARAGRAPH, base + start, base + stop, clean_lines(text[start:stop]), base + start)
        for start, stop in paragraph_spans(text)
    ]
    return Segments(found, apart=True)


def _edited(old: Rope, known: Segments, snapshot: Snapshot) -> Segments:
    """A paragraph stays when the gap towards the edit is whole: then the edit cannot have joined it to anything."""
    start, old_end, new_end = rope_difference(old, snapshot.rope)
    if start == old_end == new_end:
        return known
    before = max(0, bisect_right(known, start, key=attrgetter("start")) - 1)
    after = min(len(known), bisect_left(known, old_end, key=attrgetter("end")) + 1)
    by = new_end - old_end
    first = known[before - 1].end if before else 0
    last = known[after].start + by if after < len(known) else len(snapshot)
    return known.replaced(before, after, _paragraphs(snapshot, first, last), by)
