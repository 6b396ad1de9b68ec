"""YAML with places. Nothing is constructed but text: a tag in a document runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inkling_plugins.chat.nodes import DEEPEST, Node, NotReadableError

MOST_NODES = 200_000
MOST_CHARACTERS = 1_000_000
"""Both of what the aliases of a text stand for: a few hundred bytes can name gigabytes."""
_NULL, _TRUE, _FALSE = {"", "~", "null"}, {"true", "yes", "on"}, {"false", "no", "off"}


def read_yaml(text: str) -> Iterator[Node]:
    """Each document of the text. Raises `NotReadableError`."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        reader = _Reader(text)
        for root in yaml.compose_all(text, loader):
            yield reader.document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotReadableError("it is no YAML", mark.index if mark is not None else 0) from None
    except RecursionError:
        raise NotReadableError("it is nested too deeply", 0) from None


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._nodes = self._characters = 0
        """So far, of all documents, as they would be written without aliases."""
        self._known: dict[int, tuple[Node, int, int]] = {}
        """By a composed node's id: what was read, its nodes and its characters."""

    def document(self, root: Any) -> Node:
        """A document of the text, of which `root` is the composed whole."""
        self._known.clear()  # ids are those of nodes that live: the last document's are free again
        return self.node(root, 0)

    def node(self, found: Any, depth: int) -> Node:
        """A composed node; one with an alias is read once and counted each time, and within itself it is nothing."""
        start, end = found.start_mark.index, found.end_mark.index
        if id(found) in self._known:
            node, nodes, characters = self._known[id(found)]
            self._add(nodes, characters, start)
            return node
        if depth > DEEPEST:
            raise NotReadableError("it is nested too deeply", start)
        before = self._nodes, self._characters
        self._add(1, 0, start)
        end = start + len(self._text[start:end].rstrip())  # a block ends where the next thing begins
        self._known[id(found)] = Node(None, start, end), 1, 0
        if found.id == "mapping":
            fields = {}
            for key, value in found.value:
                if key.id == "scalar":
                    self._add(0, len(key.value), start)
                    fields[str(key.value)] = self.node(value, depth + 1)
            node = Node({key: part.value for key, part in fields.items()}, start, end, fields=fields)
        elif found.id == "sequence":
            items = tuple(self.node(item, depth + 1) for item in found.value)
            node = Node([item.value for item in items], start, end, items=items)
        else:
            self._add(0, len(found.value), start)
            node = Node(_scalar(found), start, end)
        self._known[id(found)] = node, self._nodes - before[0], self._characters - before[1]
        return node

    def _add(self, nodes: int, characters: int, offset: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MOST_NODES or self._characters > MOST_CHARACTERS:
            raise NotReadableError("it has too many parts, with all that its aliases stand for", offset)


def _scalar(found: Any) -> Any:
    text = str(found.value)
    if found.tag.endswith(":str") or found.style is not None:
        return text
    lowered = text.lower()
    if lowered in _NULL:
        return None
    if lowered in _TRUE | _FALSE:
        return lowered in _TRUE
    try:
        return float(text) if "." in text or "e" in lowered else int(text)
    except ValueError:
        return text
