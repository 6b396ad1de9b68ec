"""`.prompt` files: front matter between `---` lines, then the messages, each below a line that names its role.

A role line is `<|user|>`, or `user:` (a heading, `# user:`, too), or `{{role "user"}}` as in dotprompt files; `model`
means `assistant`. What stands before the first role line is the system's message, or, in a file without any, the
user's. Placeholders such as `{{name}}` stay as they are: the file is shown, not filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inkling_plugins.chat.nodes import Node

ROLES = ("system", "developer", "user", "assistant", "model", "tool", "function")
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?:.*?\r?\n)??---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_ROLE = re.compile(
    rf"""^[ \t]*(?:<\|(?P<marked>\w+)\|>|(?:\#{{1,6}}[ \t]*)?(?P<named>{"|".join(ROLES)})[ \t]*:)[ \t]*\r?$"""
    r"""|\{\{-?[ \t]*role[ \t]+["'](?P<helper>\w+)["'][ \t]*-?\}\}""",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)


def read_prompt(text: str) -> Node | None:
    """The file's messages as an array of objects; None when it has none."""
    front = _FRONT.match(text)
    start = front.end() if front else 0
    found = [node for node in _messages(text, start) if node is not None]
    if not found:
        return None
    return Node([node.value for node in found], found[0].start, found[-1].end, items=tuple(found))


def _messages(text: str, start: int) -> Iterator[Node | None]:
    marks = list(_ROLE.finditer(text, start))
    first = marks[0].start() if marks else len(text)
    if text[start:first].strip():
        yield _message("system" if marks else "user", text, start, start, first)
    for mark, following in zip(marks, [*marks[1:], None][: len(marks)], strict=True):
        role = (mark["marked"] or mark["named"] or mark["helper"]).lower()
        end = following.start() if following is not None else len(text)
        yield _message("assistant" if role == "model" else role, text, mark.start(), mark.end(), end)


def _message(role: str, text: str, start: int, begin: int, end: int) -> Node:
    body = text[begin:end]
    lead = len(body) - len(body.lstrip())
    start = begin + lead if start == begin else start
    content = body.strip()
    stop = max(begin + lead + len(content), start)
    named = Node(role, start, begin if begin > start else min(stop, start + 1))
    return Node({"role": role, "content": content}, start, stop, fields={"role": named})
