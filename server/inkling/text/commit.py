"""Segments of a commit message: the whole, its subject, its paragraphs; no comments, trailers or diff."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inkling.text.lines import line_spans, strip_span
from inkling.text.segment import Segment, SegmentKind, Span, assemble, joined

_SCISSORS = re.compile(r"^# -+ >8 -+", re.MULTILINE)
_DIFF = re.compile(r"^diff --git ", re.MULTILINE)
_TRAILER = re.compile(r"(?:[A-Z][A-Za-z]*(?:-[A-Za-z]+)+|Fixes|Closes|Refs|Bug|Cc): \S")


def commit_segments(text: str) -> tuple[Segment, ...]:
    """All segments of the text in a commit message editor, in order."""
    cut = min((m.start() for m in (_SCISSORS.search(text), _DIFF.search(text)) if m), default=len(text))
    lines = [_content(text, span) for span in line_spans(text, 0, cut)]
    blocks = list(_blocks(lines))
    if not blocks:
        return ()
    kinds = [SegmentKind.HEADING, *[SegmentKind.PARAGRAPH] * (len(blocks) - 1)]
    parts = [_segment(text, kind, block) for kind, block in zip(kinds, blocks, strict=True)]
    whole: list[Span | None] = []
    for block in blocks:
        whole += [*block, None]
    return _segment(text, SegmentKind.COMMIT_MESSAGE, whole), *parts


def _content(text: str, span: Span) -> Span | None:
    start, end = strip_span(text, *span)
    # an empty line separates paragraphs, a comment line or trailer is as if it were not there
    return None if text.startswith("#", span[0], end) or _TRAILER.match(text, start, end) else (start, end)


def _blocks(lines: list[Span | None]) -> Iterator[list[Span]]:
    block: list[Span] = []
    for line in lines:
        if line is not None and line[0] < line[1]:
            block.append(line)
        elif line is not None and block:
            yield block
            block = []
    if block:
        yield block


def _segment(text: str, kind: SegmentKind, spans: list[Span] | list[Span | None]) -> Segment:
    solid = [span for span in spans if span is not None]
    start, end = solid[0][0], solid[-1][1]
    raw = text[:end]
    return assemble(kind, start, end, joined(raw, spans), 0)
