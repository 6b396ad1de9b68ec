"""Greedy completion with a bare model, for measuring it without the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer

from inkling.training.tokenizer import control_id
from inkling.training.tokenizer_recipe import END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX


@dataclass(frozen=True)
class Said:
    """What a model said, and how sure it was: the log-probability (natural) of all ``tokens``, the end included."""

    text: str
    logprob: float
    tokens: int


class GreedyCompleter:
    """Continues text with a causal model, one likeliest token after the other.

    ``window`` bounds the prompt in tokens. The model's cache is kept within one completion only.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, *, window: int, max_tokens: int = 48) -> None:
        self.model = model.eval()
        self.tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.encode_special_tokens = True
        self.window = window
        self.max_tokens = max_tokens
        self.end = control_id(tokenizer, END)
        self.specials = {tokenizer.token_to_id(t.content) for t in tokenizer.get_added_tokens_decoder().values()}

    def line(self, before: str) -> Said:
        """What follows ``before``, to the end of its line."""
        return self._decode(self._tail(before, self.window), one_line=True)

    def lines(self, before: str) -> Said:
        """What follows ``before``, over as many lines as ``max_tokens`` make."""
        return self._decode(self._tail(before, self.window), one_line=False)

    def filled(self, before: str, after: str, *, suffix_first: bool) -> Said:
        """What stands between ``before`` and ``after``, to the end of the line, by fill-in-the-middle."""
        prefix, suffix, middle = (control_id(self.tokenizer, name) for name in (FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE))
        room = self.window - 3
        tail = self.tokenizer.encode(after[: 8 * room], add_special_tokens=False).ids[: room // 6]
        head = self._tail(before, room - len(tail))
        if suffix_first:
            return self._decode([prefix, suffix, *tail, middle, *head], one_line=True)
        return self._decode([prefix, *head, suffix, *tail, middle], one_line=True)

    def _tail(self, text: str, room: int) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text[-8 * room :], add_special_tokens=False).ids
        return [self.end, *ids] if len(ids) < room and len(text) <= 8 * room else ids[-room:]

    @torch.inference_mode()
    def _decode(self, prompt: list[int], *, one_line: bool) -> Said:
        ids = torch.tensor([prompt])
        cache: Any = None
        out: list[int] = []
        chance = 0.0
        for _ in range(self.max_tokens):
            result = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = result.past_key_values
            chances = result.logits[0, -1].float().log_softmax(-1)
            token = int(chances.argmax())
            chance += float(chances[token])
            if token in self.specials:
                break
            out.append(token)
            if one_line and "\n" in self.tokenizer.decode(out[-1:]):
                break
            ids = torch.tensor([[token]])
        text: str = self.tokenizer.decode(out)
        return Said(text.split("\n")[0] if one_line else text, chance, max(1, len(out)))
