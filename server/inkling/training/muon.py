"""Muon for matrices: momentum, made orthogonal by Newton–Schulz steps (Jordan 2024; update scaled as in Liu 2025).

`torch.optim.Muon` computes the steps in bf16 whatever the machine. A CPU without bf16 multiplication takes nine seconds
for what it does in half a second in fp32, several times the gradient itself; so this one computes in the precision
that the device multiplies fast, and all matrices of one shape at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from inkling.training.device import precision

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic: the largest slope at zero that keeps the singular values near one (Jordan 2024)."""


class Muon(torch.optim.Optimizer):
    """Steps 2-D weights of hidden layers; the update's size is matched to AdamW's, so that one rate serves both."""

    def __init__(
        self, weights: Iterable[torch.Tensor], *, lr: float, weight_decay: float, momentum: float = 0.95, steps: int = 5
    ) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "steps": steps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply the gradients."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for shape, weights in by_shape.items():
                updates = orthogonal(torch.stack([self._momentum(w, group) for w in weights]), group["steps"])
                size = group["lr"] * 0.2 * max(shape) ** 0.5
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(weights, list(updates.unbind()), alpha=-size)

    def _momentum(self, weight: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
        """Nesterov's look ahead; the state keeps torch.optim.Muon's name for it."""
        gradient = weight.grad
        assert gradient is not None
        buffer = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(gradient))
        buffer.lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(buffer, group["momentum"])


def orthogonal(matrices: torch.Tensor, steps: int) -> torch.Tensor:
    """The nearest matrices with singular values of about one: ``[n, rows, columns]`` to the same."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x.to(precision(x.device)) / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    result: torch.Tensor = (x.mT if tall else x).to(matrices.dtype)
    return result
