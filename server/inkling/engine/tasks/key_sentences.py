"""Key sentences: a summary chosen from the text rather than written, told as such by its kind.

What is chosen is said in `salience`; a model that writes a summary is a setting away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, number, text_of
from inkling.engine.tasks.feature_extraction import FeatureExtraction
from inkling.engine.tasks.salience import ASIDES, MATTERS, choose, parts

MAX_SENTENCES = 2000
"""Sentences looked at; a longer text is judged by its beginning."""
EXAMPLES = (*MATTERS, *ASIDES)


class KeySentences(TaskModel):
    """Input: a string. Result: `{"summary_text", "kind": "key-sentences", "spans": [[start, end], …]}`.

    Parameters: `max_sentences` (3). The chosen sentences keep the text's order and words; spans are code points.
    """

    task = Task.SUMMARIZATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._extraction = FeatureExtraction(weights)
        self._examples: Tensor | None = None
        """[MATTERS + ASIDES, width], embedded on first need."""

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One summary per input."""
        count = number(parameters, "max_sentences", 3, 1, 100)
        results: list[Any] = []
        for item in inputs:
            text = text_of(self.task, item)
            chosen = self._choose(text, count, stop)
            if chosen is None:
                break
            summary = " ".join(" ".join(text[start:end].split()) for start, end in chosen)
            results.append({"summary_text": summary, "kind": "key-sentences", "spans": [list(span) for span in chosen]})
        return results

    def _choose(self, text: str, count: int, stop: Stop) -> list[tuple[int, int]] | None:
        """Spans of the key sentences; None when stopped."""
        found = parts(text)
        spans = found.sentences[:MAX_SENTENCES]
        if len(spans) <= count:
            return spans
        texts = [text[start:end] for start, end in spans]
        asked = [*texts, *([found.title] if found.title else []), *(() if self._examples is not None else EXAMPLES)]
        vectors = self._extraction.embed(asked, stop)
        if len(vectors) < len(asked):
            return None
        if self._examples is None:
            self._examples = torch.stack(list(vectors[-len(EXAMPLES) :]))
        title = vectors[len(texts)] if found.title else None
        matters, asides = self._examples[: len(MATTERS)], self._examples[len(MATTERS) :]
        picked = choose(torch.stack(list(vectors[: len(texts)])), texts, title, matters, asides, count)
        return [spans[index] for index in picked]
