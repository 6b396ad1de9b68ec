"""Matrix products with weights in 32, 16, 8 or 4 bits: one class per kernel, all called as `y = op(x)` on [tokens, in].

* `PlainLinear`: float32 or bfloat16.
* `Int8Linear`: weights rounded per output row, activations per token while running; integer products (VNNI, AMX).
* `Int4Linear`: weights rounded per group of inputs; bfloat16 activations. Fastest for a few tokens; more go through
  bfloat16 weights made for the call.

None keeps the weights that it was made from.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

GROUP = 64
"""Inputs that share a scale in 4 bits; 32 where 64 does not divide the width."""
INT4_TOKENS = 24
"""Above so many tokens the 4-bit kernel is slower than making bfloat16 weights for the call."""

SMALL = 500_000
"""Weights of a matrix whose product with one token costs less than calling the larger kernel."""

_engine_lock = threading.Lock()


class LinearOp(Protocol):
    """A matrix product whose weights are packed for this machine."""

    bytes: int
    outputs: int

    def __call__(self, x: Tensor) -> Tensor:
        """[tokens, in] in any float type to [tokens, out] float32 or bfloat16."""
        ...


@dataclass(frozen=True, slots=True)
class Int8Rows:
    """Weights [out, in] as `values` int8 times `scales` float32 [out], which bfloat16 holds exactly."""

    values: Tensor
    scales: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> Int8Rows:
        """Round each row to 255 levels."""
        weight = weight.float()
        scales = (weight.abs().amax(1).clamp_(min=1e-12) / 127).bfloat16().float()
        return cls((weight / scales[:, None]).round_().clamp_(-127, 127).to(torch.int8), scales)


@dataclass(frozen=True, slots=True)
class Int4Groups:
    """Weights [out, in] in 4 bits: `values` uint8 [out, in / 2], `scales` bfloat16 [in / group, out, 2].

    A byte holds a value of its group's first half in its low bits, and the one half a group further in its high bits.

    A weight is `(value - 8) * scales[…, 0] + scales[…, 1]`.
    """

    values: Tensor
    scales: Tensor

    @property
    def group(self) -> int:
        """Inputs that share a scale."""
        return self.values.shape[1] * 2 // self.scales.shape[0]

    @classmethod
    def of(cls, weight: Tensor) -> Int4Groups:
        """Round each group of inputs to 16 levels between its extremes."""
        rows, columns = weight.shape
        group = group_size(columns)
        grouped = weight.float().reshape(rows, columns // group, group)
        low, high = grouped.amin(-1), grouped.amax(-1)
        scales = ((high - low) / 15).clamp_(min=1e-9).bfloat16()
        offsets = (low + 8 * scales.float()).bfloat16()
        levels = ((grouped - offsets.float()[..., None]) / scales.float()[..., None]).round_().add_(8).clamp_(0, 15)
        first, second = levels.to(torch.uint8).chunk(2, -1)
        values = (first | (second << 4)).reshape(rows, columns // 2)
        return cls(values, torch.stack((scales.T, offsets.T), -1).contiguous())

    def levels(self) -> Tensor:
        """The values one by one, uint8 [out, in / group, group]."""
        values = self.values.view(len(self.values), -1, self.group // 2)
        return torch.cat((values & 15, values >> 4), -1)


def group_size(inputs: int) -> int:
    """The group for a layer of so many inputs; 0 when it cannot be packed in 4 bits."""
    return next((size for size in (GROUP, 32) if inputs % size == 0), 0)


class PlainLinear:
    """Weights as they are, in their own type."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight = weight
        self._bias = None if bias is None else bias.to(weight.dtype)
        # one bfloat16 row: the matrix-vector product is nearly twice as fast on the CPU as the matrix product
        self._vector = weight.dtype == torch.bfloat16 and weight.device.type == "cpu"
        self.outputs = weight.shape[0]
        self.bytes = weight.nelement() * weight.element_size()

    def __call__(self, x: Tensor) -> Tensor:
        """In the weights' type."""
        x = x.to(self._weight.dtype)
        if not self._vector or x.shape[0] > 1:
            return F.linear(x, self._weight, self._bias)
        y = torch.mv(self._weight, x[0])
        return (y if self._bias is None else y.add_(self._bias)).unsqueeze(0)


class Int8Linear:
    """8-bit weights and, per call, 8-bit activations with one scale per token.

    The kernel has one scale per call. Dividing each row by its largest magnitude first makes that a scale per token, so
    an outlier in one token costs no other token its precision.

    Small matrices are slowed by the call, not by their bytes: for one token they use a lighter kernel that leaves the
    activations in bfloat16. `exact` avoids that kernel, whose result has 8 significant bits.
    """

    def __init__(self, weight: Int8Rows, bias: Tensor | None = None, *, exact: bool = False) -> None:
        small = weight.values.nelement() <= SMALL
        self._packed = _prepack(weight, "onednn" if not small and torch.cpu._is_amx_tile_supported() else "x86")
        self._bias = None if bias is None else bias.float()
        self._single = (weight.values, weight.scales.bfloat16()) if small and not exact else None
        self._reduce = not torch.cpu._is_vnni_supported()
        self.outputs = weight.values.shape[0]
        self.bytes = weight.values.nelement() * (2 if self._single else 1) + 4 * self.outputs

    def __call__(self, x: Tensor) -> Tensor:
        """Float32 [tokens, out]; bfloat16 for one token from a small matrix without bias."""
        if x.shape[0] > 1:
            x = x.float()
            sizes = torch.maximum(x.amax(1, True), x.amin(1, True).neg_()).clamp_(min=1e-12)
            y: Tensor = torch.ops.quantized.linear_dynamic(x / sizes, self._packed, self._reduce).mul_(sizes)
        elif self._single is not None:
            y = torch._weight_int8pack_mm(x.bfloat16(), *self._single)
        else:
            y = torch.ops.quantized.linear_dynamic(x.float(), self._packed, self._reduce)
        return y if self._bias is None else self._bias + y


def _prepack(weight: Int8Rows, engine: str) -> object:
    with _engine_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantized tensors are deprecated; their kernels have no successor here
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = engine
        try:
            zeros = torch.zeros(len(weight.scales), dtype=torch.long)
            tensor = torch._make_per_channel_quantized_tensor(weight.values, weight.scales.double(), zeros, 0)
            packed: object = torch.ops.quantized.linear_prepack(tensor, None)
            return packed
        finally:
            torch.backends.quantized.engine = before


class Int4Linear:
    """4-bit weights, bfloat16 activations."""

    def __init__(self, weight: Int4Groups, bias: Tensor | None = None) -> None:
        self._packed = torch._convert_weight_to_int4pack_for_cpu(weight.levels().flatten(1).int(), 1)
        self._weight = weight
        self._group = weight.group
        self._scales = weight.scales
        scales, offsets = weight.scales.permute(2, 1, 0).unsqueeze(-1).unbind()  # each [out, in / group, 1]
        self._steps = scales.contiguous()
        self._zeros = offsets - 8 * scales
        self._bias = None if bias is None else bias.bfloat16()
        self.outputs = weight.values.shape[0]
        self.bytes = 2 * weight.values.nelement() + 4 * weight.scales.nelement()

    def __call__(self, x: Tensor) -> Tensor:
        """Bfloat16 [tokens, out]."""
        x = x.bfloat16()
        if x.shape[0] <= INT4_TOKENS:
            y: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, self._packed, self._group, self._scales)
        else:
            levels = self._weight.levels().bfloat16()
            y = F.linear(x, torch.addcmul(self._zeros, levels, self._steps).flatten(1))
        return y if self._bias is None else y.add_(self._bias)
