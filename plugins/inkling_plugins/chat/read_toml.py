"""Arrays of tables in TOML, with places: `[[messages]]`, once for each message."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from inkling_plugins.chat.nodes import Node, NotReadableError

_SKIPPED = r'"""(?:\\.|[^\\])*?"""|' + r"'''.*?'''|" + r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|#[^\n]*"
_TABLE = re.compile(
    rf"(?P<skipped>{_SKIPPED})|^[ \t]*\[\[[ \t]*(?P<array>[\w.\- ]+?)[ \t]*\]\]"
    r"|^[ \t]*\[[ \t]*(?P<table>[\w.\- ]+?)[ \t]*\]|^[ \t]*(?P<key>[\w\-]+)[ \t]*=(?=[ \t]*\[)",
    re.DOTALL | re.MULTILINE,
)


def read_toml(text: str) -> Iterator[tuple[Node, Mapping[str, Any]]]:
    """(array of tables, the table that holds it). Raises `NotReadableError`."""
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError):
        raise NotReadableError("it is no TOML", 0) from None
    headers: dict[str, list[tuple[int, int]]] = {}
    keys: dict[str, tuple[int, int]] = {}
    starts, table = [], ""
    for match in _TABLE.finditer(text):
        if match["skipped"] is not None:
            continue
        starts.append(match.start())
        if match["key"] is not None:
            keys.setdefault(f"{table}.{match['key']}".lstrip("."), match.span())
            starts.pop()
        elif match["array"] is not None:
            table = _name(match["array"])
            headers.setdefault(table, []).append(match.span())
        else:
            table = _name(match["table"])
    starts.append(len(text))
    for name, array, owner in _arrays(data, ""):
        places = headers.get(name) or [keys[name]] * len(array) if name in headers or name in keys else []
        if len(places) == len(array):
            items = []
            for value, (start, end) in zip(array, places, strict=True):
                stop = starts[bisect_right(starts, start)] if name in headers else end
                items.append(Node(value, start, start + len(text[start:stop].rstrip())))
            yield Node(array, items[0].start, items[-1].end, items=tuple(items)), owner


def _arrays(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, list[Any], Mapping[str, Any]]]:
    """Arrays of tables that are in no other array: those in one cannot be told apart by their headers."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _arrays(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield name, value, table


def _name(text: str) -> str:
    return ".".join(part.strip() for part in text.split("."))
