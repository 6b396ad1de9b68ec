"""Whether the cursor is in code, a comment, a string or a docstring."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from inkling.text.block import window
from inkling.text.code import inside_string, scanner
from inkling.text.grammar import near
from inkling.text.languages import GRAMMARS, SYNTAXES
from inkling.text.patchwork import SyntaxTree
from inkling.text.position import Position
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Node


BUDGET = 0.003
"""Seconds that a parse may take while the user types; past it, the scan decides."""


class Scope(StrEnum):
    """What surrounds a position."""

    CODE = "code"
    COMMENT = "comment"
    STRING = "string"
    DOCSTRING = "docstring"
    PROSE = "prose"
    """A language without code, such as Markdown or plain text."""


def scope_at(snapshot: Snapshot, position: Position) -> Scope:
    """What surrounds the position. A line comment reaches to the end of its line; quotes belong to no string's inside.

    Costs a re-parse of what changed where the language has a grammar, up to `BUDGET`; else, and where the syntax is
    broken, a scan of the text before the cursor, from at most `block.REACH` back.
    """
    offset = snapshot.offset(position)
    tree = near(snapshot, offset, BUDGET)
    if tree is not None:
        node = tree.node_at(max(0, offset - 1), offset)
        scope = _around(tree, node, offset, snapshot)
        if scope is not None:
            return scope
    if snapshot.language not in SYNTAXES:
        return Scope.PROSE
    return _scanned(snapshot, offset)


def _around(tree: SyntaxTree, node: Node | None, offset: int, snapshot: Snapshot) -> Scope | None:
    """The scope by the tree; None where an error makes it doubtful that this is code."""
    grammar = GRAMMARS[tree.language]
    while node is not None:
        if node.is_error:
            return None
        if node.type in grammar.comments:
            return Scope.COMMENT if _in_comment(tree, node, offset, snapshot) else Scope.CODE
        if node.type in ("interpolation", "template_substitution", "command_substitution", "expansion"):
            return Scope.CODE
        if node.type in grammar.strings:
            start, end = tree.span(node)
            if not inside_string(snapshot.slice(start, end), offset - start):
                return Scope.CODE
            statement = node.parent is not None and node.parent.type == "expression_statement"
            return Scope.DOCSTRING if statement and tree.language == "python" else Scope.STRING
        node = node.parent
    return None if tree.tree.root_node.has_error else Scope.CODE


def _in_comment(tree: SyntaxTree, node: Node, offset: int, snapshot: Snapshot) -> bool:
    start, end = tree.span(node)
    if not start < offset <= end:
        return False
    return offset < end or not snapshot.slice(max(start, end - 3), end).endswith(("*/", "-->", "]]"))


def _scanned(snapshot: Snapshot, offset: int) -> Scope:
    base, text = window(snapshot, offset)
    for match in scanner(snapshot.language).finditer(text, 0, offset - base):
        if match.end() < offset - base:
            continue
        raw = match.group()
        if match["comment"] is not None:
            closed = raw.endswith(("*/", "-->", "]]", "-}", "*)"))
            return Scope.CODE if closed else Scope.COMMENT
        return Scope.STRING if inside_string(raw, len(raw)) and not _closed(raw) else Scope.CODE
    return Scope.CODE


def _closed(raw: str) -> bool:
    quote = raw[:3] if raw[:3] in ('"""', "'''") else raw[:1]
    return len(raw) >= 2 * len(quote) and raw.endswith(quote)
