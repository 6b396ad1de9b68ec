"""Segments of a snapshot: comments, docstrings, paragraphs, sentences and so on, and the block around the cursor."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from inkling.text.block import block_at, find_block
from inkling.text.code import LAYERS, code_segments
from inkling.text.commit import commit_segments
from inkling.text.languages import COMMIT, MARKDOWN, SYNTAXES
from inkling.text.markdown import PARSE_LIMIT as MARKDOWN_LIMIT
from inkling.text.markdown import markdown_segments
from inkling.text.paragraphs import is_near, paragraph_segments
from inkling.text.segment import Segment, SegmentKind
from inkling.text.segment_list import Segments
from inkling.text.sentence import sentences
from inkling.text.snapshot import Snapshot

_found: WeakKeyDictionary[Snapshot, dict[frozenset[SegmentKind], Segments]] = WeakKeyDictionary()

PROSE = frozenset(
    {SegmentKind.COMMENT, SegmentKind.DOCSTRING, SegmentKind.PARAGRAPH, SegmentKind.HEADING, SegmentKind.LIST_ITEM}
)
"""The kinds whose texts are prose and do not overlap."""


_EVERY = frozenset(SegmentKind)


def segments(snapshot: Snapshot, kinds: Iterable[SegmentKind]) -> Segments:
    """The segments of the given kinds, in document order; `SENTENCE` gives those of all prose in the document.

    Code yields comments, docstrings, strings, functions and classes; Markdown headings, paragraphs, list items and
    sections; a commit message itself, its subject as a heading and its paragraphs; any other text paragraphs. Computed
    once per snapshot, which the cache does not keep alive.
    """
    wanted = frozenset(kinds)
    sought = wanted | PROSE if SegmentKind.SENTENCE in wanted else wanted
    known = _found.setdefault(snapshot, {})
    layers = [layer for layer in _layers(snapshot) if layer & sought]
    for layer in layers:
        if layer not in known:
            known[layer] = _segments(snapshot, layer)
    if len(layers) == 1 and SegmentKind.SENTENCE not in wanted:
        return known[layers[0]].of(wanted)  # a layer's are in order
    every = [segment for layer in layers for segment in known[layer]]
    found = [segment for segment in every if segment.kind in wanted]
    if SegmentKind.SENTENCE in wanted:
        found += [sentence for segment in every if segment.kind in PROSE for sentence in sentences(segment)]
    return Segments(sorted(found, key=lambda segment: (segment.start, -segment.end)))


def segments_are_near(snapshot: Snapshot) -> bool:
    """Whether `segments` takes a moment only, since little has changed: a hint, for who would else ask a thread.

    It speaks of the segments, not of what is made of them.
    """
    return _is_plain(snapshot) and is_near(snapshot)


def _layers(snapshot: Snapshot) -> tuple[frozenset[SegmentKind], ...]:
    return LAYERS if snapshot.language in SYNTAXES else (_EVERY,)


def _segments(snapshot: Snapshot, layer: frozenset[SegmentKind]) -> Segments:
    if _is_plain(snapshot):
        return paragraph_segments(snapshot)
    if snapshot.language in SYNTAXES:
        return Segments(code_segments(snapshot, layer))
    if snapshot.language in COMMIT:
        return Segments(commit_segments(snapshot.text))
    return Segments(markdown_segments(snapshot.text))


def _is_plain(snapshot: Snapshot) -> bool:
    if snapshot.language in SYNTAXES or snapshot.language in COMMIT:
        return False
    return snapshot.language not in MARKDOWN or len(snapshot) > MARKDOWN_LIMIT


__all__ = [
    "PROSE",
    "Segment",
    "SegmentKind",
    "Segments",
    "block_at",
    "find_block",
    "segments",
    "segments_are_near",
    "sentences",
]
