"""Zero-shot classification: labels given with the request rather than trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, bad_parameter, complete_prefix, flag, flatten, text_of
from inkling.engine.tasks.encoding import TextEncoder
from inkling.engine.tasks.feature_extraction import FeatureExtraction
from inkling.engine.tasks.forward import Forward
from inkling.errors import InklingError

TEMPLATE = "This example is {}."
MAX_LABELS = 100
SHARPNESS = 20.0
"""Cosines of sentence embeddings lie close together; this factor spreads them before the softmax."""


class EntailmentZeroShot(TaskModel):
    """With a natural-language-inference model: does the text entail "This example is {label}."?

    Input: a string. Result: `[{"label", "score"}, …]`, best first. Parameters: `candidate_labels` (a list, or one
    string with commas), `hypothesis_template` (with `{}`), `multi_label` (each label by itself: entailment against
    contradiction; otherwise the labels share 1). A long text is read in windows whose logits are averaged.
    """

    task = Task.ZERO_SHOT_CLASSIFICATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._encoder = TextEncoder(weights)
        self._forward = Forward(weights)
        labels = {str(name).lower(): int(index) for index, name in (weights.model.config.id2label or {}).items()}
        entailing = [index for name, index in labels.items() if name.startswith("entail")]
        if not entailing:
            raise InklingError(
                "wrong-task",
                f"{self.id} has no label for entailment, so it cannot judge labels that it was not trained for.",
                "Choose a model trained on natural-language inference.",
            )
        self._entailment = entailing[0]
        against = [index for name, index in labels.items() if name.startswith("contradict")]
        self._contradiction = against[0] if against else (-1 if self._entailment == 0 else 0)

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One ranked list of the candidate labels per input."""
        labels = candidate_labels(parameters)
        template = hypothesis_template(parameters)
        alone = flag(parameters, "multi_label") or len(labels) == 1
        stride = self._encoder.max_length // 8
        groups = [
            self._encoder.pair_windows(text_of(self.task, item), template.replace("{}", label), split=0, stride=stride)
            for item in inputs
            for label in labels
        ]
        windows, owners = flatten(groups)
        rows: list[list[Tensor]] = [[] for _ in groups]
        for index, logits in self._forward(windows, lambda output: output.logits, stop):
            rows[owners[index]].append(logits)
        results: list[Any] = []
        for first in range(0, len(groups), len(labels)):
            part = range(first, first + len(labels))
            if any(len(rows[number]) < len(groups[number]) for number in part):
                results.append(None)
                continue
            results.append(rank(labels, self._scores(torch.stack([_mean(rows[number]) for number in part]), alone)))
        return complete_prefix(results)

    def _scores(self, logits: Tensor, alone: bool) -> Tensor:
        """[labels, classes] to [labels]."""
        if alone:
            return logits[:, [self._contradiction, self._entailment]].softmax(-1)[:, 1]
        return logits[:, self._entailment].softmax(-1)


class EmbeddingZeroShot(TaskModel):
    """With a sentence encoder: the cosine between the text's and each label's embedding.

    The same inputs, results and parameters; the default template is `{}`. Shared scores are the softmax of
    20 × cosine; with `multi_label` a score is (1 + cosine) / 2. Quick and rough: bare label words say little, so
    give describing phrases as labels, and prefer a trained classifier or an inference model where there is one.
    """

    task = Task.ZERO_SHOT_CLASSIFICATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._extraction = FeatureExtraction(weights)

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One ranked list of the candidate labels per input."""
        labels = candidate_labels(parameters)
        template = hypothesis_template(parameters, "{}")
        texts = [text_of(self.task, item) for item in inputs]
        vectors = self._extraction.embed([*(template.replace("{}", label) for label in labels), *texts], stop)
        if len(vectors) <= len(labels):
            return []
        anchors = torch.stack(vectors[: len(labels)])
        cosines = torch.stack(vectors[len(labels) :]) @ anchors.T
        scores = (1 + cosines) / 2 if flag(parameters, "multi_label") else (SHARPNESS * cosines).softmax(-1)
        return [rank(labels, row) for row in scores]


def candidate_labels(parameters: Mapping[str, Any]) -> list[str]:
    """The labels asked for, in order. Raises InklingError `bad-parameter`."""
    given = parameters.get("candidate_labels")
    labels = given.split(",") if isinstance(given, str) else given
    expected = f"a list of 1 to {MAX_LABELS} labels"
    if not isinstance(labels, list | tuple) or not all(isinstance(label, str) for label in labels):
        raise bad_parameter("candidate_labels", expected)
    labels = [label.strip() for label in labels if label.strip()]
    if not 1 <= len(labels) <= MAX_LABELS:
        raise bad_parameter("candidate_labels", expected)
    return labels


def hypothesis_template(parameters: Mapping[str, Any], default: str = TEMPLATE) -> str:
    """The sentence that a label is put into. Raises InklingError `bad-parameter`."""
    template = parameters.get("hypothesis_template") or default
    if isinstance(template, str) and template.count("{}") == 1:
        return template
    raise bad_parameter("hypothesis_template", "a sentence with one {} for the label")


def rank(labels: Sequence[str], scores: Tensor) -> list[dict[str, Any]]:
    """Labels with scores, best first."""
    order = torch.argsort(scores, descending=True, stable=True).tolist()
    return [{"label": labels[index], "score": float(scores[index])} for index in order]


def _mean(rows: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(rows)).mean(0)
