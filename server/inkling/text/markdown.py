"""Segments of Markdown: headings, paragraphs, list items and sections; no code, front matter, HTML or addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from inkling.text.lines import line_spans, strip_span
from inkling.text.segment import Pieces, Segment, SegmentKind, Span, assemble, joined

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PARSE_LIMIT = 512 * 1024
_FRONT_MATTER = re.compile(r"(?:---[ \t]*|\+\+\+[ \t]*)(?:\r\n|\r|\n)")
_LINE_START = re.compile(r"(?:[ \t]*>)*[ \t]*(?:(?:[-*+]|\d{1,9}[.)])(?=[ \t])[ \t]+)*(?:\[[ xX]\][ \t]+)?")
_ATX = re.compile(r"[ \t]*#{1,6}[ \t]+")
_ATX_END = re.compile(r"[ \t]+#+[ \t]*\Z")
_UNDERLINE = re.compile(r"[ \t]*(?:=+|-+)[ \t]*\Z")
_INLINE = re.compile(
    r"(?P<code>`+)(?:(?!`).)+(?P=code)"
    r"|!?\[(?P<label>[^\[\]\n]*)\]"
    r"(?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:[ \t]+(?:\"[^\"]*\"|'[^']*'))?\)|\[[^\[\]\n]*\])"
    r"|</?[A-Za-z][^<>\n]*>|<!--(?:(?!-->).)*-->"
    r"|(?:https?|ftp)://[^\s<>)\]]+"
    r"|(?<![\w*])\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?![\w*])|(?<!\w)_{1,3}(?=\w)|(?<=[\w.!?])_{1,3}(?!\w)|~~"
)


def markdown_segments(text: str) -> tuple[Segment, ...]:
    """All segments of a Markdown text, in order; sections come before what they hold."""
    lines = list(line_spans(text))
    tokens = _parser().parse(_blanked(text, lines))
    found = [*_blocks(text, lines, tokens), *_sections(text, lines, tokens)]
    return tuple(sorted((s for s in found if s.text), key=lambda s: (s.start, -s.end)))


def _blanked(text: str, lines: list[Span]) -> str:
    """The source for the parser: one `\\n` per line of ours, front matter emptied."""
    source = [text[start:end].replace("\f", " ") for start, end in lines]
    if _FRONT_MATTER.match(text):
        fence = source[0].strip()
        for index in range(1, len(source)):
            if source[index].strip() == fence:
                source[: index + 1] = [""] * (index + 1)
                break
    return "\n".join(source)


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


def _sections(text: str, lines: list[Span], tokens: list[Token]) -> Iterator[Segment]:
    heads = [(t.map[0], int(t.tag[1])) for t in tokens if t.type == "heading_open" and t.map and t.level == 0]
    for index, (line, level) in enumerate(heads):
        after = next((other for other, rank in heads[index + 1 :] if rank <= level), None)
        start = lines[line][0]
        end = lines[after][0] if after is not None else len(text)
        body = text[start:end].rstrip()
        yield Segment(SegmentKind.SECTION, start, start + len(body), body)


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser
