"""The mirror of one open document: the client's edits applied exactly, snapshots handed out in O(1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from inkling.text.encoding import Encoding, Place, locate
from inkling.text.rope import Rope
from inkling.text.snapshot import Snapshot

Point = tuple[int, int]
"""A client's line and column, in the negotiated encoding."""


class MirrorProblem(StrEnum):
    """What a client did that the protocol does not allow. None of it raises; the value says what was done."""

    INVERTED_RANGE = "range ends before it starts: read the other way round"
    NEGATIVE_POSITION = "negative line or column: read as 0"
    SPLIT_CHARACTER = "position inside a UTF-8 character: moved to its start"
    LONE_SURROGATE = "half a surrogate pair: kept, and read as U+FFFD until its other half arrives"
    STALE_VERSION = "version older than the document's: edits ignored"
    REPEATED_VERSION = "version not newer than the document's: edits applied"
    NOT_OPEN = "change of a document that is not open: ignored"
    ALREADY_OPEN = "document opened twice: the later text counts"

    @property
    def slug(self) -> str:
        """The problem's name in the log."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Change:
    """One content change: `text` replaces `[start, end)`, or the whole document when there is no range."""

    text: str
    start: Point | None = None
    end: Point | None = None


class Document:
    """A document that the client has open. Only the event loop changes it; everyone else holds snapshots."""

    __slots__ = ("_snapshot", "encoding")

    def __init__(self, uri: str, language: str, version: int, text: str, encoding: Encoding = Encoding.UTF16) -> None:
        self.encoding = encoding
        self._snapshot = Snapshot(uri, version, language, Rope.of(text))

    @property
    def snapshot(self) -> Snapshot:
        """The document as it is now; the same object until the next change."""
        return self._snapshot

    def apply(self, changes: Iterable[Change], version: int | None) -> tuple[MirrorProblem, ...]:
        """Apply the changes of one `didChange`, each to the result of the one before. O(log n + new text) per change.

        A version lower than the present one means an edit of a text that is gone: its edits are ignored, up to a
        change that replaces the whole document. A repeated version is taken for a client that does not count.
        Returns what was wrong, each problem once.
        """
        old = self._snapshot
        problems: dict[MirrorProblem, None] = {}
        stale = version is not None and version < old.version
        if stale:
            problems[MirrorProblem.STALE_VERSION] = None
        elif version == old.version:
            problems[MirrorProblem.REPEATED_VERSION] = None
        rope = old.rope
        for change in changes:
            if change.start is None or change.end is None:
                rope = Rope.of(change.text)
                stale = False
            elif not stale:
                rope = self._replace(rope, change.start, change.end, change.text, problems)
        if rope.root.lone > old.rope.root.lone:
            problems[MirrorProblem.LONE_SURROGATE] = None
        if not stale:
            self._snapshot = Snapshot(old.uri, old.version if version is None else version, old.language, rope)
        return tuple(problems)

    def _replace(self, rope: Rope, start: Point, end: Point, text: str, problems: dict[MirrorProblem, None]) -> Rope:
        if min(*start, *end) < 0:
            problems[MirrorProblem.NEGATIVE_POSITION] = None
        if end < start:
            problems[MirrorProblem.INVERTED_RANGE] = None
            start, end = end, start
        first = locate(rope, *start, self.encoding)
        last = locate(rope, *end, self.encoding)
        if not (first.inside or last.inside):
            return rope.replace(first.offset, last.offset, text)
        if self.encoding is Encoding.UTF8:
            problems[MirrorProblem.SPLIT_CHARACTER] = None
            return rope.replace(first.offset, last.offset, text)
        before = _half(rope, first, 0) if first.inside else ""
        after = _half(rope, last, 1) if last.inside else ""
        return rope.replace(first.offset, last.offset + (1 if after else 0), before + text + after)


def _half(rope: Rope, place: Place, index: int) -> str:
    """One half of the surrogate pair at a place: clients that count UTF-16 may replace the other half alone."""
    pair = rope.slice(place.offset, place.offset + 1).encode("utf-16-le")
    return pair[2 * index : 2 * index + 2].decode("utf-16-le", "surrogatepass")
