"""Summarization with an encoder-decoder model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, text_of
from inkling.engine.tasks.seq2seq import Stopped, TextToText
from inkling.engine.tasks.splitting import pack

MAX_ROUNDS = 4
"""Summaries of summaries; what is still too long then is joined as it is."""


class Summarization(TaskModel):
    """Input: a string. Result: `{"summary_text", "kind": "abstractive", "spans": []}`.

    Parameters: `max_new_tokens`, `min_new_tokens`, `num_beams`. A text that the model cannot read whole is split at
    sentences, each part summarized, and the summaries joined and summarized again.
    """

    task = Task.SUMMARIZATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._writer = TextToText(weights)
        config: Any = weights.model.config
        own = (getattr(config, "task_specific_params", None) or {}).get("summarization", {})
        self._prefix = str(own.get("prefix") or getattr(config, "prefix", None) or "")

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One summary per input."""
        results: list[Any] = []
        try:
            for item in inputs:
                summary = self._summarize(text_of(self.task, item), parameters, stop)
                results.append({"summary_text": summary, "kind": "abstractive", "spans": []})
        except Stopped:
            pass
        return results

    def _summarize(self, text: str, parameters: Mapping[str, Any], stop: Stop) -> str:
        if not text.strip():
            return ""
        for _ in range(MAX_ROUNDS):
            parts = pack(text, lambda part: self._writer.tokens(self._prefix + part) <= self._writer.max_length)
            text = " ".join(self._writer.write(self._prefix + part, parameters, stop) for part in parts)
            if len(parts) == 1:
                break
        return text
