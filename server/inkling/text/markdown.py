"""Segments of Markdown: headings, paragraphs, list items and sections; no code, front matter, HTML or addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from inkling.text.lines import line_spans, strip_span
from inkling.text.segment import Pieces, Segment, SegmentKind, Span, assemble, joined

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PARSE_LIMIT = 512 * 1024
_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*(?=[\r\n])")
_HEADING_OR_FENCE = re.compile(
    r"^(?:[ \t]*\r?\n(?P<head>#{1,6}[ \t])|(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*))", re.MULTILINE
)
_UNSURE = re.compile(
    r"^[ \t]+(?:```|~~~)|^[ \t]*(?:>|[-*+]|\d+[.)]).*(?:```|~~~)|<(?:!|\?|script|pre|style|textarea)|\r(?!\n)",
    re.MULTILINE | re.IGNORECASE,
)
"""Fences inside lists or quotes, HTML that blank lines do not end, bare `\\r`: such a text is parsed as a whole."""
_LINE_START = re.compile(r"(?:[ \t]*>)*[ \t]*(?:(?:[-*+]|\d{1,9}[.)])(?=[ \t])[ \t]+)*(?:\[[ xX]\][ \t]+)?")
_ATX = re.compile(r"[ \t]*#{1,6}[ \t]+")
_ATX_END = re.compile(r"[ \t]+#+[ \t]*\Z")
_INLINE = re.compile(
    r"(?P<code>`+)(?:(?!`).)+(?P=code)"
    r"|!?\[(?P<label>[^\[\]\n]*)\]"
    r"(?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:[ \t]+(?:\"[^\"]*\"|'[^']*'))?\)|\[[^\[\]\n]*\])"
    r"|</?[A-Za-z][^<>\n]*>|<!--(?:(?!-->).)*-->"
    r"|(?:https?|ftp)://[^\s<>)\]]+"
    r"|(?<![\w*])\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?![\w*])|(?<!\w)_{1,3}(?=\w)|(?<=[\w.!?])_{1,3}(?!\w)|~~"
)


Heads = tuple[tuple[int, int], ...]
"""Offset and level of headings outside lists and quotes."""


def markdown_segments(text: str) -> tuple[Segment, ...]:
    """All segments of a Markdown text, in order; sections come before what they hold."""
    found: list[Segment] = []
    heads: list[tuple[int, int]] = []
    for start, end in _chunks(text):
        segments, inner = _chunk_segments(text[start:end])
        found += [segment.moved(start) for segment in segments] if start else segments
        heads += [(start + offset, level) for offset, level in inner]
    found += _sections(text, heads)
    return tuple(sorted(found, key=lambda segment: (segment.start, -segment.end)))


def _chunks(text: str) -> Iterator[Span]:
    """Spans that can be parsed by themselves: each begins with a heading after a blank line, outside fences.

    Between edits most chunks stay as they are, and need no new parse.
    """
    start = _after_front_matter(text)
    if not _UNSURE.search(text, start):
        fence = ""
        for mark in _HEADING_OR_FENCE.finditer(text, start):
            if mark["fence"] is None:
                if not fence:
                    yield start, mark.start("head")
                    start = mark.start("head")
            elif not fence:
                fence = "" if mark["fence"][0] == "`" and "`" in mark["info"] else mark["fence"]
            elif mark["fence"].startswith(fence) and not mark["info"].strip():
                fence = ""
    yield start, len(text)


def _after_front_matter(text: str) -> int:
    opening = _FRONT_MATTER.match(text)
    if opening is not None:
        for start, end in line_spans(text, opening.end()):
            if text[start:end].rstrip() == opening[1]:
                return end
    return 0


@lru_cache(maxsize=2048)
def _chunk_segments(text: str) -> tuple[tuple[Segment, ...], Heads]:
    """The segments of a chunk but its sections, in order, and its headings."""
    lines = list(line_spans(text))
    # the parser ends lines at `\n` only: it gets one per line of ours
    tokens = _parser().parse("\n".join([text[start:end] for start, end in lines]))
    heads = [(lines[t.map[0]][0], int(t.tag[1])) for t in tokens if t.type == "heading_open" and t.map and not t.level]
    return tuple(segment for segment in _blocks(text, lines, tokens) if segment.text), tuple(heads)


def _blocks(text: str, lines: list[Span], tokens: list[Token]) -> Iterator[Segment]:
    items = 0
    for token in tokens:
        if token.type == "list_item_open":
            items += 1
        elif token.type == "list_item_close":
            items -= 1
        elif token.map is None or token.type not in ("paragraph_open", "heading_open"):
            continue
        else:
            heading = token.type == "heading_open"
            kind = SegmentKind.HEADING if heading else SegmentKind.LIST_ITEM if items else SegmentKind.PARAGRAPH
            first, last = token.map
            yield _segment(text, kind, lines[first:last], setext=heading and token.markup in ("=", "-"))


def _segment(text: str, kind: SegmentKind, lines: list[Span], *, setext: bool) -> Segment:
    base = lines[0][0]
    start, end = strip_span(text, base, lines[-1][1])
    raw = text[base:end]
    spans = [_content(raw, first - base, min(last, end) - base, kind) for first, last in lines]
    if setext:
        spans.pop()
    if kind is not SegmentKind.HEADING:
        start = base + spans[0][0]
    return assemble(kind, start, end, _prose(joined(raw, spans)), base)


def _content(raw: str, start: int, end: int, kind: SegmentKind) -> Span:
    """A line without quote marks, list markers and heading hashes."""
    if match := _LINE_START.match(raw, start, end):
        start = match.end()
    if kind is SegmentKind.HEADING and (match := _ATX.match(raw, start, end)):
        start = match.end()
        if match := _ATX_END.search(raw[start:end]):
            end = start + match.start()
    return strip_span(raw, start, end)


def _prose(pieces: Pieces) -> Pieces:
    """The pieces without links' targets, HTML, bare addresses and emphasis marks; code spans stay."""
    kept: list[tuple[str, int]] = []
    for piece, place in pieces:
        at = 0
        for match in _INLINE.finditer(piece):
            if match["code"]:
                continue
            kept.append((piece[at : match.start()], place + at))
            at = match.end()
            if match["label"]:
                kept.extend(_prose(((match["label"], place + match.start("label")),)))
        kept.append((piece[at:], place + at))
    return tuple((piece, place) for piece, place in kept if piece)


def _sections(text: str, heads: list[tuple[int, int]]) -> Iterator[Segment]:
    for index, (start, level) in enumerate(heads):
        end = next((offset for offset, rank in heads[index + 1 :] if rank <= level), len(text))
        body = text[start:end].rstrip()
        yield Segment(SegmentKind.SECTION, start, start + len(body), body)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser
