"""Syntax trees, parsed on first need and re-parsed only where the text changed.

tree-sitter and a language's grammar are imported when its first document is asked about. Trees are kept per snapshot
without keeping the snapshot alive, and the latest one of each document seeds the next parse. Who only wants to know
what is at one place asks `near`, which patches the latest tree where the text changed.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from inkling.text.difference import difference, rope_difference
from inkling.text.languages import GRAMMARS, SYNTAXES, lexer
from inkling.text.latest import Latest
from inkling.text.patchwork import STRETCH, Patchwork, SyntaxTree
from inkling.text.rope import Rope, without_surrogates
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Point, Query, Tree

PARSE_LIMIT = 512 * 1024
"""Code points above which a document gets no tree: parsing it would hold up the event loop."""
AT_ONCE = 8 * 1024
"""Code points that are parsed on the event loop, in about a millisecond at most."""
IN_THREAD = 64 * 1024
"""Code points up to which a class with an error in it is parsed by itself rather than with all else."""
_READ = 64 * 1024

_trees: WeakKeyDictionary[Snapshot, SyntaxTree | None] = WeakKeyDictionary()
_latest = Latest[tuple[str, str], tuple[str, SyntaxTree]]()
_patched = Latest[tuple[str, str], Patchwork]()
_rough = Latest[tuple[str, str], Patchwork]()


def parse(snapshot: Snapshot, budget: float = inf, *, remember: bool = True) -> SyntaxTree | None:
    """The snapshot's tree; None without a grammar for its language, above `PARSE_LIMIT`, past a budget (seconds).

    With `remember` off the tree seeds no later parse: whoever reads a whole workspace must not push out the trees of
    the documents that are being edited.
    """
    if snapshot in _trees:
        return _trees[snapshot]
    if snapshot.language not in GRAMMARS or len(snapshot) > PARSE_LIMIT:
        _trees[snapshot] = None
        return None
    key, text = (snapshot.uri, snapshot.language), snapshot.text
    old = _latest.get(key)
    seed = _edited(old[1].tree, old[0], text) if old is not None else None
    parsed = _parse(text.encode(), _language(snapshot.language), seed, budget)
    if parsed is None:
        return None
    tree = _trees[snapshot] = SyntaxTree(parsed, snapshot.rope, snapshot.language)
    if not remember:
        return tree
    _latest.put(key, (text, tree))
    whole = Patchwork.whole(snapshot.rope, tree, GRAMMARS[snapshot.language].comments)
    if key in _patched:
        _keep(key, whole)
    else:
        _patched.put(key, whole)
    return tree


def near(snapshot: Snapshot, offset: int, budget: float = inf) -> SyntaxTree | None:
    """A tree that says of the nodes around an offset, their parents and the comments beside them, what `parse` would.

    Costs as much as the statements around the last edit; None as `parse` gives it.
    """
    if snapshot in _trees:
        return _trees[snapshot]
    return patch(snapshot, offset, budget) or parse(snapshot, budget)


def patch(snapshot: Snapshot, offset: int, budget: float = inf, *, rough: int = 0) -> SyntaxTree | None:
    """As `near`, but None where the document would have to be parsed as a whole.

    With `rough`, a text that edits have left with syntax errors need not be: what the last one did not touch is read as
    it was before, and no more than so many code points are parsed. That serves who looks at a place, and not who must
    know what a compiler would make of it.
    """
    if (known := _trees.get(snapshot)) is not None:
        return known
    key = snapshot.uri, snapshot.language
    old = _patched.get(key)
    if old is None:
        return None
    known_rough = _rough.get(key) if rough else None
    for made in (old, known_rough):
        if made is not None and made.rope is snapshot.rope:
            return made.at(offset)
    if not (old.is_exact or rough):
        return None
    language = _language(snapshot.language)

    def parse_part(part: str) -> SyntaxTree | None:
        tree = _parse(without_surrogates(part).encode(), language, None, budget)
        if tree is None:
            return None
        is_open = tree.root_node.has_error and _leaves_open(part, snapshot.language)
        return SyntaxTree(tree, Rope.of(part), snapshot.language, is_open=is_open)

    limit = rough or STRETCH
    new = old.patched(snapshot.rope, rope_difference(old.rope, snapshot.rope), parse_part, limit)
    if new is None and known_rough is not None:  # errors in two places: the sound text differs by all between them
        new = known_rough.patched(snapshot.rope, rope_difference(known_rough.rope, snapshot.rope), parse_part, limit)
        if new is not None and (known_rough.is_open or new.is_open):
            return None  # a quote or a comment's mark: with another far from it, all between them is something else
    if new is None:
        return None
    _keep(key, new)
    return new.at(offset) if new.is_exact or rough else None


def is_settled(snapshot: Snapshot) -> bool:
    """Whether what `patch` says of it is what `parse` would."""
    made = _patched.get((snapshot.uri, snapshot.language))
    return snapshot in _trees or (made is not None and made.is_exact and made.rope is snapshot.rope)


def captures(tree: SyntaxTree, names: frozenset[str]) -> dict[str, list[Node]]:
    """The nodes of the names given: comment, string (docstrings too), docstring, function, class."""
    from tree_sitter import QueryCursor

    return QueryCursor(_query(tree.language, names)).captures(tree.tree.root_node)


def _keep(key: tuple[str, str], made: Patchwork) -> None:
    """Beside trees of a text with errors the last that was sound stays: it serves when they are mended."""
    if made.is_exact:
        _patched.put(key, made)
        _rough.drop(key)
    else:
        _rough.put(key, made)


def _leaves_open(text: str, language: str) -> bool:
    """Whether what follows the text would be within a string or a comment."""
    probe = f"{text}\n\n"
    return any(match.end() == len(probe) and match.group().strip() for match in _scanner(language).finditer(probe))


@cache
def _scanner(language: str) -> re.Pattern[str]:
    return lexer(SYNTAXES[language])


def _parse(data: bytes, language: Language, seed: Tree | None, budget: float) -> Tree | None:
    from tree_sitter import Parser

    deadline = perf_counter() + budget
    seeded: Any = {} if seed is None else {"old_tree": seed}
    try:
        # through callbacks, since a parse of bytes alone would hold the interpreter's lock from start to end
        return Parser(language).parse(
            lambda offset, _: data[offset : offset + _READ],
            progress_callback=lambda *_: perf_counter() > deadline,
            **seeded,
        )
    except ValueError:  # how the binding says that the callback stopped it
        return None


def _edited(tree: Tree, old: str, new: str) -> Tree:
    """A copy of the tree of `old` that knows where `new` differs."""
    start, old_end, new_end = difference(old, new)
    tree = tree.copy()
    start_byte, start_point = _place(old, start)
    old_end_byte, old_end_point = _place(old, old_end)
    new_end_byte, new_end_point = _place(new, new_end)
    tree.edit(start_byte, old_end_byte, new_end_byte, start_point, old_end_point, new_end_point)
    return tree


def _place(text: str, offset: int) -> tuple[int, Point]:
    """Byte offset, and row and byte column as tree-sitter counts them: rows end at `\n` only."""
    from tree_sitter import Point

    line = text.rfind("\n", 0, offset) + 1
    return _size(text, 0, offset), Point(text.count("\n", 0, offset), _size(text, line, offset))


def _size(text: str, start: int, end: int) -> int:
    return end - start if text.isascii() else len(text[start:end].encode())


@cache
def _language(name: str) -> Language:
    from tree_sitter import Language

    grammar = GRAMMARS[name]
    return Language(getattr(importlib.import_module(grammar.module), grammar.factory)())


def query_of(name: str, source: str) -> Query:
    """A query in tree-sitter's own words; raises its `QueryError`."""
    from tree_sitter import Query

    return Query(_language(name), source)


@cache
def _query(name: str, groups: frozenset[str]) -> Query:
    from tree_sitter import Query

    grammar = GRAMMARS[name]
    nodes = {
        "comment": grammar.comments,
        "string": grammar.strings,
        "function": grammar.functions,
        "class": grammar.classes,
    }
    patterns = [f"({node}) @{group}" for group in sorted(groups) for node in nodes.get(group, ())]
    if "docstring" in groups and grammar.module == "tree_sitter_python":
        patterns.append("(expression_statement . (string) @docstring .)")
    return Query(_language(name), "\n".join(patterns))
