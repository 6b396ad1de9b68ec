"""How much memory a model needs, from its files' headers, and how much there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from inkling.engine.models.catalog import ModelSource, encoder_folder
from inkling.engine.models.safetensors_file import ITEM_BITS, Tensor, read_header
from inkling.engine.protocol import Task

OVERHEAD_BYTES = 32 << 20
"""Tokenizer, buffers and the largest batch's activations."""


def estimate_bytes(source: ModelSource, task: str, *, quantization: str, device: str = "cpu") -> int:
    """Bytes that loading would take, close to and not below what it does take; no weight is read.

    Raises InklingError when a file's header is damaged, or `bad-quantization`.
    """
    tensors = [tensor for path in source.weights for tensor in read_header(path).values()]
    if Task.TEXT_GENERATION in source.tasks:
        bits = _generator_bits(source, tensors, quantization, device)
    else:
        from inkling.engine.models.device import pick_dtype

        dtype, _, _ = pick_dtype(device, quantization)
        bits = sum(_bits(tensor, dtype.itemsize * 8) for tensor in tensors)
    return int(bits / 8) + OVERHEAD_BYTES


def _generator_bits(source: ModelSource, tensors: Sequence[Tensor], quantization: str, device: str) -> float:
    """Packing takes the matrices; embeddings and vectors keep 16 bits at most."""
    from inkling.engine.models.quantize_plan import Machine, Method, choose

    kinds: Counter[str] = Counter()
    for tensor in tensors:
        kinds[tensor.dtype] += tensor.parameters
    parameters, stored = sum(kinds.values()), kinds.most_common(1)[0][0] if kinds else "F32"
    plan = choose(quantization, Machine.here(device), parameters=parameters, stored=stored)
    if plan.method in (Method.FLOAT32, Method.BFLOAT16):
        return sum(_bits(tensor, plan.method.bits) for tensor in tensors)
    rows = source.config.get("vocab_size")
    packed = sum(t.parameters for t in tensors if len(t.shape) == 2 and t.shape[0] != rows)
    return packed * plan.method.bits + (parameters - packed) * 16


def _bits(tensor: Tensor, width: float) -> float:
    """Bits in memory: floating-point numbers are converted, integers are not."""
    return tensor.parameters * (width if "F" in tensor.dtype else ITEM_BITS[tensor.dtype])


def encoder_bytes() -> int:
    """Of the starter encoder, which every starter classifier shares, and of its matrices as x86's kernels read them: on
    other processors, which keep no second copy, this is half too much.
    """
    folder = encoder_folder()
    return (folder / "model.safetensors").stat().st_size * 3 // 2 if folder else 0


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
