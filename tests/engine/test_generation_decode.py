"""The decode loop against `generate()`: the same tokens, whatever the cache held and however they were drafted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from inkling.engine.backend import Stop
from inkling.engine.generation import loop
from inkling.engine.generation.decoder import ModuleDecoder
from inkling.engine.generation.drafting import DraftLength, LookUp
from inkling.engine.generation.loop import Loop
from inkling.engine.generation.prefix_cache import PrefixCache, Sequence
from inkling.engine.generation.sampling import Sampler

PROMPT = "".join(f"def function_{n}(value):\n    return value + {n}\n\n" for n in range(9)) + "def function_9("
NEW = 40
ARCHITECTURES = (
    "llama", "llama-scaled", "qwen2", "qwen3", "mistral", "mistral-sliding", "starcoder2", "gpt2", "gpt-neox", "gemma",
    "gemma2", "phi", "mamba",
)  # fmt: skip


def load(folder: Path) -> tuple[Any, list[int]]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)(PROMPT)["input_ids"]


def reference(model: Any, prompt: list[int], new: int = NEW) -> list[int]:
    model.generation_config.eos_token_id = None
    out = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False,
        min_new_tokens=new, max_new_tokens=new, pad_token_id=0,
    )  # fmt: skip
    return out[0, len(prompt) :].tolist()


def run(
    runner: Loop, prompt: list[int], sequence: Sequence | None = None, new: int = NEW, **sampling: Any
) -> list[int]:
    sequence = sequence or Sequence([], runner.decoder.new_cache())
    return [token for step in runner.decode(sequence, prompt, Sampler(**sampling), new, Stop()) for token in step.ids]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_is_token_by_token_what_generate_gives(tiny_lm: Callable[[str], Path], architecture: str) -> None:
    model, prompt = load(tiny_lm(architecture))
    expected = reference(model, prompt)
    decoder = ModuleDecoder(model)
    assert run(Loop(decoder, draft=False), prompt) == expected
    drafting = Loop(decoder)
    assert run(drafting, prompt) == expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_small_prefill_chunks_change_nothing(
    tiny_lm: Callable[[str], Path], architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, prompt = load(tiny_lm(architecture))
    expected = reference(model, prompt)
    monkeypatch.setattr(loop, "PREFILL_CHUNK", 7)
    assert run(Loop(ModuleDecoder(model)), prompt) == expected


def test_chunks_follow_the_machine(tiny_lm: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a layer takes too long to notice a stop, chunks shrink to the least; where it is quick they grow again."""
    model, prompt = load(tiny_lm("llama"))
    monkeypatch.setattr(loop, "PREFILL_CHUNK", 16)
    monkeypatch.setattr(loop, "SMALLEST_CHUNK", 4)
    runner = Loop(ModuleDecoder(model))
    sizes: list[int] = []
    forward = runner.decoder.forward
    monkeypatch.setattr(runner.decoder, "forward", lambda ids, *rest: sizes.append(len(ids)) or forward(ids, *rest))
    monkeypatch.setattr(loop, "PATIENCE_S", 0.0)
    assert run(runner, prompt, new=1) == reference(model, prompt, 1)
    assert sizes[:4] == [16, 8, 4, 4] and max(sizes[4:]) <= 4
    sizes.clear()
    monkeypatch.setattr(loop, "PATIENCE_S", 1e9)
    assert run(runner, prompt, new=1) == reference(model, prompt, 1)
    assert sizes[:3] == [4, 8, 16]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_reused_prefixes_change_nothing(tiny_lm: Callable[[str], Path], architecture: str) -> None:
    model, prompt = load(tiny_lm(architecture))
    decoder = ModuleDecoder(model)
    runner, prefixes = Loop(decoder), PrefixCache(decoder, 1 << 30)
    other = [*prompt[:30], 50, 51, 52]  # an edit further back
    for ids in (prompt[:-5], prompt, prompt[:-2], other, prompt):
        sequence = prefixes.take("document", ids)
        assert run(runner, ids, sequence, new=12) == reference(model, ids, 12)
        prefixes.give_back("document", sequence)
    if decoder.croppable:
        n = len(prompt)
        assert runner.counters.reused_tokens == (n - 5) + (n - 3) + 30 + 30


@pytest.mark.parametrize("right", [0, 1, 3, 99])
def test_wrong_drafts_cost_nothing_but_time(
    tiny_lm: Callable[[str], Path], right: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drafts whose first `right` tokens are the model's own and whose rest is not."""
    model, prompt = load(tiny_lm("starcoder2"))
    expected = reference(model, prompt)

    def propose(look_up: LookUp, limit: int) -> tuple[list[int], int]:
        coming = expected[len(look_up._ids) - len(prompt) :][:limit]
        return [token if at < right else (token + 1) % 600 for at, token in enumerate(coming)], 16

    monkeypatch.setattr(LookUp, "propose", propose)
    monkeypatch.setattr(DraftLength, "best", lambda *_: 7)
    runner = Loop(ModuleDecoder(model))
    assert run(runner, prompt) == expected
    assert runner.counters.drafted_tokens > 0
    assert (runner.counters.accepted_tokens > 0) == (right > 0)
    assert runner.counters.generated_tokens == NEW


def test_drafts_of_repeated_text_are_accepted(tiny_lm: Callable[[str], Path]) -> None:
    model, prompt = load(tiny_lm("qwen2"))
    prompt = [*prompt, *reference(model, prompt), *prompt]  # the answer, seen before
    runner = Loop(ModuleDecoder(model))
    assert run(runner, prompt) == reference(model, prompt)
    assert runner.counters.accepted_tokens > 0
