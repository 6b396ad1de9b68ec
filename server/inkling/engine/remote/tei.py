"""Text Embeddings Inference: one encoder per server, behind `/embed`, `/predict` or `/rerank`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from inkling.engine import replies
from inkling.engine.protocol import Label, Priority, Task
from inkling.engine.remote import failures
from inkling.engine.remote.base import RemoteEngine, vectors_of
from inkling.engine.remote.transport import Transport

_BATCH = 32
"""The most inputs of one request that a server takes unless it is told otherwise."""


class TeiEngine(RemoteEngine):
    """Embeddings and classification; against a reranker also zero-shot classification.

    A server holds one model, so model names are not sent.
    """

    kind = "tei"
    serves = frozenset({Task.FEATURE_EXTRACTION, Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION})

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._batch = _BATCH

    async def listed(self) -> list[str]:
        """The one model, from `/info`, with the batch size that it takes."""
        info = await self.transport.get("/info", timeout_s=10.0)
        if not isinstance(info, Mapping) or "model_id" not in info:
            raise failures.bad_output(self.transport.address, "no description of a model")
        most = info.get("max_client_batch_size")
        self._batch = most if isinstance(most, int) and most > 0 else _BATCH
        return [str(info["model_id"])]

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """`/embed`."""
        vectors: list[list[float]] = []
        for batch in self._batches(texts):
            body = {"inputs": batch, "normalize": True, "truncate": True}
            vectors += await vectors_of(await self.transport.post("/embed", body), len(batch), self.transport)
        return vectors

    async def classify(
        self,
        texts: Sequence[str],
        *,
        model: str,
        top_k: int | None = None,
        priority: Priority = Priority.DIAGNOSTICS,
    ) -> list[list[Label]]:
        """`/predict`."""
        found: list[list[Label]] = []
        for batch in self._batches(texts):
            body = {"inputs": [[text] for text in batch], "truncate": True}
            items = await self.transport.post("/predict", body)
            if not isinstance(items, list) or len(items) != len(batch):
                raise failures.bad_output(self.transport.address, "not one result per input")
            found += [sorted(replies.labels(item), key=lambda label: -label.score)[:top_k] for item in items]
        return found

    async def zero_shot(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        model: str,
        template: str = "",
        multi_label: bool = False,
        priority: Priority = Priority.ACTION,
    ) -> list[list[Label]]:
        """`/rerank`: how well each label answers the text; as shares of one, unless each is judged by itself."""
        found = []
        for text in texts:
            said = [template.replace("{}", label) if template else label for label in labels]
            body = {"query": text, "texts": said, "raw_scores": not multi_label, "truncate": True}
            items = await self.transport.post("/rerank", body)
            try:
                scores = {int(item["index"]): float(item["score"]) for item in items}
                found.append(_alone(labels, scores) if multi_label else _shares(labels, scores))
            except (KeyError, TypeError, ValueError):
                raise failures.bad_output(self.transport.address, "a ranking of an unknown shape") from None
        return found

    def _batches(self, texts: Sequence[str]) -> list[list[Any]]:
        return [list(texts[start : start + self._batch]) for start in range(0, len(texts), self._batch)]


def _alone(labels: Sequence[str], scores: Mapping[int, float]) -> list[Label]:
    """Each label by itself, best first: the server's own scores lie between 0 and 1."""
    ranked = [Label(label, scores[index]) for index, label in enumerate(labels)]
    return sorted(ranked, key=lambda label: -label.score)


def _shares(labels: Sequence[str], scores: Mapping[int, float]) -> list[Label]:
    """Softmax over raw scores, best first. Raises KeyError when a label has none."""
    highest = max(scores.values())
    weights = [math.exp(scores[index] - highest) for index in range(len(labels))]
    total = sum(weights)
    ranked = [Label(label, weight / total) for label, weight in zip(labels, weights, strict=True)]
    return sorted(ranked, key=lambda label: -label.score)
