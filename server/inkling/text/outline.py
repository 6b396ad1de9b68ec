"""The definitions of a source file: what each is called, where it lies, what its documentation says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkling.text.code import make, merge_comments
from inkling.text.grammar import captures, parse
from inkling.text.languages import GRAMMARS
from inkling.text.patchwork import SyntaxTree
from inkling.text.segment import SegmentKind
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from tree_sitter import Node

_WRAPPERS = frozenset(
    ("decorated_definition", "export_statement", "variable_declarator", "lexical_declaration", "variable_declaration",
     "assignment_expression", "expression_statement", "template_declaration", "pair", "public_field_definition",
     "field_definition")
)  # fmt: skip
"""Nodes that hold a definition and nothing else worth a name: the comment above one of them speaks of it."""
_NAME_IN = ("name", "declarator", "type", "left", "key", "property")
_IDENTIFIER = re.compile(r"[^\W\d][\w$]*")
_BETWEEN = re.compile(r"[ \t]*(?:\r\n|\r|\n)?[ \t]*")
"""What may stand between a comment and what it documents."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or class, `[start, end)` in code points.

    `container` are the names around it, joined by dots; `documentation` is the clean text of its docstring, or of the
    comment directly above it.
    """

    name: str
    kind: str
    """`function`, `method` (a function in a class) or `class`."""
    container: str
    start: int
    end: int
    parameters: tuple[str, ...] = ()
    documentation: str = ""


def outline(snapshot: Snapshot) -> tuple[Definition, ...]:
    """The named functions and classes, in document order; empty without a grammar for the language.

    Costs a parse and a pass over the tree: for a thread.
    """
    tree = parse(snapshot, remember=False)
    if tree is None:
        return ()
    found = captures(tree, frozenset({SegmentKind.FUNCTION, SegmentKind.CLASS}))
    nodes = [(node, False) for node in found.get(SegmentKind.FUNCTION, ())]
    nodes += [(node, True) for node in found.get(SegmentKind.CLASS, ())]
    nodes.sort(key=lambda item: (item[0].start_byte, -item[0].end_byte))
    return tuple(_definitions(snapshot.text, tree, nodes))


def _definitions(text: str, tree: SyntaxTree, nodes: list[tuple[Node, bool]]) -> Iterator[Definition]:
    around: list[tuple[int, str, bool]] = []  # (end byte, name, whether a class) of what is open
    for node, is_class in nodes:
        while around and around[-1][0] <= node.start_byte:
            around.pop()
        name = _name(node)
        if not name:
            continue
        container = ".".join(outer for _, outer, _ in around)
        in_class = bool(around) and around[-1][2]
        kind = "class" if is_class else "method" if in_class else "function"
        start, end = tree.span(node)
        yield Definition(name, kind, container, start, end, tuple(_parameters(node)), _documentation(text, tree, node))
        around.append((node.end_byte, name, is_class))


def _name(node: Node) -> str:
    """What a definition is called; empty for an anonymous one."""
    found = node.child_by_field_name("name")
    if found is None and node.type == "type_declaration":  # Go
        spec = next((child for child in node.named_children if child.type in ("type_spec", "type_alias")), None)
        found = spec.child_by_field_name("name") if spec is not None else None
    if found is None and node.type in ("arrow_function", "function_expression", "func_literal"):
        holder = node.parent
        while holder is not None and holder.type in ("expression_list", "parenthesized_expression"):
            holder = holder.parent
        if holder is None or holder.type not in _WRAPPERS | {"short_var_declaration", "assignment_statement"}:
            return ""
        found = next((child for field in _NAME_IN if (child := holder.child_by_field_name(field)) is not None), None)
    if found is None:
        found = next((child for field in _NAME_IN if (child := node.child_by_field_name(field)) is not None), None)
    while found is not None and (inner := found.child_by_field_name("declarator")) is not None:  # C: *name(…)
        found = inner
    if found is None:
        return ""
    words: list[str] = _IDENTIFIER.findall((found.text or b"").decode("utf-8", "replace"))
    return (words or [""])[0 if found.type == "generic_type" else -1]


def _parameters(node: Node) -> Iterator[str]:
    holder, inner = node.child_by_field_name("parameters"), node
    while holder is None and (declarator := inner.child_by_field_name("declarator")) is not None:
        inner = declarator
        holder = inner.child_by_field_name("parameters")
    for child in holder.named_children if holder is not None else ():
        if child.type == "comment":
            continue
        named = next(
            (found for field in ("name", "pattern", "declarator") if (found := child.child_by_field_name(field))), child
        )
        words = _IDENTIFIER.findall((named.text or b"").decode("utf-8", "replace"))
        if words and words[0] not in ("self", "cls", "this"):
            yield words[0]


def _documentation(text: str, tree: SyntaxTree, node: Node) -> str:
    body = node.child_by_field_name("body")
    if tree.language == "python":
        first = body.named_children[0] if body is not None and body.named_children else None
        string = first.named_children[0] if first is not None and first.named_children else None
        if (
            first is not None
            and first.type == "expression_statement"
            and string is not None
            and string.type == "string"
        ):
            return make(text, SegmentKind.DOCSTRING, *tree.span(string)).text
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    comments = GRAMMARS[tree.language].comments
    spans: list[tuple[int, int]] = []
    above, next_start = node.prev_sibling, tree.span(node)[0]
    while above is not None and (
        above.type in comments or above.type in ("decorator", "attribute_item", "marker_annotation")
    ):
        start, end = tree.span(above)
        if not _BETWEEN.fullmatch(text, end, next_start):
            break
        if above.type in comments:
            spans.insert(0, (start, end))
        above, next_start = above.prev_sibling, start
    line = text.rfind("\n", 0, spans[0][0]) + 1 if spans else 0
    if not spans or text[line : spans[0][0]].strip():  # the comment at the end of another line's code is about that
        return ""
    return "\n".join(make(text, SegmentKind.COMMENT, *span).text for span in merge_comments(text, spans))
