"""The fused forward pass against the transformers module, and packed products against plain ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from inkling.engine.generation.decoder import Interrupted, never
from inkling.engine.models import fused_llama
from inkling.engine.models.fused_llama import FusedLlama
from inkling.engine.models.packed_linear import (
    Int4Groups,
    Int4Linear,
    Int8Linear,
    Int8Rows,
    PlainLinear,
)
from inkling.engine.models.quantize_pack import Packer
from inkling.engine.models.quantize_plan import Method

FUSED = ("llama", "llama-scaled", "qwen2", "qwen3", "mistral")
IDS = [int(i) for i in torch.randint(0, 600, (90,), generator=torch.Generator().manual_seed(0))]


def build(folder: Path, **options: Any) -> FusedLlama:
    tensors = load_file(folder / "model.safetensors")
    config = AutoConfig.from_pretrained(folder)
    return FusedLlama(config, tensors.get, Packer(Method.FLOAT32), **options)


@pytest.mark.parametrize("architecture", FUSED)
def test_logits_equal_the_modules(tiny_lm: Callable[[str], Path], architecture: str) -> None:
    folder = tiny_lm(architecture)
    with torch.inference_mode():
        expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(torch.tensor([IDS])).logits[0]
    decoder = build(folder)
    cache = decoder.new_cache()
    got = [decoder.forward(IDS[:40], cache, 40), decoder.forward(IDS[40:60], cache, 20)]
    got += [decoder.forward([token], cache, 1) for token in IDS[60:]]
    torch.testing.assert_close(torch.cat(got), expected, atol=1e-4, rtol=1e-4)


def test_cropped_and_copied_caches_are_as_fresh_ones(tiny_lm: Callable[[str], Path]) -> None:
    decoder = build(tiny_lm("llama"))
    cache = decoder.new_cache()
    decoder.forward(IDS, cache, 1)
    twin = cache.copy(50)
    cache.crop(30)
    decoder.forward([1, 2, 3], cache, 1)
    for kept, tail in ((twin, IDS[50:]), (cache, [7])):
        before = IDS[:50] if kept is twin else [*IDS[:30], 1, 2, 3]
        expected = decoder.forward([*before, *tail], decoder.new_cache(), 1)
        torch.testing.assert_close(decoder.forward(tail, kept, 1), expected, atol=1e-4, rtol=1e-4)


def test_an_interrupted_pass_leaves_no_trace(tiny_lm: Callable[[str], Path]) -> None:
    decoder = build(tiny_lm("llama"))
    cache = decoder.new_cache()
    decoder.forward(IDS[:20], cache, 1)
    asked = iter([False, True])
    decoder.interrupt = lambda: next(asked)
    with pytest.raises(Interrupted):
        decoder.forward(IDS[50:], cache, 1)
    decoder.interrupt = never
    assert cache.length == 20
    expected = decoder.forward(IDS[:40], decoder.new_cache(), 1)
    torch.testing.assert_close(decoder.forward(IDS[20:40], cache, 1), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "why"),
    [("gpt2", "gpt2"), ("gemma", "gemma"), ("starcoder2", "starcoder2"), ("mistral-sliding", "sliding-window")],
)
def test_other_shapes_are_named(tiny_lm: Callable[[str], Path], architecture: str, why: str) -> None:
    assert why in fused_llama.unsupported(AutoConfig.from_pretrained(tiny_lm(architecture)))


@pytest.mark.parametrize("tokens", [1, 3, 8, 40])
@pytest.mark.parametrize("outlier", [1.0, 300.0])
def test_packed_products_are_close(tokens: int, outlier: float) -> None:
    torch.manual_seed(tokens)
    weight, bias, x = torch.randn(96, 128) * 0.05, torch.randn(96), torch.randn(tokens, 128)
    x[-1] *= outlier  # one loud token must not drown the others
    exact = x @ weight.T + bias
    for op, allowed in (
        (PlainLinear(weight, bias), 1e-6),
        (PlainLinear(weight.bfloat16(), bias), 1e-2),
        (Int8Linear(Int8Rows.of(weight), bias), 2e-2),
        (Int4Linear(Int4Groups.of(weight), bias), 0.15),
    ):
        error = (op(x).float() - exact).norm(dim=1) / (exact - bias).norm(dim=1)
        assert error.max() < allowed
