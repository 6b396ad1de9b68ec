"""bitsandbytes: NormalFloat 4 with double quantization, and LLM.int8, for any model on CPU and CUDA."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from inkling.engine.models import quantize_cache
from inkling.engine.models.quantize_plan import Method

CPU_BLOCK = 64
"""On the CPU, bitsandbytes packs a 4-bit layer for its kernel only when the inputs are a multiple of this."""


def config(method: Method, skip: list[str] | None = None) -> Any:
    """The `BitsAndBytesConfig` of a method; products are computed in bfloat16. Modules named in `skip`
    stay as they are.
    """
    from transformers import BitsAndBytesConfig

    make: Any = BitsAndBytesConfig
    if method == Method.BNB_INT8:
        return make(load_in_8bit=True)
    return make(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=skip,
    )


def _unpackable(folder: Path, **safe: Any) -> list[str] | None:
    """Layers that the CPU kernel cannot take, and the output layer, which is never quantized; None without such."""
    from transformers import AutoConfig, AutoModelForCausalLM

    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(AutoConfig.from_pretrained(folder, **safe), trust_remote_code=False)
    head = model.get_output_embeddings()
    names = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    odd = [name for name, module in names.items() if module.in_features % CPU_BLOCK]
    return [*odd, *(name for name, module in names.items() if module is head)] if odd else None


def load(
    folder: Path, weights: tuple[Path, ...], method: Method, device: str, **safe: Any
) -> tuple[Any, tuple[str, ...]]:
    """(module, notices). The cache's entry where there is one, else quantized now and written there.

    Raises what transformers raises for unusable files.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # its import may look for kernels on the hub
    logging.getLogger("bitsandbytes").setLevel(
        logging.ERROR
    )  # what it lacks, and a line for each product of each token
    import bitsandbytes
    from transformers import AutoModelForCausalLM

    versions = (bitsandbytes.__version__, torch.__version__.partition("+")[0])
    name = quantize_cache.entry_name(weights, method, versions)
    placed = {"device_map": {"": device}, "dtype": torch.bfloat16, "use_safetensors": True, **safe}
    if (entry := quantize_cache.find(name)) is not None:
        try:
            return AutoModelForCausalLM.from_pretrained(entry, **placed), ()
        except Exception:  # a damaged entry must not be worse than none
            quantize_cache.discard(name)
    skip = _unpackable(folder, **safe) if method == Method.BNB_NF4 and torch.device(device).type == "cpu" else None
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config(method, skip), **placed)
    partial = quantize_cache.begin(sum(path.stat().st_size for path in weights))
    if partial is None:
        return model, (quantize_cache.UNAVAILABLE,)
    try:  # before the first forward pass: packing for the CPU changes the scales for good
        model.save_pretrained(partial)
    except (OSError, SafetensorError):
        quantize_cache.abandon(partial)
        return model, (quantize_cache.UNAVAILABLE,)
    return model, () if quantize_cache.commit(partial, name) else (quantize_cache.UNAVAILABLE,)
