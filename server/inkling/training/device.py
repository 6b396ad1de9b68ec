"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from inkling.training.errors import TrainingError


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one. Raises TrainingError for a device this machine lacks."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"device {name!r} cannot be used here: {reason}. Try --device auto.") from None
    return device


def precision(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it (CUDA, AMX, AVX512-BF16), fp32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32
