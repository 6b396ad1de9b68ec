"""Bits per byte: how well a causal model predicts text it has not seen, whatever its tokenizer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer

from inkling.training.tokenizer import control_id
from inkling.training.tokenizer_recipe import END


@torch.inference_mode()
def bits_per_byte(
    model: torch.nn.Module, tokenizer: Tokenizer, texts: Iterable[str], *, context: int, stride: int | None = None
) -> float:
    """Mean bits that the model needs per UTF-8 byte of ``texts``; lower is better.

    Each document starts with the end-of-text token; windows of ``context`` tokens overlap so that, after a
    document's first window, a token has at least ``context - stride`` tokens before it (default: half).
    """
    stride = stride or context // 2
    start = control_id(tokenizer, END)
    device = next(model.parameters()).device
    bits, size = 0.0, 0
    for text in texts:
        ids = [start, *tokenizer.encode(text, add_special_tokens=False).ids]
        size += len(text.encode())
        counted = 1
        for begin in range(0, max(1, len(ids) - 1), stride):
            window = torch.tensor([ids[begin : begin + context]], device=device)
            logits = model(input_ids=window, use_cache=False).logits[0, counted - begin - 1 : -1].float()
            wanted = window[0, counted - begin :]
            bits += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")) / math.log(2)
            counted = begin + window.shape[1]
            if counted >= len(ids):
                break
    return bits / max(1, size)
