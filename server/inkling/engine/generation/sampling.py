"""From logits to a token: greedy, or temperature and nucleus sampling with a seed of its own per request."""

from __future__ import annotations

import torch
from torch import Tensor


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

    def choose(self, logits: Tensor) -> int:
        """A token id from float32 logits [vocabulary]."""
        if self.greedy:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.cpu() / self.temperature, dim=-1)
        if self.top_p < 1:
            probabilities = _nucleus(probabilities, self.top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._random))


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the fewest most likely tokens that together reach `top_p`; always at least one."""
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(-1) - ordered  # mass ahead of each token
    ordered[before > max(top_p, 0.0)] = 0
    ordered[0] = probabilities.max()
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)


def logprobs(logits: Tensor, chosen: Tensor) -> list[float]:
    """Natural-log probabilities of `chosen` [n] under logits [n, vocabulary], before temperature."""
    picked = logits.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    result: list[float] = (picked - logits.logsumexp(-1)).tolist()
    return result
