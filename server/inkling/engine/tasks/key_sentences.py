"""Key sentences: a summary chosen from the text rather than written, told as such by its kind.

A sentence encoder says how near each sentence is to the whole text. That alone was measured to be no better than
taking the first sentences, so a sentence's place counts as well: of texts that begin with what matters the beginning is
chosen, of others the centre. This is a modest kind of summary; a model that writes one is a setting away.
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
from inkling.engine.tasks.splitting import sentence_spans

LEAD_WEIGHT = 0.5
MAX_SENTENCES = 2000
"""Sentences looked at; a longer text is judged by its beginning."""


class KeySentences(TaskModel):
    """Input: a string. Result: `{"summary_text", "kind": "key-sentences", "spans": [[start, end], …]}`.

    Parameters: `max_sentences` (3). The chosen sentences keep the text's order and words; spans are code points.
    """

    task = Task.SUMMARIZATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._extraction = FeatureExtraction(weights)

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One summary per input."""
        count = number(parameters, "max_sentences", 3, 1, 100)
        results: list[Any] = []
        for item in inputs:
            text = text_of(self.task, item)
            spans = sentence_spans(text)[:MAX_SENTENCES]
            vectors = self._extraction.embed([text[start:end] for start, end in spans], stop)
            if len(vectors) < len(spans):
                break
            chosen = [spans[index] for index in choose(vectors, count)]
            summary = " ".join(" ".join(text[start:end].split()) for start, end in chosen)
            results.append({"summary_text": summary, "kind": "key-sentences", "spans": [list(span) for span in chosen]})
        return results


def choose(vectors: Sequence[Tensor], count: int) -> list[int]:
    """Indices of the `count` key sentences, in order.

    A sentence's score is the cosine of its vector to the mean of all, plus a bonus that falls from the first sentence
    (`LEAD_WEIGHT`) as one over its place.
    """
    if not vectors:
        return []
    stacked = torch.stack(list(vectors))
    centre = torch.nn.functional.normalize(stacked.mean(0), dim=0)
    places = torch.arange(1, len(vectors) + 1, dtype=stacked.dtype)
    scores = stacked @ centre + LEAD_WEIGHT / places
    return sorted(scores.topk(min(count, len(vectors))).indices.tolist())
