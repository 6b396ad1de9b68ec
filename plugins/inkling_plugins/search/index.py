"""The index in memory: chunks by slot, their vectors in one matrix, their terms in BM25, and the search over both.

A flat search: at the sizes of a workspace one pass over the matrix costs less than the question's own embedding, is
exact, and takes changes for nothing, so no graph index is kept.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkling_plugins.search.bm25 import Bm25
from inkling_plugins.search.chunks import VIEW_WEIGHTS, Chunk
from inkling_plugins.search.ranking import rank
from inkling_plugins.search.words import identifiers, terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEAST_REBUILT = 2_000
"""Dead slots below which nothing is rebuilt."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found; `similarity` is about the cosine with its views, 0 without a vector."""

    uri: str
    chunk: Chunk
    score: float
    similarity: float


def average(views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """A chunk's vector from its views'. Its length says how far they agree, and is left as it is."""
    import numpy as np

    return np.average(np.stack(views), axis=0, weights=VIEW_WEIGHTS[: len(views)]).astype(np.float32)


class Index:
    """All methods may be called from any thread; each holds the one lock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._files: dict[str, tuple[bytes, list[int]]] = {}
        self._slots: list[tuple[str, Chunk] | None] = []
        self._alive = bytearray()  # by slot, 1 while its chunk is there
        self._priors = array("f")  # by slot, what speaks for its chunk before any question
        self._count = 0
        self._bm25 = Bm25()
        self._vectors: NDArray[np.float32] | None = None
        self._embedded: set[int] = set()
        self._generation = 0  # grows when slots are renumbered or vectors forgotten: what was worked out is of no use
        self._named: dict[str, set[int]] = {}

    def __len__(self) -> int:
        """Chunks."""
        return self._count

    @property
    def embedded(self) -> int:
        """Chunks that have a vector."""
        return len(self._embedded)

    def uris(self) -> list[str]:
        """The files that it holds."""
        return list(self._files)

    def digest(self, uri: str) -> bytes | None:
        """The digest that a file was put with."""
        known = self._files.get(uri)
        return known[0] if known is not None else None

    def put(self, uri: str, digest: bytes, chunks: Sequence[Chunk]) -> list[int]:
        """Replace a file's chunks; returns their slots, which have no vectors yet."""
        with self._lock:
            self.remove([uri])
            slots = []
            for chunk in chunks:
                slots.append(self._bm25.add(chunk.terms()))
                self._slots.append((uri, chunk))
                self._alive.append(1)
                self._priors.append(chunk.prior())
                self._named.setdefault(chunk.name, set()).add(slots[-1])
            self._count += len(slots)
            self._files[uri] = digest, slots
            return slots

    def remove(self, uris: Iterable[str]) -> None:
        """Forget files."""
        with self._lock:
            for uri in uris:
                for slot in self._files.pop(uri, (b"", []))[1]:
                    if (held := self._slots[slot]) is not None:
                        self._unname(held[1].name, slot)
                    self._slots[slot] = None
                    self._alive[slot] = 0
                    self._count -= 1
                    self._embedded.discard(slot)
                    if self._vectors is not None and slot < len(self._vectors):
                        self._vectors[slot] = 0
                    self._bm25.remove(slot)

    def chunks(self) -> list[Chunk]:
        """All chunks."""
        with self._lock:
            return [held[1] for held in self._slots if held is not None]

    def forget_vectors(self) -> None:
        """The vectors are another model's."""
        with self._lock:
            self._vectors, self._embedded = None, set()
            self._generation += 1

    def missing(self, uris: Iterable[str]) -> tuple[int, list[tuple[int, Chunk]]]:
        """The chunks of these files that have no vector, by slot, and the generation in which the slots count."""
        with self._lock:
            slots = [slot for uri in uris for slot in self._files.get(uri, (b"", []))[1] if slot not in self._embedded]
            found = [(slot, held[1]) for slot in slots if (held := self._slots[slot]) is not None]
            return self._generation, found

    def set_vectors(self, vectors: Mapping[int, NDArray[np.float32]], generation: int | None = None) -> bool:
        """Give slots their vectors; slots that are gone meanwhile are left out.

        False, and nothing is set, when the slots are another `generation`'s: they stand for other chunks now, or the
        vectors are another model's.
        """
        import numpy as np

        with self._lock:
            if generation is not None and generation != self._generation:
                return False
            for slot, vector in vectors.items():
                if self._slots[slot] is None:
                    continue
                if self._vectors is None or len(vector) != self._vectors.shape[1]:
                    self._vectors, self._embedded = np.zeros((1024, len(vector)), np.float32), set()
                if slot >= len(self._vectors):
                    grown = np.zeros((max(2 * len(self._vectors), slot + 1), len(vector)), np.float32)
                    grown[: len(self._vectors)] = self._vectors
                    self._vectors = grown
                self._vectors[slot] = vector
                self._embedded.add(slot)
            return True

    def search(self, question: str, vector: NDArray[np.float32] | None, most: int) -> list[Hit]:
        """The best chunks, best first. Without a vector by terms alone."""
        import numpy as np

        with self._lock:
            self._compact()
            if not self._slots:
                return []
            lexical = self._bm25.scores(terms(question))
            similar = self._similarities(vector)
            named = [slot for name in identifiers(question) for slot in self._named.get(name, ())]
            scores = rank(lexical, similar, np.frombuffer(self._priors, np.float32), named)
            scores[np.frombuffer(self._alive, np.uint8) == 0] = -np.inf
            return self._hits(scores, similar, most)

    def nearest(self, vector: NDArray[np.float32], most: int) -> list[Hit]:
        """The chunks whose vectors are nearest."""
        import numpy as np

        with self._lock:
            similar = self._similarities(vector)
            scores = np.where(np.frombuffer(self._alive, np.uint8) > 0, similar, -np.inf)
            return self._hits(scores, similar, most)

    def twins(self, uri: str, least: float, fewest_words: int) -> list[tuple[Chunk, Hit]]:
        """A file's chunks of some length, each with the nearest other one whose cosine is at least `least`."""
        import numpy as np

        found: list[tuple[Chunk, Hit]] = []
        with self._lock:
            if self._vectors is None:
                return found
            vectors = self._vectors[: len(self._slots)]
            lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)
            for slot in self._files.get(uri, (b"", []))[1]:
                held = self._slots[slot]
                if held is None or slot not in self._embedded or len(held[1].text.split()) < fewest_words:
                    continue
                cosines = vectors @ vectors[slot] / (lengths * lengths[slot])
                cosines[slot] = 0.0
                for other in np.argsort(-cosines)[:5]:
                    twin = self._slots[other] if cosines[other] >= least else None
                    if twin is not None and len(twin[1].text.split()) >= fewest_words:
                        similarity = float(cosines[other])
                        found.append((held[1], Hit(twin[0], twin[1], similarity, similarity)))
                        break
        return found

    def _similarities(self, vector: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """[slots]: how near each chunk's vector is, 0 where there is none."""
        import numpy as np

        found = np.zeros(len(self._slots), np.float32)
        if vector is not None and self._vectors is not None and len(vector) == self._vectors.shape[1]:
            known = min(len(self._slots), len(self._vectors))
            np.matmul(self._vectors[:known], vector, out=found[:known])
        return found

    def _hits(self, scores: NDArray[np.float32], similar: NDArray[np.float32], most: int) -> list[Hit]:
        import numpy as np

        most = min(most, len(scores))
        best = np.argpartition(-scores, most - 1)[:most] if most else np.zeros(0, np.intp)
        hits = []
        for slot in best[np.argsort(-scores[best], kind="stable")]:
            held = self._slots[slot]
            if held is not None and scores[slot] > 0:
                uri, chunk = held
                hits.append(Hit(uri, chunk, float(scores[slot]), float(similar[slot])))
        return hits

    def _unname(self, name: str, slot: int) -> None:
        slots = self._named[name]
        slots.discard(slot)
        if not slots:
            del self._named[name]

    def _compact(self) -> None:
        """Start over without the slots of what is gone, once they are many."""
        dead = len(self._slots) - len(self)
        if dead < _LEAST_REBUILT or dead < len(self):
            return
        files, held, vectors, embedded = self._files, self._slots, self._vectors, self._embedded
        self._files, self._slots, self._bm25 = {}, [], Bm25()
        self._alive, self._priors, self._count = bytearray(), array("f"), 0
        self._vectors, self._embedded, self._named = None, set(), {}
        self._generation += 1
        for uri, (digest, slots) in files.items():
            chunks = [kept[1] for slot in slots if (kept := held[slot]) is not None]
            new = self.put(uri, digest, chunks)
            if vectors is not None:
                self.set_vectors({b: vectors[a] for a, b in zip(slots, new, strict=True) if a in embedded})
