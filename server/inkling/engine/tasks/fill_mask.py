"""Fill-mask: words that fit a gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tokenizers import Encoding
from torch import Tensor

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, bad_parameter, complete_prefix, number, text_of
from inkling.engine.tasks.encoding import TextEncoder
from inkling.engine.tasks.forward import Forward
from inkling.errors import InklingError

MASK = "[MASK]"
"""Understood by every model, whatever its own mask token is called."""

BATCH_TOKENS = 512
"""The output has a row as wide as the vocabulary for every token, so batches are small."""


class FillMask(TaskModel):
    """Input: a string with one mask. Result: `[{"token_str", "score", "token", "sequence"}, …]`, best first.

    Parameters: `top_k` (5), `targets` (words: only these compete for a place, with unchanged scores; a word of several
    tokens stands for its first one). `sequence` is the user's text with the mask replaced and everything else as it
    was. A long text is cut to a window around the mask.
    """

    task = Task.FILL_MASK

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._encoder = TextEncoder(weights)
        self._forward = Forward(weights)
        self._tokenizer: Any = weights.tokenizer
        if weights.tokenizer.mask_token_id is None:
            raise InklingError(
                "wrong-task", f"{self.id} has no mask token, so it cannot fill gaps.", "Choose a masked language model."
            )
        self._mask_token, self._mask_id = str(weights.tokenizer.mask_token), int(weights.tokenizer.mask_token_id)

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One list of candidates per input."""
        top_k = number(parameters, "top_k", 5, 1, 1000)
        targets = self._target_ids(parameters.get("targets"))
        texts = [self._with_own_mask(text_of(self.task, item)) for item in inputs]
        windows = [self._window(text) for text in texts]
        rows: list[list[dict[str, Any]] | None] = [None] * len(texts)
        places = [window.ids.index(self._mask_id) for window in windows]
        read = self._forward(windows, lambda output: output.logits, stop, batch_tokens=BATCH_TOKENS, per_token=True)
        for index, logits in read:
            rows[index] = self._candidates(texts[index], logits[places[index]], top_k, targets)
        return complete_prefix(rows)

    def _with_own_mask(self, text: str) -> str:
        if self._mask_token not in text:
            text = text.replace(MASK, self._mask_token)
        if text.count(self._mask_token) != 1:
            raise InklingError(
                "bad-input",
                f"The text has {text.count(self._mask_token)} masks where fill-mask needs one.",
                f"Write {MASK} once, where the word is missing.",
            )
        return text

    def _window(self, text: str) -> Encoding:
        """The whole text, or the part of it around the mask that the model can read."""
        encoding = self._encoder.encode(text)
        room = self._encoder.max_length - self._encoder.added
        if len(encoding) > room:
            place = encoding.ids.index(self._mask_id)
            first = max(0, min(place - room // 2, len(encoding) - room))
            encoding.truncate(len(encoding) - first, direction="left")
            encoding.truncate(room)
        return self._encoder.tokenizer.post_process(encoding)

    def _candidates(self, text: str, logits: Tensor, top_k: int, targets: Tensor | None) -> list[dict[str, Any]]:
        scores = logits.softmax(-1)
        ids = torch.arange(len(scores)) if targets is None else targets
        best = scores[ids].topk(min(top_k, len(ids)))
        found = []
        for score, token in zip(best.values.tolist(), ids[best.indices].tolist(), strict=True):
            word = self._tokenizer.decode([token])
            found.append({"score": score, "token": token, "token_str": word, "sequence": self._fill(text, token, word)})
        return found

    def _fill(self, text: str, token: int, word: str) -> str:
        before, after = text.split(self._mask_token)
        if self._tokenizer.convert_ids_to_tokens(token).startswith("##"):
            return before.rstrip(" ") + word.removeprefix("##") + after  # goes on with the word before
        return before + word.strip() + after

    def _target_ids(self, targets: Any) -> Tensor | None:
        if targets is None:
            return None
        words = [targets] if isinstance(targets, str) else targets
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise bad_parameter("targets", "a list of words")
        vocabulary = self._encoder.tokenizer.get_vocab()
        ids = {vocabulary[word] for word in words if word in vocabulary}
        for word in words:
            if word not in vocabulary:
                ids.update(self._encoder.encode(word).ids[:1])
        if not ids:
            raise bad_parameter("targets", "a list with at least one word that the model knows")
        return torch.tensor(sorted(ids))
