"""The block around the cursor, found without segmenting the document: its cost does not grow with the text."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from inkling.text.clean import clean_lines
from inkling.text.code import make, merge_comments, paragraph_spans, scanner
from inkling.text.grammar import AT_ONCE, IN_THREAD, is_settled, near, parse, patch
from inkling.text.languages import GRAMMARS, MARKDOWN, SYNTAXES
from inkling.text.lines import line_spans
from inkling.text.patchwork import SyntaxTree
from inkling.text.position import Position
from inkling.text.segment import Segment, SegmentKind, Span, assemble
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Node

REACH = 32 * 1024
"""Code points looked at on each side of the cursor where there is no tree."""
_SMALL = 2_000
"""Code points of a document that is parsed where it is asked for."""
SETTLE_S = 0.3
"""A pause after which a text with errors, read in parts so far, is parsed whole."""
_settling: dict[str, asyncio.TimerHandle] = {}
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]")
_FENCE = re.compile(r"[ \t>]*(```|~~~)")


def block_at(snapshot: Snapshot, position: Position) -> Segment | None:
    """The block that the position lies in or touches; None on a blank line.

    In code: a comment, docstring or string of several lines, else the innermost function, else class, else the lines
    between blank lines. In Markdown: the section under a heading, or a paragraph. Elsewhere a paragraph.
    """
    offset = snapshot.offset(position)
    return _block(snapshot, offset, near(snapshot, offset))


async def find_block(snapshot: Snapshot, position: Position) -> Segment | None:
    """`block_at`, at once where that takes less than about a millisecond, else in a thread.

    While the text has a syntax error, a block that the last edit did not touch is what it was before; after a pause
    the text is parsed whole.
    """
    if len(snapshot) <= _SMALL:
        return block_at(snapshot, position)
    offset = snapshot.offset(position)
    tree = patch(snapshot, offset, rough=AT_ONCE)
    if tree is not None:
        found = _block(snapshot, offset, tree)
    else:
        found = await asyncio.to_thread(
            lambda: _block(snapshot, offset, patch(snapshot, offset, rough=IN_THREAD) or near(snapshot, offset))
        )
    if snapshot.language in GRAMMARS and not is_settled(snapshot):
        _settle(snapshot)
    return found


def _settle(snapshot: Snapshot) -> None:
    """Parse it whole in a thread, unless another version comes first."""
    if (earlier := _settling.pop(snapshot.uri, None)) is not None:
        earlier.cancel()
    loop = asyncio.get_running_loop()

    def parse_whole() -> None:
        _settling.pop(snapshot.uri, None)
        loop.run_in_executor(None, parse, snapshot)

    _settling[snapshot.uri] = loop.call_later(SETTLE_S, parse_whole)


def _block(snapshot: Snapshot, offset: int, tree: SyntaxTree | None) -> Segment | None:
    if tree is not None and (found := _in_tree(snapshot, tree, offset)) is not None:
        return found
    base, text = window(snapshot, offset)
    if snapshot.language in SYNTAXES and tree is None and (comment := _scanned(text, snapshot.language, offset - base)):
        return make(text, SegmentKind.COMMENT, *comment).moved(base)
    for start, end in paragraph_spans(text):
        if start <= offset - base <= end:
            if snapshot.language in MARKDOWN and (section := _section(text, offset - base)):
                start, end = section
                return Segment(SegmentKind.SECTION, base + start, base + end, text[start:end])
            pieces = clean_lines(text[start:end])
            return assemble(SegmentKind.PARAGRAPH, base + start, base + end, pieces, base + start)
    return None


def window(snapshot: Snapshot, offset: int) -> tuple[int, str]:
    """The text within `REACH` of an offset, begun at a line start where one is in reach, and where it begins."""
    base = max(0, offset - REACH)
    if base:
        line = snapshot.rope.line_at(base)
        if line + 1 < snapshot.line_count and (start := snapshot.rope.line_span(line + 1)[0]) <= offset:
            base = start
    return base, snapshot.slice(base, offset + REACH)


def _in_tree(snapshot: Snapshot, tree: SyntaxTree, offset: int) -> Segment | None:
    grammar = GRAMMARS[tree.language]
    here, before = tree.node_at(offset, offset), tree.node_at(max(0, offset - 1), offset)
    for node in (here, before):
        if node is not None and node.type in grammar.comments:
            start, end = _comment_run(snapshot.text, tree, node, grammar.comments)
            if not start <= offset <= end:  # behind a line end that the grammar takes for a part of the comment
                continue
            return _nonempty(make(snapshot.text, SegmentKind.COMMENT, start, end))
    return _enclosing(snapshot, tree, here) or _enclosing(snapshot, tree, before)


def _enclosing(snapshot: Snapshot, tree: SyntaxTree, node: Node | None) -> Segment | None:
    grammar = GRAMMARS[tree.language]
    outer: Node | None = None
    while node is not None:
        start, end = tree.span(node)
        if node.type in grammar.strings and snapshot.position(start).line < snapshot.position(end).line:
            docstring = node.parent is not None and node.parent.type == "expression_statement"
            return _nonempty(_made(snapshot, SegmentKind.DOCSTRING if docstring else SegmentKind.STRING, start, end))
        if node.type in grammar.functions:
            return _made(snapshot, SegmentKind.FUNCTION, start, end)
        if outer is None and node.type in grammar.classes:
            outer = node
        node = node.parent
    return _made(snapshot, SegmentKind.CLASS, *tree.span(outer)) if outer is not None else None


def _made(snapshot: Snapshot, kind: SegmentKind, start: int, end: int) -> Segment:
    """`make`, without the document's whole text."""
    return make(snapshot.slice(start, end), kind, 0, end - start).moved(start)


def _comment_run(text: str, tree: SyntaxTree, node: Node, comments: tuple[str, ...]) -> Span:
    """The comment's span, with the neighbours that make one block with it."""
    spans, first, last = [tree.span(node)], node.prev_sibling, node.next_sibling
    while first is not None and first.type in comments:
        spans.insert(0, tree.span(first))
        first = first.prev_sibling
    while last is not None and last.type in comments:
        spans.append(tree.span(last))
        last = last.next_sibling
    at = tree.span(node)[0]
    return next((start, end) for start, end in merge_comments(text, spans) if start <= at <= end)


def _scanned(text: str, language: str, offset: int) -> Span | None:
    comments = [match.span() for match in scanner(language).finditer(text) if match["comment"] is not None]
    return next((span for span in merge_comments(text, comments) if span[0] <= offset <= span[1]), None)


def _section(text: str, offset: int) -> Span | None:
    """The Markdown section whose heading line holds the offset."""
    level, start, end, fenced = 0, 0, 0, False
    for first, last in line_spans(text):
        if _FENCE.match(text, first, last):
            fenced = not fenced
        heading = None if fenced else _HEADING.match(text, first, last)
        if not level:
            if first <= offset <= last:
                if heading is None:
                    return None
                level, start = len(heading[1]), first
        elif heading is not None and len(heading[1]) <= level:
            break
        end = last
    return start, start + len(text[start:end].rstrip())


def _nonempty(segment: Segment) -> Segment | None:
    return segment if segment.text else None
