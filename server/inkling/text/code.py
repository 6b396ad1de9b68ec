"""Segments of source code: through its syntax tree, or by a lexical scan where there is no tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from inkling.text.clean import clean_comment, clean_lines, clean_string, quoted_span
from inkling.text.grammar import captures, parse
from inkling.text.languages import SYNTAXES, lexer
from inkling.text.patchwork import SyntaxTree
from inkling.text.segment import Pieces, Segment, SegmentKind, Span, assemble
from inkling.text.snapshot import Snapshot

_DOC_COMMENT = re.compile(r"/\*\*(?![*/])|/\*!|///(?!/)|//!")
_BLOCK = re.compile(r"/\*|<!--|=begin|--\[|\(\*|\{")
_SPACE_AND_ONE_END = re.compile(r"[ \t]*(?:\r\n|\r|\n)[ \t]*")
_BLANK_LINES = re.compile(r"(?:\r\n|\r(?!\n)|\n)[ \t]*(?:\r\n|\r|\n)")

Found = tuple[SegmentKind, int, int]


LAYERS = (
    frozenset({SegmentKind.COMMENT, SegmentKind.DOCSTRING}),
    frozenset({SegmentKind.STRING, SegmentKind.FUNCTION, SegmentKind.CLASS}),
)
"""Kinds that are found together: whoever wants the comments need not pay for the strings."""


def code_segments(snapshot: Snapshot, layer: frozenset[SegmentKind]) -> tuple[Segment, ...]:
    """The segments of a code document that belong to a layer, in order."""
    tree = parse(snapshot)
    text = snapshot.text
    found = list(_from_tree(tree, layer) if tree is not None else _from_scan(text, snapshot.language, layer))
    comments = sorted((start, end) for kind, start, end in found if kind is SegmentKind.COMMENT)
    spans = [(_comment_kind(text, start), start, end) for start, end in merge_comments(text, comments)]
    spans += [item for item in found if item[0] is not SegmentKind.COMMENT]
    made = (make(text, kind, start, end) for kind, start, end in sorted(spans, key=lambda item: (item[1], -item[2])))
    return tuple(segment for segment in made if segment.text)


def make(text: str, kind: SegmentKind, start: int, end: int) -> Segment:
    """The segment of a span of `text`, cleaned as its kind asks."""
    raw = text[start:end]
    if kind in (SegmentKind.FUNCTION, SegmentKind.CLASS):
        return Segment(kind, start, end, raw)
    return assemble(kind, start, end, _cleaner(kind, raw)(raw), start)


def _cleaner(kind: SegmentKind, raw: str) -> Callable[[str], Pieces]:
    if kind is SegmentKind.COMMENT or (kind is SegmentKind.DOCSTRING and raw.startswith("/")):
        return clean_comment
    return clean_string if kind in (SegmentKind.STRING, SegmentKind.DOCSTRING) else clean_lines


def merge_comments(text: str, comments: Iterable[Span]) -> Iterator[Span]:
    """Comment spans, with line comments on consecutive lines of their own made one."""
    block: Span | None = None
    for start, end in comments:
        while end > start and text[end - 1] in "\r\n":
            end -= 1
        if block is not None and _continues(text, block, start):
            block = block[0], end
            continue
        if block is not None:
            yield block
        block = start, end
    if block is not None:
        yield block


def _continues(text: str, block: Span, start: int) -> bool:
    if not _SPACE_AND_ONE_END.fullmatch(text, block[1], start):
        return False
    if _BLOCK.match(text, block[0]) or _BLOCK.match(text, start):
        return False
    line = text.rfind("\n", 0, block[0]) + 1
    line = max(line, text.rfind("\r", line, block[0]) + 1)
    alone = not text[line : block[0]].strip()
    return alone and _comment_kind(text, block[0]) is _comment_kind(text, start)


def _comment_kind(text: str, start: int) -> SegmentKind:
    return SegmentKind.DOCSTRING if _DOC_COMMENT.match(text, start) else SegmentKind.COMMENT


def _from_tree(tree: SyntaxTree, layer: frozenset[SegmentKind]) -> Iterator[Found]:
    found = captures(tree, layer | {SegmentKind.DOCSTRING})
    docstrings = {node.id for node in found.get("docstring", ())}
    for name, nodes in found.items():
        for node in nodes:
            if name == "string" and node.id in docstrings:
                continue
            start, end = tree.span(node)
            if name in layer:
                yield SegmentKind(name), start, end


def _from_scan(text: str, language: str, layer: frozenset[SegmentKind]) -> Iterator[Found]:
    for match in scanner(language).finditer(text):
        kind = SegmentKind.COMMENT if match["comment"] is not None else SegmentKind.STRING
        if kind in layer:
            yield kind, match.start(), match.end()


@cache
def scanner(language: str) -> re.Pattern[str]:
    """The lexical pattern of a language in `SYNTAXES`."""
    return lexer(SYNTAXES[language])


def inside_string(raw: str, offset: int) -> bool:
    """Whether an offset in a string's raw text lies between its quotes."""
    start, end = quoted_span(raw)
    return start <= offset <= end


def paragraph_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """Spans of text between blank lines, without white space at their ends."""
    end = len(text) if end is None else end
    for match in _BLANK_LINES.finditer(text, start, end):
        if match.start() >= start:
            yield from _trimmed(text, start, match.start())
            start = match.end()
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    body = text[start:end]
    if body.strip():
        first = start + len(body) - len(body.lstrip())
        yield first, first + len(body.strip())
