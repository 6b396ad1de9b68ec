"""Text classification: a label and a score for a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, bad_input, choice, complete_prefix, flatten, number
from inkling.engine.tasks.encoding import TextEncoder
from inkling.engine.tasks.forward import Forward


class TextClassification(TaskModel):
    """Input: a string, or `{"text", "text_pair"}`. Result: `[{"label", "score"}, …]`, best first.

    Parameters: `top_k` (all labels when absent), `function_to_apply` (`softmax`, `sigmoid`, `none`; by default what
    the model's config implies). A text longer than the model's window is read in overlapping windows; its scores are
    the windows' scores, averaged with the windows' numbers of tokens as weights.
    """

    task = Task.TEXT_CLASSIFICATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._encoder = TextEncoder(weights)
        self._forward = Forward(weights)
        config: Any = weights.model.config
        self.labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        self._function = default_function(config)

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One list of labels per input."""
        top_k = number(parameters, "top_k", len(self.labels), 1, 1_000_000)
        function = choice(parameters, "function_to_apply", self._function, ("softmax", "sigmoid", "none"))
        windows, owners = flatten([self._windows(item) for item in inputs])
        totals: list[Tensor] = [torch.zeros(len(self.labels)) for _ in inputs]
        weights, left = [0] * len(inputs), [owners.count(owner) for owner in range(len(inputs))]
        for index, logits in self._forward(windows, lambda output: output.logits, stop):
            owner, tokens = owners[index], max(1, len(windows[index]))
            totals[owner] += tokens * apply(function, logits)
            weights[owner] += tokens
            left[owner] -= 1
        return complete_prefix(
            [
                None if missing else self._rank(total / weight, top_k)
                for total, weight, missing in zip(totals, weights, left, strict=True)
            ]
        )

    def _windows(self, item: Any) -> list[Any]:
        stride = self._encoder.max_length // 8
        match item:
            case str():
                return self._encoder.windows(item, stride)
            case {"text": str() as text, "text_pair": str() as pair}:
                return self._encoder.pair_windows(text, pair, split=0, stride=stride)
            case {"text": str() as text}:
                return self._encoder.windows(text, stride)
        raise bad_input(self.task, 'a string or {"text", "text_pair"}')

    def _rank(self, scores: Tensor, top_k: int) -> list[dict[str, Any]]:
        best = torch.argsort(scores, descending=True, stable=True)[:top_k].tolist()
        return [{"label": self.labels[index], "score": float(scores[index])} for index in best]


def default_function(config: Any) -> str:
    """What the model's problem type implies, as transformers' own pipeline reads it."""
    if config.problem_type == "regression":
        return "none"
    return "sigmoid" if config.problem_type == "multi_label_classification" or config.num_labels == 1 else "softmax"


def apply(function: str, logits: Tensor) -> Tensor:
    """Logits [labels] to scores [labels]."""
    if function == "softmax":
        return logits.softmax(-1)
    return logits.sigmoid() if function == "sigmoid" else logits
