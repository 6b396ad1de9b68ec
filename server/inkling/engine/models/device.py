"""Where models run and in which precision."""

from __future__ import annotations

import os
import re

import torch

from inkling.errors import InklingError

EXACT = "full precision, so that scores are those of the model's card"


def pick_device(setting: str) -> str:
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps` to a device that this machine has.

    Raises InklingError `bad-device` for a name that is none, or one that is not here.
    """
    if setting == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if re.fullmatch(r"cpu|mps|cuda(:\d{1,2})?", setting) is None:
        raise InklingError("bad-device", f'"{setting[:40]}" is not a device.', "Set engine.device to auto.")
    index = int(setting.partition(":")[2] or 0)
    here = {
        "cpu": True,
        "mps": torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available() and index < torch.cuda.device_count(),
    }
    if not here[setting.partition(":")[0]]:
        raise InklingError("bad-device", f"There is no {setting} on this machine.", "Set engine.device to auto.")
    return setting


def set_threads(setting: int) -> None:
    """Compute threads on the CPU; 0 takes one per physical core, at most 8, and no more than this process may use."""
    if setting > 0:
        torch.set_num_threads(setting)
        return
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(psutil.cpu_count(logical=False) or allowed, allowed, 8)))


def pick_dtype(device: str, quantization: str) -> tuple[torch.dtype, str, str]:
    """(dtype, its name, why) for a model that is no text generator.

    Float32 on the CPU, so that scores are those that the model's card promises; float16 and bfloat16 checkpoints are
    widened. Packed integers are for text generation, whose time goes into reading weights; an encoder that reads a
    whole batch at once gains little from them.
    """
    if device.startswith("cuda") and torch.cuda.is_bf16_supported() and quantization in ("auto", "bf16"):
        return torch.bfloat16, "bf16", "half the memory, and fast on this GPU"
    if quantization == "bf16":
        return torch.bfloat16, "bf16", "as asked"
    if quantization in ("int8", "int4", "nf4"):
        return torch.float32, "none", f"{quantization} is for text generation; this model is kept exact"
    return torch.float32, "none", EXACT
