"""Turns a checkpoint's weights into packed ones, from the cache where they were packed before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from inkling.engine.models.packed_linear import (
    Int4Groups,
    Int4Linear,
    Int8Linear,
    Int8Rows,
    LinearOp,
    PlainLinear,
    group_size,
)
from inkling.engine.models.quantize_plan import Method

Make = Callable[[], tuple[Tensor, Tensor | None]]
"""Gives a weight [out, in] and its bias, when they are needed."""
HEAD = "lm_head"
"""The output layer, by far the most sensitive to rounding; never below 8 bits."""


class Packer:
    """Packs by one method. Reads from the folder `cached` what it holds; writes what it packs into `save_to`.

    When the disk does not take it, packing goes on and `saved` is False.
    """

    def __init__(
        self, method: Method, device: str = "cpu", *, cached: Path | None = None, save_to: Path | None = None
    ) -> None:
        self.method = method
        self.saved = save_to is not None
        self._device = device
        self._cached = cached
        self._save_to = save_to
        self._head: Int8Rows | None = None

    def linear(self, name: str, make: Make) -> LinearOp:
        """The product with a weight; `name` is unique in the model."""
        if self.method not in (Method.INT8, Method.INT4):
            weight, bias = make()
            dtype = torch.float32 if self.method == Method.FLOAT32 else torch.bfloat16
            return PlainLinear(weight.to(self._device, dtype), None if bias is None else bias.to(self._device))
        values, scales, bias = self._take(name, make)
        if values.dtype == torch.uint8:
            return Int4Linear(Int4Groups(values, scales), bias)
        rows = Int8Rows(values, scales)
        if name == HEAD:
            self._head = rows
        return Int8Linear(rows, bias, exact=name == HEAD)

    def table(self, make: Callable[[], Tensor], *, tied: bool) -> Tensor | Int8Rows:
        """The embedding: 8 bits a row where weights are packed, shared with the head's when `tied`."""
        if self.method not in (Method.INT8, Method.INT4):
            dtype = torch.float32 if self.method == Method.FLOAT32 else torch.bfloat16
            return make().to(self._device, dtype)
        if tied and self._head is not None:
            return self._head
        values, scales, _ = self._take("embedding", lambda: (make(), None))
        return Int8Rows(values, scales)

    def _take(self, name: str, make: Make) -> tuple[Tensor, Tensor, Tensor | None]:
        """(values, scales, bias). Raises SafetensorError or OSError when the cached file is damaged."""
        if self._cached is not None:
            found = load_file(self._cached / f"{name}.safetensors")
            return found["values"], found["scales"], found.get("bias")
        weight, bias = make()
        narrow = self.method == Method.INT4 and name not in (HEAD, "embedding") and group_size(weight.shape[1])
        packed = Int4Groups.of(weight) if narrow else Int8Rows.of(weight)
        self._save(name, packed.values, packed.scales, bias)
        return packed.values, packed.scales, bias

    def _save(self, name: str, values: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        if self._save_to is None or not self.saved:
            return
        tensors = {"values": values, "scales": scales} | ({} if bias is None else {"bias": bias})
        try:
            save_file(tensors, self._save_to / f"{name}.safetensors")
        except (OSError, SafetensorError):  # the disk is full
            self.saved = False
