"""Read a safetensors file's header without loading it: what is inside, how large, and whether the file is whole.

Layout: 8 bytes little-endian header length N, N bytes of JSON `{name: {dtype, shape, data_offsets}}`, then the data.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inkling.errors import InklingError

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

ITEM_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's place: its dtype as the format spells it, its shape and its size in bytes."""

    dtype: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def parameters(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def read_header(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Raises InklingError `weights-corrupt` when the file is cut short, is no safetensors file, or its tensors do not
    tile its data exactly; `weights-missing` when it cannot be opened.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else -1
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise _corrupt(path, _describe(prefix, size))
            header = json.loads(file.read(length))
    except OSError as error:
        raise InklingError(
            "weights-missing", f"{path} cannot be read: {error.strerror}.", "Download the model again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, "its header is not JSON") from error
    return _tensors(path, header, size - 8 - length)


def _tensors(path: Path, header: object, data_bytes: int) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int]] = []
    try:
        assert isinstance(header, dict)
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            start, end = entry["data_offsets"]
            shape = tuple(entry["shape"])
            assert all(type(number) is int and number >= 0 for number in (start, end, *shape))
            if (end - start) * 8 != math.prod(shape) * ITEM_BITS[entry["dtype"]]:
                raise _corrupt(path, f"tensor {name[:80]} has another size than its shape says")
            tensors[name] = Tensor(entry["dtype"], shape, end - start)
            spans.append((start, end))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(path, "its header does not describe tensors") from error
    position = 0
    for start, end in sorted(spans):
        if start != position:
            raise _corrupt(path, "its tensors overlap or leave a hole")
        position = end
    if position != data_bytes:
        what = "cut short" if position > data_bytes else "followed by bytes that belong to no tensor"
        raise _corrupt(path, f"it is {what}: {data_bytes} bytes of data where {position} are described")
    return tensors


def _describe(prefix: bytes, size: int) -> str:
    if size == 0:
        return "it is empty"
    if prefix.startswith(b"version "):
        return "it is a Git LFS pointer, not the file itself"
    if prefix.startswith((b"\x80\x02", b"\x80\x04", b"PK\x03\x04")):
        return "it is a pickle under the name of a safetensors file"
    return f"it is cut short or no safetensors file ({size} bytes)"


def _corrupt(path: Path, why: str) -> InklingError:
    return InklingError(
        "weights-corrupt", f"{path} is damaged: {why}.", "Delete the model's folder and download it again."
    )
