"""Search by meaning: how often the answer comes first, beside BM25 and plain embeddings, and what a search costs.

The Python standard library is indexed by the plugin's own chunker and index; the queries are in
models/data/search.queries.jsonl. Vectors are kept under models/runs/bench/, since the first run embeds for minutes.
"""

from __future__ import annotations

import json
import statistics
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.row import Row, row
from inkling.api import Position, Range, Snapshot
from inkling.engine.backend import Stop
from inkling.engine.models.store import create_backend
from inkling.engine.protocol import Task
from inkling_plugins.search.chunks import Chunk, chunks, module
from inkling_plugins.search.index import Index, average
from inkling_plugins.search.store import Store, key

ROOT = Path(__file__).parents[1]
QUERIES = ROOT / "models/data/search.queries.jsonl"
CACHE = ROOT / "models/runs/bench/search"
MODEL = "starter:encoder"
SKIPPED = frozenset(
    ("distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages", "test", "tests",
     "turtledemo", "__pycache__")
)  # fmt: skip
SIZE = 20_000
RANKS = 10
Vector = NDArray[np.float32]
Ranking = Callable[[str, Vector], Sequence[str]]


def rows(quick: bool = False) -> list[Row]:
    """MRR@10 for held-out and other queries, then the time of a search; ``quick`` leaves the quality out."""
    embed = Embedder()
    return [*([] if quick else _quality(embed)), *_times(embed, 30 if quick else 200)]


class Embedder:
    """The encoder in this process, behind a cache on disk."""

    def __init__(self) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        self._store = Store(CACHE)
        backend = create_backend(device="cpu", threads=2)
        self._model = backend.load(MODEL, Task.FEATURE_EXTRACTION, quantization="auto", on_progress=lambda share: None)

    def __call__(self, texts: Sequence[str]) -> list[Vector]:
        """One vector per text."""
        keys = [key(MODEL, [text]) for text in texts]
        known = self._store.vectors(keys)
        missing = {k: text for k, text in zip(keys, texts, strict=True) if k not in known}
        for start in range(0, len(missing), 512):
            part = list(missing.items())[start : start + 512]
            made = self.fresh([text for _, text in part])
            self._store.put_vectors({k: vector for (k, _), vector in zip(part, made, strict=True)})
        known |= self._store.vectors(list(missing))
        return [known[k] for k in keys]

    def fresh(self, texts: Sequence[str]) -> list[Vector]:
        """Without the cache."""
        return [np.array(vector, np.float32) for vector in self._model.run(list(texts), {}, Stop())]


def _quality(embed: Embedder) -> list[Row]:
    found = library()
    index = _indexed(found, embed)
    names = [name for name, _ in found]
    plain = np.stack(embed([f"{chunk.name}: {_first_paragraph(chunk)}" for _, chunk in found]))

    def by_meaning(question: str, vector: Vector) -> list[str]:
        return [names[slot] for slot in np.argsort(-(plain @ vector), kind="stable")[:RANKS]]

    def meaning_alone(question: str, vector: Vector) -> list[str]:
        return [hit.uri for hit in index.nearest(vector, RANKS)]

    def search(vector: bool) -> Ranking:
        return lambda question, asked: [h.uri for h in index.search(question, asked if vector else None, RANKS)]

    queries = [json.loads(line) for line in QUERIES.read_text(encoding="utf-8").splitlines()]
    vectors = dict(zip((q["query"] for q in queries), embed([q["query"] for q in queries]), strict=True))

    def score(ranking: Ranking, splits: Sequence[str]) -> float:
        asked = [q for q in queries if q["split"] in splits]
        ranks = [reciprocal_rank(ranking(q["query"], vectors[q["query"]]), q["answers"]) for q in asked]
        return statistics.fmean(ranks)

    result = []
    for splits, words in (
        (("heldout",), "50 held-out queries"),
        (("heldout2",), "62 held-out queries, second set"),
        (("dev", "tune"), "186 tuned-on queries"),
        (("dev", "heldout"), "the first 100 queries"),
    ):
        ours = score(search(True), splits)
        peers: dict[str, Ranking] = {
            "BM25": search(False),
            "MiniLM, name and first paragraph": by_meaning,
            "meaning alone": meaning_alone,
        }
        for peer, ranking in peers.items():
            title = f"starters/search MRR@10, {words}, against {peer.split(',')[0]}"
            result.append(row(title, ours, "MRR", better="more", peer=peer, peer_value=score(ranking, splits)))
    return result


def reciprocal_rank(ranking: Sequence[str], answers: Sequence[str]) -> float:
    """1 over the rank of the first right answer, 0 when none is listed."""
    return next((1 / rank for rank, name in enumerate(ranking, 1) if name in answers), 0.0)


def library() -> list[tuple[str, Chunk]]:
    """The public functions and classes of the standard library that have a docstring, by their qualified names."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if SKIPPED & set(parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        place = path.relative_to(root).as_posix()
        full = ".".join(part for part in parts if part != "__init__")
        for chunk in chunks(Snapshot.of(text, uri=path.as_uri(), language="python"), place):
            inner = chunk.container.removeprefix(module(place)).strip(".")
            name = ".".join(filter(None, (full, inner, chunk.name)))
            if chunk.kind != "file" and chunk.text and not any(part.startswith("_") for part in name.split(".")):
                found.append((name, chunk))
    return found


def _indexed(found: Sequence[tuple[str, Chunk]], embed: Embedder) -> Index:
    index = Index()
    slots = [index.put(name, b"", [chunk])[0] if index.digest(name) is None else -1 for name, chunk in found]
    views = {slot: chunk.views() for slot, (_, chunk) in zip(slots, found, strict=True) if slot >= 0}
    flat = embed([view for texts in views.values() for view in texts])
    at = 0
    for slot, texts in views.items():
        index.set_vectors({slot: average(flat[at : at + len(texts)])})
        at += len(texts)
    return index


def _first_paragraph(chunk: Chunk) -> str:
    return " ".join(chunk.text.split("\n\n")[0].split())


def _times(embed: Embedder, count: int) -> list[Row]:
    """A look-up over the library's words and random vectors, alone and with the question's embedding.

    The first row's clock starts when the vector is there. Both are wall time: on a busy machine, several times
    what the processor needs.
    """
    found, generator = library(), np.random.default_rng(0)
    index, place = Index(), Range(Position(0, 0), Position(0, 1))
    for number in range(SIZE):
        _, chunk = found[number * 7919 % len(found)]
        copy = Chunk(f"{chunk.name}{number}", chunk.container, chunk.kind, place, chunk.parameters, chunk.text)
        (slot,) = index.put(f"file:///{number}", b"", [copy])
        vector = generator.standard_normal(384, np.float32)
        index.set_vectors({slot: vector / np.linalg.norm(vector)})
    queries = [json.loads(line)["query"] for line in QUERIES.read_text(encoding="utf-8").splitlines()]
    asked = [queries[number % len(queries)] for number in range(count)]
    embedding, searching = [], []
    for question in asked:
        began = time.perf_counter()
        (vector,) = embed.fresh([question])
        read = time.perf_counter()
        index.search(question, vector, 20)
        embedding.append(read - began)
        searching.append(time.perf_counter() - read)
    both = [a + b for a, b in zip(embedding, searching, strict=True)]
    title = f"starters/search over {SIZE:,} chunks p50"
    aim = {"better": "less", "peer": "the aim", "peer_value": 20.0}
    return [
        row(title, 1000 * statistics.median(searching), "ms", **aim),  # type: ignore[arg-type]
        row(f"{title}, with the question's embedding", 1000 * statistics.median(both), "ms", **aim),  # type: ignore[arg-type]
    ]
