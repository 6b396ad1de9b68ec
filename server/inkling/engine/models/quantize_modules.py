"""Packs the linear layers inside any transformers module, for the architectures without a forward pass of our own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from inkling.engine.models.packed_linear import LinearOp
from inkling.engine.models.quantize_pack import HEAD, Packer

SMALLEST = 16
"""Narrower layers are left alone."""


class PackedModule(nn.Module):
    """A linear layer whose weights are packed. Keeps the caller's type and leading dimensions."""

    def __init__(self, op: LinearOp) -> None:
        super().__init__()
        self.op = op

    def forward(self, x: Tensor) -> Tensor:
        """[…, in] to […, out]."""
        rows = x.reshape(-1, x.shape[-1])
        return self.op(rows).to(x.dtype).view(*x.shape[:-1], self.op.outputs)


def pack_modules(model: Any, packer: Packer) -> int:
    """Replace every linear layer of `model`, also GPT-2's transposed kind; the bytes of the packed weights."""
    from transformers.pytorch_utils import Conv1D

    total = 0
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if not isinstance(module, (nn.Linear, Conv1D)) or min(module.weight.shape) < SMALLEST:
            continue
        if type(module) not in (nn.Linear, Conv1D):  # a subclass may compute something else
            continue
        op = packer.linear(HEAD if module is head else name, _maker(module, transposed=isinstance(module, Conv1D)))
        total += op.bytes
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent) if parent else model, leaf, PackedModule(op))
    return total


def _maker(module: Any, *, transposed: bool) -> Any:
    def make() -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            weight = module.weight.T if transposed else module.weight
            return weight.detach(), None if module.bias is None else module.bias.detach()

    return make
