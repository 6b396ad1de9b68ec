"""How a session looks in a terminal: code with a cursor and ghost text, edits as text, times in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group
from rich.text import Text

GUTTER = 9
"""Columns that the line number takes."""


def apply_edits(text: str, edits: list[dict[str, Any]]) -> str:
    """Apply LSP text edits (columns in code points) to `text`."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(position: dict[str, int]) -> int:
        return min(starts[min(position["line"], len(starts) - 1)] + position["character"], len(text))

    for edit in sorted(edits, key=lambda edit: offset(edit["range"]["start"]), reverse=True):
        text = text[: offset(edit["range"]["start"])] + edit["newText"] + text[offset(edit["range"]["end"]) :]
    return text


def edits_for(edit: dict[str, Any], uri: str) -> list[dict[str, Any]]:
    """The text edits that a WorkspaceEdit holds for one document."""
    changes = edit.get("documentChanges")
    if changes is not None:
        return [item for change in changes if change["textDocument"]["uri"] == uri for item in change["edits"]]
    return list((edit.get("changes") or {}).get(uri, []))


def ghost_text(value: Any) -> str:
    """The first item's text of an inline completion reply, whole or partial; empty when there is none."""
    items = value.get("items", []) if isinstance(value, dict) else value or []
    if not items:
        return ""
    text = items[0]["insertText"]
    return str(text["value"] if isinstance(text, dict) else text)


def code_view(
    lines: Sequence[str], line: int, *, cursor: int | None = None, typed: str | None = None, ghost: str = ""
) -> Group:
    """A few lines around `line`, with a cursor, and ghost text behind what was typed."""
    rows: list[Text] = []
    for number in range(max(0, line - 3), min(len(lines), line + 2)):
        content = lines[number]
        row = Text(f"  {number + 1:>4} │ ", style="bright_black")
        if number == line and typed is not None:
            row.append(typed, style="bold default")
            head, *more = f"▏{ghost}".split("\n")
            row.append(head, style="italic magenta")
            rows.append(row)
            rows.extend(Text("       │ ", style="bright_black").append(extra, style="italic magenta") for extra in more)
            continue
        row.append(content, style="default")
        if number == line and cursor is not None and cursor < len(content):
            start = len(row) - len(content) + cursor
            row.stylize("reverse", start, start + 1)
        rows.append(row)
    return Group(*rows)


def squiggled(line: str, start: int, stop: int, *, number: int, width: int, style: str) -> Iterator[Text]:
    """A line folded to `width` columns, with squiggles under its characters from `start` to `stop`."""
    room = max(20, width - GUTTER)
    for at in range(0, max(1, len(line)), room):
        piece = line[at : at + room]
        yield Text(f"  {number:>4} │ " if at == 0 else "       │ ", style="bright_black").append(piece, style="default")
        first, last = max(start, at), min(stop, at + len(piece))
        if first < last:
            yield Text("       │ ", style="bright_black").append(" " * (first - at) + "~" * (last - first), style=style)


def progress_words(value: Any) -> str:
    """A work-done progress as one line."""
    words = value.get("message") or value.get("title") or "starting …"
    share = value.get("percentage")
    return f"{words} {share} %" if share is not None else str(words)


def reason_words(reasons: list[dict[str, Any]], uri: str) -> str:
    """Why nothing was shown in the document `uri`, from `inkling/status`."""
    mine = [reason for reason in reasons if reason.get("uri") == uri]
    if not mine:
        return ""
    reason, words = mine[-1].get("reason"), mine[-1].get("detail")
    return f"Why: {reason}: {words}" if words else f"Why: {reason}"
