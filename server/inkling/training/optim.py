"""What moves the weights: Muon for matrices, AdamW for embeddings and norms, and a schedule that can end any time.

Warm-up, stable, decay: the rate stays constant until the last ``decay_steps`` and then falls to zero. So the length
of a run need not be known when it starts: resume it with another ``steps`` and it decays from where it is.
"""

from __future__ import annotations

import torch

from inkling.training.causal_recipe import OptimizerRecipe
from inkling.training.muon import Muon


class Optimizers:
    """The optimizers of one model, stepped together."""

    def __init__(self, model: torch.nn.Module, recipe: OptimizerRecipe) -> None:
        self.recipe = recipe
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in named]
        inner = [p for name, p in named if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
        inside = {id(p) for p in inner}
        outer = [p for p in self.parameters if id(p) not in inside]
        self.all: dict[str, torch.optim.Optimizer] = {}
        if recipe.kind == "muon":
            self.all["muon"] = Muon(inner, lr=recipe.rate, weight_decay=recipe.weight_decay)
        else:
            outer += inner
        self.all["adamw"] = torch.optim.AdamW(
            outer, lr=recipe.embedding_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        )
        self._base = {name: optimizer.param_groups[0]["lr"] for name, optimizer in self.all.items()}

    def step(self, step: int, steps: int, decay_steps: int) -> float:
        """Apply the gradients at ``step`` (from 0) of ``steps`` and clear them; returns the schedule's factor."""
        factor = schedule(step, steps, self.recipe.warmup_steps, decay_steps)
        torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip)
        for name, optimizer in self.all.items():
            for group in optimizer.param_groups:
                group["lr"] = self._base[name] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return factor


def schedule(step: int, steps: int, warmup_steps: int, decay_steps: int) -> float:
    """The share of the full rate at ``step``: linear warm-up, flat, linear decay to zero at ``steps``."""
    warm = (step + 1) / warmup_steps if warmup_steps else 1.0
    decay = (steps - step) / decay_steps if decay_steps else 1.0
    return max(0.0, min(1.0, warm, decay))
