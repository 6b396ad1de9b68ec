"""Syntax trees, parsed on first need and re-parsed only where the text changed.

tree-sitter and a language's grammar are imported when its first document is asked about. Trees are kept per snapshot
without keeping the snapshot alive, and the latest one of each document seeds the next parse.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from inkling.text.languages import GRAMMARS
from inkling.text.rope import Rope, difference
from inkling.text.segment import Span
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Point, Query, Tree

PARSE_LIMIT = 512 * 1024
"""Code points above which a document gets no tree: parsing it would hold up the event loop."""
_KEPT = 16

_trees: WeakKeyDictionary[Snapshot, SyntaxTree | None] = WeakKeyDictionary()
_latest: OrderedDict[tuple[str, str], tuple[Rope, SyntaxTree]] = OrderedDict()


class SyntaxTree:
    """A tree over UTF-8 bytes, read in code points."""

    def __init__(self, tree: Tree, rope: Rope, language: str) -> None:
        self.tree = tree
        self.language = language
        self._rope = rope
        self._ascii = rope.root.utf8 == rope.root.chars

    def span(self, node: Node) -> Span:
        """A node's span in code points."""
        start, end = node.start_byte, node.end_byte
        if self._ascii:
            return start, end
        return self._rope.offset_of(start, utf8=True)[0], self._rope.offset_of(end, utf8=True)[0]

    def node_at(self, start: int, end: int) -> Node | None:
        """The smallest node around a span of code points."""
        if not self._ascii:
            start, end = (self._rope.units_before(offset, utf8=True) for offset in (start, end))
        return self.tree.root_node.descendant_for_byte_range(start, end)

    def captures(self) -> dict[str, list[Node]]:
        """All nodes worth knowing, by what they are: comment, string, docstring, function, class."""
        from tree_sitter import QueryCursor

        return QueryCursor(_query(self.language)).captures(self.tree.root_node)


def parse(snapshot: Snapshot) -> SyntaxTree | None:
    """The snapshot's tree; None without a grammar for its language, or above `PARSE_LIMIT`."""
    if snapshot in _trees:
        return _trees[snapshot]
    tree = None
    if snapshot.language in GRAMMARS and len(snapshot) <= PARSE_LIMIT:
        tree = _parse(snapshot)
    _trees[snapshot] = tree
    return tree


def _parse(snapshot: Snapshot) -> SyntaxTree:
    from tree_sitter import Parser

    key = snapshot.uri, snapshot.language
    old = _latest.pop(key, None)
    text = snapshot.text
    seed = _edited(old[1].tree, old[0], snapshot.rope) if old is not None else None
    parser = Parser(_language(snapshot.language))
    data = text.encode()
    parsed = parser.parse(data, seed) if seed is not None else parser.parse(data)
    tree = SyntaxTree(parsed, snapshot.rope, snapshot.language)
    _latest[key] = snapshot.rope, tree
    while len(_latest) > _KEPT:
        _latest.popitem(last=False)
    return tree


def _edited(tree: Tree, old: Rope, new: Rope) -> Tree:
    start, old_end, new_end = difference(old, new)
    tree = tree.copy()
    tree.edit(
        start_byte=old.units_before(start, utf8=True),
        old_end_byte=old.units_before(old_end, utf8=True),
        new_end_byte=new.units_before(new_end, utf8=True),
        start_point=_point(old, start),
        old_end_point=_point(old, old_end),
        new_end_point=_point(new, new_end),
    )
    return tree


def _point(rope: Rope, offset: int) -> Point:
    """Row and byte column as tree-sitter counts them: rows end at `\\n` only."""
    from tree_sitter import Point

    before = rope.slice(0, offset)
    return Point(before.count("\n"), len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogatepass")))


@cache
def _language(name: str) -> Language:
    from tree_sitter import Language

    grammar = GRAMMARS[name]
    return Language(getattr(importlib.import_module(grammar.module), grammar.factory)())


@cache
def _query(name: str) -> Query:
    from tree_sitter import Query

    grammar = GRAMMARS[name]
    groups = {
        "comment": grammar.comments,
        "string": grammar.strings,
        "function": grammar.functions,
        "class": grammar.classes,
    }
    patterns = [f"({node}) @{group}" for group, nodes in groups.items() for node in nodes]
    if grammar.module == "tree_sitter_python":
        patterns.append("(expression_statement . (string) @docstring .)")
    return Query(_language(name), "\n".join(patterns))
