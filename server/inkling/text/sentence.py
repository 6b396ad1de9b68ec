"""Sentences: where one ends, with abbreviations, initials, code spans and numbered items in mind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from inkling.text.lines import strip_span
from inkling.text.segment import Segment, SegmentKind, Span

_NEVER_LAST = frozenset(
    """
    mr mrs ms dr prof rev gen sen rep st vs cf eg ie e.g i.e viz resp approx fig figs eq eqs sec ch vol pp ed eds
    al ca jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun dept univ z.b bzw d.h vgl ggf
    """.split()  # noqa: SIM905
)
"""Abbreviations that something follows. Others (`etc.`, `Inc.`) end a sentence unless a small letter follows."""

_CODE = re.compile(r"(``?)(?!`)[^`\n]+(?:\n[ \t]*[^`\s][^`\n]*)?\1")
_STOP = re.compile(r"[.!?…]+[\"'”’»)\]*_`]*(?=\s|\Z)|[。！？]+[」』”’)）]*")
_BREAK = re.compile(
    r"\n[ \t]*\n\s*|\n(?=[ \t]*(?:[-*•+][ \t]|\d{1,3}[.)][ \t]|[@:][A-Za-z]+\b|>>>|[A-Z][a-z]+:[ \t]*\n))"
)
_LIST_MARKER = re.compile(r"(?:[-*•+]|\d{1,3}[.)])[ \t]+")
_WORD_BEFORE = re.compile(r"([^\W\d_](?:[\w.]*[^\W_])?|\d+)\.\Z")


@lru_cache(maxsize=8192)
def sentence_spans(text: str) -> tuple[Span, ...]:
    """Spans of the sentences of a clean text, without list markers, and white space at their ends."""
    cuts = sorted({*(m.start() for m in _BREAK.finditer(text)), *_stops(text)})
    spans, start = [], 0
    for cut in [*cuts, len(text)]:
        first, last = strip_span(text, start, cut)
        if marker := _LIST_MARKER.match(text, first, last):
            first = marker.end()
        if first < last:
            spans.append((first, last))
        start = cut
    return tuple(spans)


def sentences(segment: Segment) -> tuple[Segment, ...]:
    """The sentences of a segment, as segments of the same document; line breaks inside them are spaces."""
    return tuple(segment.part(SegmentKind.SENTENCE, start, end) for start, end in sentence_spans(segment.text))


def _stops(text: str) -> Iterator[int]:
    code = [m.span() for m in _CODE.finditer(text)]
    for stop in _STOP.finditer(text):
        if not any(start <= stop.start() < end - 1 for start, end in code) and _ends(text, stop):
            yield stop.end()


def _ends(text: str, stop: re.Match[str]) -> bool:
    """Whether a full stop, question or exclamation mark ends a sentence."""
    rest = text[stop.end() : stop.end() + 80].lstrip(" \t\n\"'“‘«([*_`")
    mark = text[stop.start()]
    if not rest or mark in "。！？":
        return True
    if mark != "." or stop.group().startswith(".."):
        return mark in "!?" or not rest[0].islower()
    word = _WORD_BEFORE.search(text[max(0, stop.start() - 40) : stop.start() + 1])
    if word is None:
        return not rest[0].islower()
    if word[1].isdigit():
        line = text[text.rfind("\n", 0, stop.start()) + 1 : stop.start() + 1]
        return line.strip() != word.group() and not rest[0].islower()
    if word[1].lower() in ("no", "nos", "p", "art") and rest[0].isdigit():
        return False
    initial = len(word[1]) == 1 and word[1].isupper() and word[1] != "I"
    return not (initial or word[1].lower() in _NEVER_LAST or rest[0].islower())
