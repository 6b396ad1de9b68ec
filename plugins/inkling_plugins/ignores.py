"""Ignore comments: `inkling: ignore` or `inkling: ignore[label, label]`, in the document's own comment syntax.

One covers its own line and the line below it; on the line above a docstring, a block comment or a paragraph it covers
all of that.
"""

from __future__ import annotations

import re
from dataclasses import replace

from inkling.api import Edit, Position, Range, Segment, SegmentKind, Snapshot
from inkling_plugins.comments import comment_syntax

_DIRECTIVE = re.compile(r"inkling:\s*ignore(?:\[([^\]\r\n]*)\])?")
_WITH_LINE_END = re.compile(r"\n?[^\S\n]*" + _DIRECTIVE.pattern)
_WHOLE = (SegmentKind.DOCSTRING, SegmentKind.PARAGRAPH, SegmentKind.LIST_ITEM, SegmentKind.STRING)


def without_directives(segment: Segment) -> Segment:
    """The segment with its ignore comments blanked out, so that adding one changes no other sentence."""
    if "inkling:" not in segment.text:
        return segment
    blank = _WITH_LINE_END.sub(lambda match: " " * len(match[0]), segment.text)
    return replace(segment, text=blank)


def may_ignore(snapshot: Snapshot) -> bool:
    """Whether there may be ignore comments at all: far cheaper than looking for them."""
    return snapshot.mentions("inkling:")


class Ignores:
    """The ignore comments of a snapshot: the labels by line, none named meaning all."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._lines = {
            snapshot.position(match.start()).line: frozenset(
                label for part in (match[1] or "").split(",") if (label := part.strip())
            )
            for match in _DIRECTIVE.finditer(snapshot.text if may_ignore(snapshot) else "")
        }

    def cover(self, segment: Segment, start: int, label: str) -> bool:
        """Whether `label` is ignored for the sentence at offset `start` of `segment`."""
        if not self._lines:
            return False
        line = self._snapshot.position(start).line
        above = _anchor(self._snapshot, segment, start) - 1
        return any(self._ignores(at, label) for at in (line, line - 1, above))

    def _ignores(self, line: int, label: str) -> bool:
        labels = self._lines.get(line)
        return labels is not None and (not labels or label in labels)


def ignore_edit(snapshot: Snapshot, segment: Segment, start: int, label: str) -> Edit | None:
    """The edit that ignores `label` for the sentence at offset `start`; None where the language has no comments."""
    syntax = comment_syntax(snapshot.language)
    if syntax is None:
        return None
    line = _anchor(snapshot, segment, start)
    text = snapshot.line(line)
    indentation = text[: len(text) - len(text.lstrip())]
    place = Position(line, 0)
    comment = syntax.one_line(f"inkling: ignore[{label}]")
    return Edit(Range(place, place), f"{indentation}{comment}{snapshot.eol}")


def _anchor(snapshot: Snapshot, segment: Segment, start: int) -> int:
    """The line that an ignore comment goes above: the sentence's, or the segment's where it would be text within."""
    whole = segment.kind in _WHOLE or snapshot.slice(segment.start, segment.start + 2) in ("/*", "<!")
    return snapshot.position(segment.start if whole else start).line
