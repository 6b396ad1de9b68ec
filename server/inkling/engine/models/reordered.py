"""Linear layers whose float32 weights lie in memory as oneDNN's kernels read them.

torch's own product takes the weights as the file has them and puts them in order anew at every call, which for the few
tokens of a sentence is half of the work. Here that is done once. The sums are the same to float32's rounding.
"""

from __future__ import annotations

import platform
from collections import Counter

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

_known = WeakTensorKeyDictionary()
"""Weights to their reordered copy: models that share a matrix share the copy too."""


class ReorderedLinear(nn.Module):
    """Stands in for an `nn.Linear` in inference: [..., in] to [..., out]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        if linear.weight not in _known:
            _known[linear.weight] = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._reordered: Tensor = _known[linear.weight]
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    @property
    def weight(self) -> Tensor:
        """The weights in the usual order, made anew: for the few models that ask for them."""
        return self._reordered.to_dense()

    def forward(self, inputs: Tensor) -> Tensor:
        """The product and the bias."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._reordered, self.bias, "none", [], "")
        return product


def reorder(model: nn.Module) -> None:
    """Put a `ReorderedLinear` in place of every float32 linear layer on the CPU whose weights nothing else reads."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if platform.machine() not in ("x86_64", "AMD64") or not available:
        return
    users = Counter(weight.data_ptr() for _, weight in model.named_parameters(remove_duplicate=False))
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and _fits(child.weight) and users[child.weight.data_ptr()] == 1:
                setattr(parent, name, ReorderedLinear(child))


def _fits(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and not weight.requires_grad
