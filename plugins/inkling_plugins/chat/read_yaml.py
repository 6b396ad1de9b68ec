"""YAML with places. Nothing is constructed but text: a tag in a document runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inkling_plugins.chat.nodes import DEEPEST, Node, NotReadableError

MOST_NODES = 200_000
_NULL, _TRUE, _FALSE = {"", "~", "null"}, {"true", "yes", "on"}, {"false", "no", "off"}


def read_yaml(text: str) -> Iterator[Node]:
    """Each document of the text. Raises `NotReadableError`."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for root in yaml.compose_all(text, loader):
            yield _Reader(text).node(root, 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotReadableError("it is no YAML", mark.index if mark is not None else 0) from None
    except RecursionError:
        raise NotReadableError("it is nested too deeply", 0) from None


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MOST_NODES
        self._known: dict[int, Node] = {}

    def node(self, found: Any, depth: int) -> Node:
        """A composed node; one with an alias is read once, and within itself it is nothing."""
        if id(found) in self._known:
            return self._known[id(found)]
        self._left -= 1
        start, end = found.start_mark.index, found.end_mark.index
        if depth > DEEPEST or self._left < 0:
            raise NotReadableError("it is nested too deeply or has too many parts", start)
        end = start + len(self._text[start:end].rstrip())  # a block ends where the next thing begins
        self._known[id(found)] = Node(None, start, end)
        if found.id == "mapping":
            fields = {str(key.value): self.node(value, depth + 1) for key, value in found.value if key.id == "scalar"}
            node = Node({key: part.value for key, part in fields.items()}, start, end, fields=fields)
        elif found.id == "sequence":
            items = tuple(self.node(item, depth + 1) for item in found.value)
            node = Node([item.value for item in items], start, end, items=items)
        else:
            node = Node(_scalar(found), start, end)
        self._known[id(found)] = node
        return node


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
