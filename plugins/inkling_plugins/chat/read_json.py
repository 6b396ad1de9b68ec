"""JSON with places. Comments and trailing commas are let pass, as in settings files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from inkling_plugins.chat.nodes import DEEPEST, Node, NotReadableError

_SPACE = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"true|false|null|(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")


def read_json(text: str) -> Node:
    """The whole text as one value. Raises `NotReadableError`."""
    node, end = _value(text, _skip(text, 0), 0)
    if _skip(text, end) != len(text):
        raise NotReadableError("there is something behind the end", end)
    return node


def read_json_lines(text: str, most: int) -> Iterator[Node]:
    """One value on each line, the first `most` of them; a line that is none is passed over."""
    start = 0
    for line in text.splitlines(keepends=True):
        if line.strip() and most > 0:
            most -= 1
            try:
                node, _ = _value(text, _skip(text, start), 0)
                yield node
            except NotReadableError:
                pass
        start += len(line)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, depth: int) -> tuple[Node, int]:
    if depth > DEEPEST:
        raise NotReadableError("it is nested too deeply", at)
    sign = text[at : at + 1]
    if sign == "{":
        return _object(text, at, depth)
    if sign == "[":
        return _array(text, at, depth)
    if sign == '"':
        written, end = _string(text, at)
        return Node(written, at, end), end
    match = _WORD.match(text, at)
    if match is None:
        raise NotReadableError("a value is missing", at)
    number = match[1]
    value: Any = _WORDS[match[0]] if number is None else _number(number)
    return Node(value, at, match.end()), match.end()


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() and len(text) < 100 else float(text)


def _string(text: str, at: int) -> tuple[str, int]:
    try:
        written, end = _DECODER.raw_decode(text, at)
    except ValueError:
        raise NotReadableError("a string does not end or has a wrong escape", at) from None
    return str(written), end


def _array(text: str, start: int, depth: int) -> tuple[Node, int]:
    items = []
    at = _skip(text, start + 1)
    while text[at : at + 1] != "]":
        item, at = _value(text, at, depth + 1)
        items.append(item)
        at = _comma(text, at, "]")
    return Node([item.value for item in items], start, at + 1, items=tuple(items)), at + 1


def _object(text: str, start: int, depth: int) -> tuple[Node, int]:
    fields = {}
    at = _skip(text, start + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise NotReadableError("a key is missing", at)
        key, at = _string(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise NotReadableError("a colon is missing", at)
        fields[key], at = _value(text, _skip(text, at + 1), depth + 1)
        at = _comma(text, at, "}")
    return Node({key: part.value for key, part in fields.items()}, start, at + 1, fields=fields), at + 1


def _comma(text: str, at: int, closing: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if text[at : at + 1] != closing:
        raise NotReadableError(f"a comma or {closing} is missing", at)
    return at
