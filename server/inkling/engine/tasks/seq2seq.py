"""Text to text with an encoder-decoder model: what summarization and translation share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.tasks.base import bad_parameter, number
from inkling.engine.tasks.encoding import MAX_CHARACTERS, longest_input
from inkling.errors import InklingError

MAX_OUTPUT = 4096
"""Tokens that a request may ask for."""


class Stopped(Exception):
    """The request was stopped while text was written."""


class TextToText:
    """Writes a text for a text. Beams, length penalty and so on are those of the model's own generation config."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.max_length = longest_input(weights)
        if getattr(weights.model.config, "model_type", "") in ("t5", "mt5", "umt5", "longt5"):
            self.max_length = max(self.max_length, 512)  # positions are relative: 512 is what it was trained on
        self._tokenizer: Any = weights.tokenizer
        self._longest_output = longest_output(weights.model.config)

    def tokens(self, text: str) -> int:
        """Tokens of a text, special ones included. Raises InklingError `too-large`."""
        if len(text) > MAX_CHARACTERS:
            raise InklingError(
                "too-large", f"A text of {len(text):,} characters is too long for one request.", "Split it."
            )
        return len(self._tokenizer(text)["input_ids"])

    def write(self, text: str, parameters: Mapping[str, Any], stop: Stop, **forced: Any) -> str:
        """Generate from `text`, which fits the model's window.

        Parameters: `max_new_tokens`, `min_new_tokens`, `num_beams`. Raises Stopped when `stop` is set or late.
        """
        inputs = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=self.max_length)
        inputs.pop("token_type_ids", None)
        options: dict[str, Any] = dict(forced)
        for name, high in (("max_new_tokens", MAX_OUTPUT), ("min_new_tokens", MAX_OUTPUT), ("num_beams", 16)):
            if parameters.get(name) is not None:
                options[name] = number(parameters, name, 1, 0 if name == "min_new_tokens" else 1, high)
        for name in options.keys() & {"max_new_tokens", "min_new_tokens"}:
            options[name] = min(options[name], self._longest_output)
        if "max_new_tokens" in options:
            own: Any = self._weights.model.generation_config
            options["max_length"] = None  # else transformers warns of two limits
            options["min_length"] = min(own.min_length or 0, options["max_new_tokens"])
            if options["max_new_tokens"] < options.get("min_new_tokens", 0):
                raise bad_parameter("min_new_tokens", "at most max_new_tokens")
        criteria = StoppingCriteriaList([_WhenSet(lambda: stop.is_set or stop.is_late)])
        with torch.inference_mode():
            written = self._weights.model.generate(  # type: ignore[operator]
                **{name: tensor.to(self._weights.device) for name, tensor in inputs.items()},
                stopping_criteria=criteria,
                **options,
            )
        if stop.is_set or stop.is_late:
            raise Stopped
        return str(self._tokenizer.decode(written[0], skip_special_tokens=True)).strip()


def longest_output(config: Any) -> int:
    """Tokens that the decoder has positions for, behind the one it starts from; where positions are relative, many."""
    for name in ("max_decoder_position_embeddings", "max_position_embeddings"):
        positions = getattr(config, name, None)
        if isinstance(positions, int) and positions > 1:
            return positions - 1
    return MAX_OUTPUT


class _WhenSet(StoppingCriteria):
    """Ends every beam once `is_set()`."""

    def __init__(self, is_set: Callable[[], bool]) -> None:
        self._is_set = is_set

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **_: Any) -> torch.BoolTensor:
        """[sequences], all true once stopped."""
        return torch.full((input_ids.shape[0],), self._is_set(), device=input_ids.device, dtype=torch.bool)  # type: ignore[return-value]
