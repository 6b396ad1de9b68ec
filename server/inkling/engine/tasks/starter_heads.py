"""The starter classifiers: small heads on the shared starter encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inkling.engine.backend import Stop
from inkling.engine.models.catalog import ModelSource
from inkling.engine.models.encoder_head import EncoderHead, load_adapter
from inkling.engine.models.reordered import reorder
from inkling.engine.protocol import Chunk, GenerateRequest, Task
from inkling.engine.tasks.base import number, text_of
from inkling.engine.tasks.secret_rules import find_secrets, merge
from inkling.errors import InklingError

SLICE = 8
"""Texts between two looks at the stop flag."""


class StarterHead:
    """Satisfies `LoadedModel`; inputs and results as `TextClassification` and `TokenClassification`.

    Probabilities are calibrated. Spans under a label's own threshold are left out already; where the adapter asks for
    rules, what they find takes the place of the model's spans there.
    """

    quantization = "none"
    quantization_why = "a small head on the shared encoder"
    device = "cpu"

    def __init__(self, source: ModelSource) -> None:
        self._head: EncoderHead = load_adapter(source.path)
        reorder(self._head)
        self.id = source.id
        self.labels = self._head.labels
        self.task = self._head.task
        self.bytes = source.bytes

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One list of labels or spans per input."""
        texts = [text_of(self.task, item) for item in inputs]
        top_k = number(parameters, "top_k", len(self._head.labels), 1, 1_000_000)
        results: list[Any] = []
        for start in range(0, len(texts), SLICE):
            if stop.is_set or stop.is_late:
                break
            part = texts[start : start + SLICE]
            results += self._spans(part) if self.task == Task.TOKEN_CLASSIFICATION else self._labels(part, top_k)
        return results

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        """Raises InklingError: a classifier does not stream text."""
        raise InklingError("wrong-task", f"{self.id} is a classifier and does not generate text.")

    def counters(self) -> Mapping[str, int]:
        """None of the token counters apply."""
        return {}

    def close(self) -> None:
        """Free the head; the shared encoder stays for the others."""
        del self._head

    def _labels(self, texts: Sequence[str], top_k: int) -> list[list[dict[str, Any]]]:
        rows = self._head.probabilities(texts)
        return [
            [{"label": self._head.labels[index], "score": float(row[index])} for index in (-row).argsort()[:top_k]]
            for row in rows
        ]

    def _spans(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        found = self._head.spans(texts)
        if self._head.config.get("rules") == "secrets":
            found = [merge(text, spans, find_secrets(text)) for text, spans in zip(texts, found, strict=True)]
        return [
            [
                {
                    "entity_group": span.label,
                    "score": span.score,
                    "word": text[span.start : span.end],
                    "start": span.start,
                    "end": span.end,
                }
                for span in spans
            ]
            for text, spans in zip(texts, found, strict=True)
        ]
