"""Where a document answers a question: spans that a question-answering model extracts, or its closest sentences."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from inkling.api import Engine, InklingError, Priority, Segment, SegmentKind, Snapshot, segments, sentences

_PROSE = (
    SegmentKind.COMMENT,
    SegmentKind.DOCSTRING,
    SegmentKind.PARAGRAPH,
    SegmentKind.HEADING,
    SegmentKind.LIST_ITEM,
    SegmentKind.STRING,
)
_BATCH = 128
_KEPT = 20_000
_FEWEST_WORDS = 2
_LEAST = 0.2
"""The cosine below which a sentence has nothing to do with the question."""


@dataclass(frozen=True, slots=True)
class Place:
    """An answer in the document: `[start, end)` in code points, its text on one line.

    `score` is a probability when a model extracted it, else the cosine of the sentence and the question.
    """

    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Answers:
    """The places, best first. `kind` is `answers` (extracted by a model) or `closest-sentences`."""

    kind: str
    model: str
    places: tuple[Place, ...]

    @property
    def told(self) -> str:
        """In words, how they were found."""
        if self.kind == "answers":
            return f"Answers by {self.model}"
        return f"Closest sentences by {self.model}; set [ask] model to a question-answering model for answers"


async def extract(
    engine: Engine, question: str, snapshot: Snapshot, span: tuple[int, int], model: str, most: int
) -> Answers:
    """Answers of a question-answering model in `[start, end)`; a long text is read in overlapping windows."""
    text = snapshot.slice(*span)
    found = await engine.answer(question, text, model=model, top_k=most)
    kept = [answer for answer in found if answer.end > answer.start]
    places = [Place(span[0] + a.start, span[0] + a.end, " ".join(text[a.start : a.end].split()), a.score) for a in kept]
    return Answers("answers", model, tuple(places))


class ClosestSentences:
    """Sentences by their embedding; those of earlier questions are remembered by their hash."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[bytes, Sequence[float]] = OrderedDict()

    async def find(
        self, engine: Engine, question: str, snapshot: Snapshot, span: tuple[int, int], model: str, most: int
    ) -> Answers:
        """The sentences in `[start, end)` nearest to the question."""
        read = await asyncio.to_thread(_sentences, snapshot, span)
        if not read:
            raise InklingError("nothing-to-ask", "There are no sentences to search here.", "Open a text with prose.")
        keys = [_key(model, sentence.text) for sentence in read]
        missing = {key: s.text for key, s in zip(keys, read, strict=True) if key not in self._vectors}
        (asked,) = await engine.embed([question], model=model, priority=Priority.ACTION)
        vectors = {key: self._vectors[key] for key in keys if key in self._vectors}
        todo = list(missing)
        for start in range(0, len(todo), _BATCH):
            batch = todo[start : start + _BATCH]
            made = await engine.embed([missing[key] for key in batch], model=model, priority=Priority.ACTION)
            vectors.update(zip(batch, made, strict=True))
        self._remember(vectors)
        scores = await asyncio.to_thread(_cosines, asked, [vectors[key] for key in keys])
        best = sorted(range(len(read)), key=lambda index: -scores[index])
        places = [
            Place(read[index].start, read[index].end, " ".join(read[index].text.split()), scores[index])
            for index in best
            if scores[index] >= _LEAST
        ]
        return Answers("closest-sentences", model, tuple(_distinct(places)[:most]))

    def _remember(self, vectors: dict[bytes, Sequence[float]]) -> None:
        self._vectors.update(vectors)
        while len(self._vectors) > _KEPT:
            self._vectors.popitem(last=False)


def _sentences(snapshot: Snapshot, span: tuple[int, int]) -> list[Segment]:
    found = [
        sentence
        for segment in segments(snapshot, _PROSE)
        if segment.start < span[1] and segment.end > span[0]
        for sentence in sentences(segment)
        if span[0] <= sentence.start and sentence.end <= span[1]
    ]
    return [one for one in found if len(one.text.split()) >= _FEWEST_WORDS and any(c.isalpha() for c in one.text)]


def _cosines(question: Sequence[float], vectors: Sequence[Sequence[float]]) -> list[float]:
    import numpy as np

    scores: list[float] = (np.array(vectors, np.float32) @ np.array(question, np.float32)).tolist()
    return scores


def _distinct(places: list[Place]) -> list[Place]:
    """Without a sentence that is repeated elsewhere word for word."""
    return list({place.text: place for place in reversed(places)}.values())[::-1]


def _key(model: str, text: str) -> bytes:
    return hashlib.blake2b(f"{model}\0{text}".encode("utf-8", "replace"), digest_size=16).digest()
