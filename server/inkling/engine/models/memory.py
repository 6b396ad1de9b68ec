"""How much memory a model needs, from its files' headers, and how much there is."""

from __future__ import annotations

from pathlib import Path

from inkling.engine.models.catalog import ModelSource, encoder_folder
from inkling.engine.models.safetensors_file import ITEM_BITS, Tensor, read_header

OVERHEAD_BYTES = 32 << 20
"""Tokenizer, buffers and the largest batch's activations."""

_BITS_PER_WEIGHT = {"int8": 8.5, "int4": 4.5, "nf4": 4.5}
"""Packed weights with their scales."""


def estimate_bytes(source: ModelSource, task: str, *, quantization: str, device: str = "cpu") -> int:
    """Bytes that loading would take, an upper bound meant to be close; no weight is read.

    Packing needs the matrices alone: embeddings and vectors keep their width. `auto` is judged as int8 for text
    generation, which is the widest that it packs to. Raises InklingError when a file's header is damaged.
    """
    tensors = [tensor for path in source.weights for tensor in read_header(path).values()]
    generates = task == "text-generation" or _is_causal(source)
    packed = quantization if quantization in _BITS_PER_WEIGHT else "int8" if quantization == "auto" else ""
    wide_bits = 16 if device.startswith("cuda") else 32
    bits = sum(
        _bits(tensor, packed if generates else "", wide_bits, embeddings=_embedding_rows(source)) for tensor in tensors
    )
    total = int(bits / 8) + OVERHEAD_BYTES
    if source.is_adapter:
        total += _shared_encoder_bytes()
    return total


def _bits(tensor: Tensor, packed: str, wide_bits: int, embeddings: int) -> float:
    if packed and len(tensor.shape) == 2 and tensor.shape[0] != embeddings:
        return tensor.parameters * _BITS_PER_WEIGHT[packed]
    if tensor.dtype in ("F16", "BF16", "F32", "F64"):
        return tensor.parameters * (16 if packed and tensor.dtype != "F32" else wide_bits)
    return tensor.parameters * ITEM_BITS[tensor.dtype]


def _is_causal(source: ModelSource) -> bool:
    return "text-generation" in source.tasks


def _embedding_rows(source: ModelSource) -> int:
    rows = source.config.get("vocab_size")
    return rows if isinstance(rows, int) else -1


def _shared_encoder_bytes() -> int:
    folder = encoder_folder()
    return (folder / "model.safetensors").stat().st_size if folder else 0


def available_bytes() -> int:
    """Memory that a new model could take on this machine, the container's limit included."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = _number(Path("/sys/fs/cgroup/memory.max"))
    used = _number(Path("/sys/fs/cgroup/memory.current"))
    return free if limit is None or used is None else max(0, min(free, limit - used))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
