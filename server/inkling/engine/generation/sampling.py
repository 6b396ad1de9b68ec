"""From logits to a token: greedy, or temperature and nucleus sampling with a seed of its own per request."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

ON_THIS_THREAD = 65_536
"""Logits up to which a choice is made by numpy: torch splits it over threads, and on a busy machine waits milliseconds
for the others to get a turn. With larger vocabularies the model's own steps take longer than that."""


class Sampler:
    """Chooses tokens for one request. Temperature 0 is greedy; equal seeds give equal choices for equal logits."""

    def __init__(self, temperature: float = 0.0, top_p: float = 1.0, seed: int | None = None) -> None:
        self.temperature = temperature
        self.top_p = top_p
        self._random = torch.Generator()
        if seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(seed)

    @property
    def greedy(self) -> bool:
        """True when the most likely token is always taken."""
        return self.temperature <= 0

    def choose(self, logits: Tensor) -> tuple[int, float]:
        """A token id from float32 logits [vocabulary], and its natural-log probability before temperature."""
        if self.greedy:
            (choice,), (chance,) = most_likely(logits[None])
            return choice, chance
        logits = logits.cpu()
        probabilities = torch.softmax(logits / self.temperature, dim=-1)
        if self.top_p < 1:
            probabilities = _nucleus(probabilities, self.top_p)
        # by the cumulative sum, in half of multinomial's time; a token of no probability has no width to land in
        ends = probabilities.cumsum(-1)
        place = torch.rand(1, generator=self._random) * ends[-1]
        token = min(int(torch.searchsorted(ends, place, right=True)), len(ends) - 1)
        return token, float(logits[token] - logits.logsumexp(-1))


def most_likely(logits: Tensor) -> tuple[list[int], list[float]]:
    """The greedy choices and their natural-log probabilities for float32 logits [n, vocabulary]."""
    if logits.device.type == "cpu" and logits.shape[-1] <= ON_THIS_THREAD:
        rows = logits.numpy()
        best = rows.argmax(-1)
        sums = np.exp(rows - np.take_along_axis(rows, best[:, None], -1)).sum(-1)
        return best.tolist(), [-math.log(total) for total in sums.tolist()]
    highest, tokens = logits.max(-1, keepdim=True)  # with the value at hand, twice as fast as argmax and logsumexp
    chances = (logits - highest).exp_().sum(-1).log_().neg_()
    return tokens.squeeze(-1).tolist(), chances.tolist()


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the fewest most likely tokens that together reach `top_p`; always at least one."""
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(-1) - ordered  # mass ahead of each token
    ordered[before > max(top_p, 0.0)] = 0
    ordered[0] = probabilities.max()
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)
