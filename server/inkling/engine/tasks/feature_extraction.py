"""Feature extraction: a vector for a text, for search and comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding
from torch import Tensor, nn

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, choice, complete_prefix, flag, flatten, text_of
from inkling.engine.tasks.encoding import TextEncoder
from inkling.engine.tasks.forward import Forward
from inkling.errors import InklingError

POOLINGS = ("mean", "cls", "max", "last")


class FeatureExtraction(TaskModel):
    """Input: a string. Result: one vector, `[float, …]`; with `pooling="none"` one per token, special ones included.

    Parameters: `pooling` (`mean`, `cls`, `max`, `last`; by default what the model's sentence-transformers files say,
    else `mean`), `normalize` (true: unit length). A long text's vector is the mean of its windows' vectors, weighted
    by their numbers of tokens.
    """

    task = Task.FEATURE_EXTRACTION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._encoder = TextEncoder(weights, trained_length(weights.folder))
        self._forward = Forward(weights)
        self.pooling = trained_pooling(weights.folder)
        self._is_encoder_decoder = bool(getattr(weights.model.config, "is_encoder_decoder", False))

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One vector per input."""
        pooling = choice(parameters, "pooling", self.pooling, (*POOLINGS, "none"))
        texts = [text_of(self.task, item) for item in inputs]
        if pooling == "none":
            return [rows.tolist() for rows in self._tokens(texts, stop)]
        vectors = self.embed(texts, stop, pooling, normalize=flag(parameters, "normalize", default=True))
        return [vector.tolist() for vector in vectors]

    def embed(
        self, texts: Sequence[str], stop: Stop, pooling: str | None = None, *, normalize: bool = True
    ) -> list[Tensor]:
        """Vectors [dimensions] of the texts, fewer when stopped."""
        kind = pooling or self.pooling
        groups = [self._encoder.windows(text, stride=0) for text in texts]
        windows, owners = flatten(groups)
        sums: list[Tensor | None] = [None] * len(texts)
        left = [len(group) for group in groups]
        for index, hidden in self._hidden(windows, stop):
            owner = owners[index]
            vector = pool(kind, hidden)
            if left[owner] > 1 or sums[owner] is not None:
                vector = vector * len(windows[index])
            earlier = sums[owner]
            sums[owner] = vector if earlier is None else earlier + vector
            left[owner] -= 1
        done = complete_prefix([None if missing else total for total, missing in zip(sums, left, strict=True)])
        if normalize:
            return [nn.functional.normalize(vector, dim=0) for vector in done]
        totals = [sum(len(window) for window in group) if len(group) > 1 else 1 for group in groups]
        return [vector / total for vector, total in zip(done, totals, strict=False)]

    def _hidden(self, windows: Sequence[Encoding], stop: Stop) -> Any:
        def read(output: Any) -> Tensor:
            hidden: Tensor = output.encoder_last_hidden_state if self._is_encoder_decoder else output.last_hidden_state
            return hidden

        return self._forward(windows, read, stop, per_token=True)

    def _tokens(self, texts: Sequence[str], stop: Stop) -> list[Tensor]:
        groups = [self._encoder.windows(text, stride=0) for text in texts]
        if any(len(group) > 1 for group in groups):
            raise InklingError(
                "too-large",
                f"A text has more than the {self._encoder.max_length} tokens that {self.id} reads at once.",
                "Split it, or ask for one vector per text.",
            )
        rows: list[Tensor | None] = [None] * len(texts)
        for index, hidden in self._hidden([group[0] for group in groups], stop):
            rows[index] = hidden
        return complete_prefix(rows)


def pool(kind: str, hidden: Tensor) -> Tensor:
    """[tokens, dimensions] to [dimensions]."""
    if kind == "cls":
        return hidden[0]
    if kind == "last":
        return hidden[-1]
    return hidden.max(0).values if kind == "max" else hidden.mean(0)


def trained_pooling(folder: Path) -> str:
    """How a sentence-transformers model was trained to pool; `mean` when its files do not say."""
    config = _read(folder / "1_Pooling" / "config.json")
    names = {"cls_token": "cls", "max_tokens": "max", "lasttoken": "last"}
    return next((ours for theirs, ours in names.items() if config.get(f"pooling_mode_{theirs}") is True), "mean")


def trained_length(folder: Path) -> int | None:
    """The longest input that a sentence-transformers model was trained on, in tokens."""
    length = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    return length if isinstance(length, int) and length > 2 else None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
