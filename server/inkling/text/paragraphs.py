"""Paragraphs of a text that has no other structure: what an edit did not touch is taken over from the last snapshot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import NamedTuple

from inkling.text.clean import clean_lines
from inkling.text.code import paragraph_spans
from inkling.text.difference import rope_difference
from inkling.text.latest import Latest
from inkling.text.rope import Rope
from inkling.text.segment import SegmentKind, assemble
from inkling.text.segment_list import Segments
from inkling.text.snapshot import Snapshot

SMALL = 4_000
"""Characters around an edit that are read anew in about a millisecond, and all that is made of them in two."""
_latest = Latest[str, tuple[Rope, Segments]]()


def is_near(snapshot: Snapshot) -> bool:
    """Whether the paragraphs of the last version are known, and few characters have to be read to have this one's."""
    old = _latest.get(snapshot.uri)
    if old is None:
        return False
    edited = _edited(*old, snapshot)
    return edited is None or edited.end - edited.start <= SMALL


def paragraph_segments(snapshot: Snapshot) -> Segments:
    """The paragraphs in order. The cost follows the edit, but for copying two arrays."""
    old = _latest.get(snapshot.uri)
    if old is None:
        found = _paragraphs(snapshot, 0, len(snapshot))
    else:
        found = old[1]
        if (edited := _edited(*old, snapshot)) is not None:
            fresh = _paragraphs(snapshot, edited.start, edited.end)
            found = found.replaced(edited.first, edited.last, fresh, edited.by)
    _latest.put(snapshot.uri, (snapshot.rope, found))
    return found


def _paragraphs(snapshot: Snapshot, base: int, end: int) -> Segments:
    text = snapshot.slice(base, end)
    found = [
        assemble(SegmentKind.PARAGRAPH, base + start, base + stop, clean_lines(text[start:stop]), base + start)
        for start, stop in paragraph_spans(text)
    ]
    return Segments(found, apart=True)


class _Edited(NamedTuple):
    """The paragraphs `first` to `last` of the version before have to be read anew, from `start` to `end` of the new
    text; those behind have moved by so many code points."""

    first: int
    last: int
    start: int
    end: int
    by: int


def _edited(old: Rope, known: Segments, snapshot: Snapshot) -> _Edited | None:
    """A paragraph stays when the gap towards the edit is whole: then the edit cannot have joined it to anything.

    None: nothing has changed.
    """
    start, old_end, new_end = rope_difference(old, snapshot.rope)
    if start == old_end == new_end:
        return None
    before = max(0, bisect_right(known, start, key=attrgetter("start")) - 1)
    after = min(len(known), bisect_left(known, old_end, key=attrgetter("end")) + 1)
    by = new_end - old_end
    first = known[before - 1].end if before else 0
    last = known[after].start + by if after < len(known) else len(snapshot)
    return _Edited(before, after, first, last, by)
