"""Loads a causal LM in the asked precision."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inkling.engine.generation.decoder import Decoder, ModuleDecoder
from inkling.errors import InklingError

SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True, slots=True)
class LoadedCausalLM:
    """A decoder with its tokenizer, the token ids that end a text, and how it was quantized and why."""

    decoder: Decoder
    tokenizer: Any
    end_ids: int | list[int] | None
    quantization: str
    why: str
    notices: tuple[str, ...] = ()


def load(
    folder: Path, *, quantization: str = "auto", device: str = "cpu", on_progress: Callable[[float], None] | None = None
) -> LoadedCausalLM:
    """Load the model in `folder`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and "auto_map" in json.loads(path.read_text(encoding="utf-8")):
            raise InklingError("needs-remote-code", f"{path} wants to run code of its own.", "Use another model.")
    report = on_progress or (lambda _: None)
    report(0.1)
    tokenizer = AutoTokenizer.from_pretrained(folder, **SAFE)
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **SAFE)
    report(1.0)
    return LoadedCausalLM(
        ModuleDecoder(model.to(device)), tokenizer, model.generation_config.eos_token_id, "none", "no quantization yet"
    )
