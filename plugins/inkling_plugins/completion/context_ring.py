"""What else the model should see: chunks of other documents and of recent edits, most useful last.

A ring of chunks. A new chunk replaces the one that it resembles, the oldest leaves when the ring is full, and what the
model sees at the cursor anyway is skipped. The order is by age and changes rarely, so the model's prefix cache holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LINES = 64
"""Lines of a chunk."""
_SAME = 0.9
_SEEN = 0.5
_NEAR = 4_000
_HEAD = 200
"""Characters: the end of the window that is compared, and what identifies a chunk in its own document."""
_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True)
class RingChunk:
    """Up to `LINES` lines of the document `uri`, and the identifiers in them."""

    uri: str
    text: str
    words: frozenset[str]


def chunk_of(uri: str, lines: list[str]) -> RingChunk | None:
    """A chunk of the document `uri`; None for lines that say too little."""
    text = "\n".join(lines[:LINES]).strip("\n")
    words = words_of(text)
    return RingChunk(uri, text, words) if len(words) >= 3 else None


def words_of(text: str) -> frozenset[str]:
    """The identifiers in `text`."""
    return frozenset(_WORD.findall(text))


def similarity(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard's: shared over all; 0 for nothing shared."""
    return len(a & b) / len(a | b) if a and b else 0.0


class ContextRing:
    """At most `capacity` chunks, oldest first."""

    def __init__(self, capacity: int = 16) -> None:
        self._capacity = capacity
        self._chunks: list[RingChunk] = []

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, chunk: RingChunk) -> None:
        """Take in a chunk: in place of the one that it resembles most, else as the newest."""
        scores = [similarity(chunk.words, old.words) for old in self._chunks]
        if scores and max(scores) > _SAME:
            self._chunks[scores.index(max(scores))] = chunk
            return
        self._chunks.append(chunk)
        del self._chunks[: -self._capacity]

    def drop(self, keep: Iterable[str]) -> None:
        """Forget the chunks of documents that are no longer among `keep`."""
        wanted = set(keep)
        self._chunks = [chunk for chunk in self._chunks if chunk.uri in wanted]

    def select(self, uri: str, window: str, budget: int) -> list[RingChunk]:
        """The chunks to show at a cursor in `uri`, oldest first, newest kept when over `budget` characters.

        `window` is the text before the cursor that the model has anyway. Chunks out of it are left out, and so are
        those too similar to its end: the model would parrot them.
        """
        here = words_of(window[-_NEAR:])
        chosen: list[RingChunk] = []
        for chunk in reversed(self._chunks):
            if len(chunk.text) > budget or similarity(chunk.words, here) > _SEEN:
                continue
            if chunk.uri == uri and chunk.text[:_HEAD] in window:
                continue
            budget -= len(chunk.text)
            chosen.append(chunk)
        return chosen[::-1]
