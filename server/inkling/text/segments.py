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
from inkling.text.paragraphs import paragraph_segments
from inkling.text.segment import Segment, SegmentKind
from inkling.text.sentence import sentences
from inkling.text.snapshot import Snapshot

_found: WeakKeyDictionary[Snapshot, dict[frozenset[SegmentKind], tuple[Segment, ...]]] = WeakKeyDictionary()

PROSE = frozenset(
    {SegmentKind.COMMENT, SegmentKind.DOCSTRING, SegmentKind.PARAGRAPH, SegmentKind.HEADING, SegmentKind.LIST_ITEM}
)
"""The kinds whose texts are prose and do not overlap."""


_EVERY = frozenset(SegmentKind)


def segments(snapshot: Snapshot, kinds: Iterable[SegmentKind]) -> tuple[Segment, ...]:
    """The segments of the given kinds, in document order; `SENTENCE` gives those of all prose in the document.

    Code yields comments, docstrings, strings, functions and classes; Markdown headings, paragraphs, list items and
    sections; a commit message itself, its subject as a heading and its paragraphs; any other text paragraphs. Computed
    once per snapshot, which the cache does not keep alive.
    """
    wanted = frozenset(kinds)
    sought = wanted | PROSE if SegmentKind.SENTENCE in wanted else wanted
    known = _found.setdefault(snapshot, {})
    every: list[Segment] = []
    layers = [layer for layer in _layers(snapshot) if layer & sought]
    for layer in layers:
        if layer not in known:
            known[layer] = _segments(snapshot, layer)
        every += known[layer]
    found = [segment for segment in every if segment.kind in wanted]
    if SegmentKind.SENTENCE in wanted:
        found += [sentence for segment in every if segment.kind in PROSE for sentence in sentences(segment)]
    elif len(layers) == 1:
        return tuple(found)  # a layer's are in order
    return tuple(sorted(found, key=lambda segment: (segment.start, -segment.end)))


def _layers(snapshot: Snapshot) -> tuple[frozenset[SegmentKind], ...]:
    return LAYERS if snapshot.language in SYNTAXES else (_EVERY,)


def _segments(snapshot: Snapshot, layer: frozenset[SegmentKind]) -> tuple[Segment, ...]:
    if snapshot.language in SYNTAXES:
        return code_segments(snapshot, layer)
    if snapshot.language in COMMIT:
        return commit_segments(snapshot.text)
    if snapshot.language in MARKDOWN and len(snapshot) <= MARKDOWN_LIMIT:
        return markdown_segments(snapshot.text)
    return paragraph_segments(snapshot)


__all__ = ["PROSE", "Segment", "SegmentKind", "block_at", "find_block", "segments", "sentences"]
