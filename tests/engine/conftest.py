"""Tiny causal LMs with random weights and a real tokenizer, written to disk once per test run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
