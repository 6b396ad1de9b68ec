"""Tiny causal LMs with random weights and a real tokenizer, written to disk once per test run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# before torch is imported: threads that spin or wait for each other make tiny models ten times slower
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

SIZE: dict[str, Any] = {
    "vocab_size": 600,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 4,
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {"num_key_value_heads": 2, "tie_word_embeddings": False}),
    "llama-scaled": (
        "LlamaConfig",
        {
            "num_key_value_heads": 4,
            "rope_parameters": {
                "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 128,
            },
        },
    ),
    "qwen2": ("Qwen2Config", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", {"num_key_value_heads": 2, "head_dim": 32, "tie_word_embeddings": True}),
    "mistral": ("MistralConfig", {"num_key_value_heads": 2, "sliding_window": None}),
    "mistral-sliding": ("MistralConfig", {"num_key_value_heads": 2, "sliding_window": 16}),
    "starcoder2": ("Starcoder2Config", {"num_key_value_heads": 2, "sliding_window": 24}),
    "gpt2": ("GPT2Config", {}),
    "gpt-neox": ("GPTNeoXConfig", {}),
    "gemma": ("GemmaConfig", {"num_key_value_heads": 1, "head_dim": 16}),
    "gemma2": ("Gemma2Config", {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 16}),
    "phi": ("PhiConfig", {}),
    "mamba": ("MambaConfig", {"state_size": 8}),
}  # fmt: skip

SAMPLE = "".join(
    f"def function_{number}(value, other={number}):\n    '''Add {number}.'''\n    return value + other * {number}\n\n\n"
    for number in range(200)
)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    from inkling.training.tokenizer import train_from_scratch, wrap

    return wrap(train_from_scratch([SAMPLE], 600), context=512)


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Any) -> Callable[[str], Path]:
    """`tiny_lm("gpt2")` is a folder with a tiny random model of that architecture."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            import torch
            import transformers

            torch.manual_seed(sum(name.encode()))
            kind, changes = ARCHITECTURES[name]
            config = getattr(transformers, kind)(**{**SIZE, **changes})
            folder = tmp_path_factory.mktemp(name)
            model = transformers.AutoModelForCausalLM.from_config(config)
            with torch.no_grad():  # larger weights than a fresh model's, so that its choices are sure
                for parameter in model.parameters():
                    if parameter.dim() > 1:
                        parameter.mul_(3)
            model.save_pretrained(folder)
            tiny_tokenizer.save_pretrained(folder)
            made[name] = folder
        return made[name]

    return make


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two made-up packages, one of them held out, as the tokenizer recipe leaves it."""
    from inkling.training.corpus.build import CorpusRecipe, build

    root = tmp_path_factory.mktemp("sources")
    for package, first in (("alpha", 0), ("beta", 100)):
        for number in range(first, first + 24):
            name = ("parse", "render", "compute", "collect")[number % 4]
            lines = [
                f"def {name}_{number}_{i}(self, values, limit={i}):\n    '''Return what {name} finds.'''\n"
                f"    for value in values[:limit]:\n        if value > {number * i}:\n            yield {name}(value)\n"
                for i in range(2 + number % 7)
            ]
            path = root / package / f"{name}_{number}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n\n".join(lines))
    out = tmp_path_factory.mktemp("corpus")
    build(CorpusRecipe(folders=(root / "alpha", root / "beta"), held_out=("beta",), near_copies=1.0), out)
    return out


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Path:
    """The folder of a tokenizer of that corpus."""
    from inkling.training.corpus.build import read
    from inkling.training.tokenizer import train_from_scratch, wrap

    folder = tmp_path_factory.mktemp("tokenizer")
    wrap(train_from_scratch((d.text for d in read(small_corpus / "train.jsonl")), 400), 64).save_pretrained(folder)
    return folder


@pytest.fixture
def raw_tokenizer(small_tokenizer: Path) -> Any:
    from inkling.training.causal import plain_text_tokenizer

    return plain_text_tokenizer(small_tokenizer)
