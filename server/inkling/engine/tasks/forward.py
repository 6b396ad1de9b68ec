"""Runs windows through a model in batches of similar length, so that little of the work goes into padding."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from tokenizers import Encoding
from torch import Tensor

from inkling.engine.backend import Stop
from inkling.engine.models.batches import PASS_TOKENS, length_batches
from inkling.engine.models.load import Weights
from inkling.engine.models.reordered import reorder

BATCH_TOKENS = 2048
"""Padded tokens per forward pass: enough to be efficient, few enough to stay near the cache and to stop soon."""


class Forward:
    """Yields each window's output row as its batch is done."""

    def __init__(self, weights: Weights) -> None:
        reorder(weights.model)
        self._model = weights.model
        self._device = weights.device
        accepted = inspect.signature(weights.model.forward).parameters
        self._takes_types = "token_type_ids" in accepted and "token_type_ids" in weights.tokenizer.model_input_names
        self._extra = {"use_cache": False} if "use_cache" in accepted else {}
        config: Any = weights.model.config
        configured = getattr(config, "pad_token_id", None)
        self._pads = configured is not None or not hasattr(weights.model, "score")
        # A decoder's classification head reads the last token that is not padding; if it cannot know which that is,
        # it takes texts one by one.
        self._pad = next((id for id in (configured, weights.tokenizer.pad_token_id) if id is not None), 0)

    def __call__(
        self,
        windows: Sequence[Encoding],
        read: Callable[[Any], Tensor],
        stop: Stop,
        *,
        batch_tokens: int = BATCH_TOKENS,
        per_token: bool = False,
    ) -> Iterator[tuple[int, Tensor]]:
        """(index, row) in order of length; `read` takes what is needed from the model's output.

        A row is float32 on the CPU: [values], or with `per_token` [tokens, values], padding cut off. Ends early when
        `stop` is set or late.
        """
        lengths = [len(window) for window in windows]
        # where passes are launched on a device, one more is dearer than any padding
        pass_tokens = PASS_TOKENS if self._device == "cpu" else batch_tokens
        for batch in length_batches(lengths, batch_tokens if self._pads else 0, pass_tokens):
            if stop.is_set or stop.is_late:
                return
            with torch.inference_mode():
                output = read(self._model(**self._inputs([windows[index] for index in batch])))
                rows = output.float().cpu()
            for index, row in zip(batch, rows, strict=True):
                yield index, row[: len(windows[index])] if per_token else row

    def _inputs(self, windows: Sequence[Encoding]) -> dict[str, Any]:
        """input_ids, attention_mask and token_type_ids, each int64 [windows, longest]."""
        longest = max(1, *(len(window) for window in windows))
        ids = torch.full((len(windows), longest), self._pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        types = torch.zeros_like(ids)
        for row, window in enumerate(windows):
            length = len(window)
            ids[row, :length] = torch.tensor(window.ids)
            types[row, :length] = torch.tensor(window.type_ids)
            mask[row, : max(1, length)] = 1  # an empty text without special tokens is one padding token
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._takes_types:
            inputs["token_type_ids"] = types
        return {name: tensor.to(self._device) for name, tensor in inputs.items()} | self._extra
