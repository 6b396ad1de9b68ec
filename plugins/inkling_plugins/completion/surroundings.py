"""What other open documents and recent edits give: context for the model, and lines to copy."""

from __future__ import annotations

from collections.abc import Sequence

from inkling.api import ContextFile, Position, Snapshot, uri_path
from inkling_plugins.completion.context_ring import LINES, ContextRing, RingChunk, chunk_of
from inkling_plugins.completion.copy_source import Copy, find_copy
from inkling_plugins.completion.line_index import LineIndex

_COPY_WINDOW = 200_000
_CONTEXT_CHARACTERS = 8_000
_CHUNK_CHARACTERS = 4_000


class Surroundings:
    """Remembers where the user has been. `others` are the documents that may be shown to a model, newest first."""

    def __init__(self) -> None:
        self._ring = ContextRing()
        self._seen: set[str] = set()
        self._last: tuple[Snapshot, int] | None = None

    def news(self, snapshot: Snapshot, line: int, others: Sequence[Snapshot]) -> list[RingChunk]:
        """What is worth keeping now that the user works at `line`: the place before, and the heads of new documents.

        Changes nothing, so that it may run beside requests; `keep` takes the result.
        """
        places = [(other, 0) for other in reversed(others) if other.uri not in self._seen and other.uri != snapshot.uri]
        if self._last is not None:
            last, place = self._last
            if last.uri != snapshot.uri or abs(place - line) > LINES:
                places.append((last, place))
        chunks = (_chunk_at(document, place) for document, place in places)
        return [chunk for chunk in chunks if chunk is not None]

    def keep(self, chunks: Sequence[RingChunk], snapshot: Snapshot, line: int, others: Sequence[Snapshot]) -> None:
        """Keep `chunks`, and forget closed documents."""
        for chunk in chunks:
            self._ring.add(chunk)
        self._seen = {other.uri for other in others} | {snapshot.uri}
        self._ring.drop(keep=self._seen)
        self._last = snapshot, line

    def context(self, uri: str, window: str, most: int) -> tuple[ContextFile, ...]:
        """At most `most` chunks for a cursor in `uri` behind the text `window`, in an order that changes seldom."""
        chunks = self._ring.select(uri, window, _CONTEXT_CHARACTERS)[-most:] if most else []
        return tuple(ContextFile(uri_path(chunk.uri).rpartition("/")[2], chunk.text) for chunk in chunks)


def _chunk_at(snapshot: Snapshot, line: int) -> RingChunk | None:
    first = min(line, snapshot.line_count - 1) // LINES * LINES
    start = snapshot.offset(Position(first, 0))
    end = snapshot.offset(Position(first + LINES, 0))
    chunk = chunk_of(snapshot.uri, snapshot.slice(start, end).splitlines())
    return chunk if chunk is not None and len(chunk.text) <= _CHUNK_CHARACTERS else None


def copy_from(
    snapshot: Snapshot, position: Position, others: Sequence[Snapshot], lines: int, index: LineIndex | None = None
) -> Copy | None:
    """What followed the same text elsewhere in the document, in `others`, or in the files of `index`.

    Of `others`, those in the same language come first.
    """
    offset = snapshot.offset(position)
    texts = [snapshot.slice(offset, offset + _COPY_WINDOW)]
    texts += [
        other.text if len(other) <= _COPY_WINDOW else other.slice(0, _COPY_WINDOW)
        for other in sorted(others, key=lambda other: other.language != snapshot.language)
        if other.uri != snapshot.uri
    ]
    before = snapshot.slice(offset - _COPY_WINDOW, offset)
    opened = {snapshot.uri, *(other.uri for other in others)}
    copy = find_copy(before, texts, lines=lines, indexed=index.places(before, opened) if index else ())
    return None if copy is None else Copy(copy.text.replace("\r", ""), copy.matched, copy.votes, copy.places)
