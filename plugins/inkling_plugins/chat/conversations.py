"""The lists of messages in a document, whatever it is written in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from inkling.api import Snapshot, uri_path
from inkling_plugins.chat.nodes import Node, arrays
from inkling_plugins.chat.prompt_file import read_prompt
from inkling_plugins.chat.read_json import read_json, read_json_lines
from inkling_plugins.chat.read_toml import read_toml
from inkling_plugins.chat.read_yaml import read_yaml

_SUFFIXES = {
    "json": "json", "jsonc": "json", "jsonl": "jsonl", "ndjson": "jsonl", "prompt": "prompt", "prompty": "prompt",
    "toml": "toml", "yaml": "yaml", "yml": "yaml",
}  # fmt: skip
_LANGUAGES = {"json": "json", "jsonc": "json", "jsonl": "jsonl", "prompt": "prompt", "toml": "toml", "yaml": "yaml"}

SPEAKS = ("content", "parts", "tool_calls", "function_call", "reasoning_content")
"""Where a message may have what it says."""


@dataclass(frozen=True, slots=True)
class Message:
    """`start` to `end` is the whole of it; `place` to `place_end` names it: its role, or else its beginning."""

    value: Mapping[str, Any]
    start: int
    end: int
    place: int
    place_end: int

    @property
    def role(self) -> str:
        """Its role, empty when it has none."""
        role = self.value.get("role")
        return role if isinstance(role, str) else ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that follow each other, and the tools that the same object lists."""

    messages: tuple[Message, ...]
    start: int
    end: int
    tools: tuple[Mapping[str, Any], ...]
    digest: bytes
    """A hash of the messages' values and the tools."""


def kind_of(snapshot: Snapshot) -> str:
    """`json`, `jsonl`, `yaml`, `toml`, `prompt`, or empty for what holds no conversations."""
    suffix = uri_path(snapshot.uri).rpartition(".")[2].lower()
    return _SUFFIXES.get(suffix) or _LANGUAGES.get(snapshot.language, "")


def can_hold(snapshot: Snapshot) -> bool:
    """Whether the word `role` is in the document at all; where not, as in most data, reading it would be in vain."""
    return kind_of(snapshot) == "prompt" or "role" in snapshot.text or "\\u" in snapshot.text


def conversations(snapshot: Snapshot, most: int) -> list[Conversation]:
    """At most `most` and one more of them, in order. Raises `NotReadableError`."""
    return list(islice(_all(snapshot.text, kind_of(snapshot), most + 1), most + 1))


def _all(text: str, kind: str, most: int) -> Iterator[Conversation]:
    if kind == "toml":
        for array, owner in read_toml(text):
            yield from _conversation(array, owner.get("tools"))
        return
    roots: Iterator[Node] = iter(())
    if kind == "json":
        roots = iter([read_json(text)]) if text.strip() else iter(())
    elif kind == "jsonl":
        roots = read_json_lines(text, most)
    elif kind == "yaml":
        roots = read_yaml(text)
    elif kind == "prompt" and (prompt := read_prompt(text)) is not None:
        yield from _conversation(prompt, None)
    for root in roots:
        for node, holder in arrays(root):
            yield from _conversation(node, holder.value.get("tools") if holder is not None else None)


def _conversation(array: Node, tools: Any) -> Iterator[Conversation]:
    """The array, if it is a list of messages: objects, most of which have a role."""
    values = [item.value for item in array.items]
    if not all(isinstance(value, Mapping) for value in values):
        return
    if 2 * sum(isinstance(value.get("role"), str) and _speaks(value) for value in values) < len(values):
        return
    given = tuple(tool for tool in tools if isinstance(tool, Mapping)) if isinstance(tools, list) else ()
    written = json.dumps([values, given], default=str)
    digest = hashlib.blake2b(written.encode(), digest_size=16).digest()
    yield Conversation(tuple(map(_message, array.items)), array.start, array.end, given, digest)


def _speaks(value: Mapping[str, Any]) -> bool:
    """Records of users and members have roles too; a message has something to say."""
    return any(key in value for key in SPEAKS)


def _message(node: Node) -> Message:
    role = node.fields.get("role")
    place, end = (role.start, role.end) if role is not None else (node.start, min(node.end, node.start + 1))
    return Message(node.value, node.start, node.end, place, max(end, place))
