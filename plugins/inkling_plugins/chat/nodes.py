"""Data read from a document, each part with its place: what the readers of JSON and YAML give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 100


class NotReadableError(ValueError):
    """The document is not what its language says, at an offset."""

    def __init__(self, words: str, offset: int) -> None:
        super().__init__(words)
        self.offset = offset


@dataclass(slots=True)
class Node:
    """`value` is the plain data; `fields` are an object's parts by key, `items` an array's, each with its own place."""

    value: Any
    start: int
    end: int
    fields: Mapping[str, Node] = field(default_factory=dict)
    items: tuple[Node, ...] = ()


def arrays(root: Node) -> Iterator[tuple[Node, Node | None]]:
    """(array, the object whose field it is) for every array in the data, in the order of the document."""
    stack: list[tuple[Node, Node | None]] = [(root, None)]
    seen: set[int] = set()
    while stack:
        node, owner = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.items:
            yield node, owner
        inner = [(item, None) for item in node.items] + [(part, node) for part in node.fields.values()]
        stack += reversed(inner)
