"""The causal recipe: a Llama-style language model from a config, trained from nothing on a corpus of code."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from inkling.training.corpus import build as corpus
from inkling.training.errors import TrainingError
from inkling.training.evaluate import bits_per_byte
from inkling.training.loop import LoopRecipe, Position, train
from inkling.training.optim import OptimizerRecipe
from inkling.training.packing import FimRecipe, TokenFile, Tokens, content_key
from inkling.training.recipe import fingerprint


@dataclass(frozen=True)
class ShapeRecipe:
    """The model's shape. Input and output embeddings are one matrix."""

    layers: int = 6
    width: int = 256
    heads: int = 4
    kv_heads: int = 2
    inner: int = 704
    positions: int = 2048
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}.")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}.")


@dataclass(frozen=True)
class CausalRecipe:
    """A causal language model: which corpus, which tokenizer, which shape, how long."""

    corpus: Path  # a folder made by the tokenizer recipe: train.jsonl, held-out.jsonl
    tokenizer: Path  # a folder with tokenizer.json
    out: Path
    seed: int = 1
    device: str = "auto"
    shape: ShapeRecipe = field(default_factory=ShapeRecipe)
    loop: LoopRecipe = field(default_factory=LoopRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    fim: FimRecipe = field(default_factory=FimRecipe)


def new_model(shape: ShapeRecipe, tokenizer: Any, seed: int) -> Any:
    """A LlamaForCausalLM with random weights for this tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM._from_config(config, attn_implementation="sdpa")


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


def pretrain(recipe: CausalRecipe) -> tuple[Any, Any, Position]:
    """Train, or go on training, the model of ``recipe``; returns (model, tokenizer, where the run ended)."""
    from transformers import AutoTokenizer

    tokenizer_file = recipe.tokenizer / "tokenizer.json"
    if not tokenizer_file.is_file():
        raise TrainingError(f"{tokenizer_file}: no such tokenizer. Run the tokenizer recipe first.")
    train_file, held_file = recipe.corpus / "train.jsonl", recipe.corpus / "held-out.jsonl"
    raw = Tokenizer.from_file(str(tokenizer_file))
    raw.encode_special_tokens = True  # source code that spells a special token is text, not a command
    tokenizer = AutoTokenizer.from_pretrained(recipe.tokenizer)
    documents = (document.text for document in corpus.read(train_file))
    key = content_key(train_file, tokenizer_file) if train_file.is_file() else ""
    tokens = TokenFile.prepare(documents, raw, recipe.out / "train.tokens.npy", key)
    model = new_model(recipe.shape, tokenizer, recipe.seed).to(pick_device(recipe.device))
    sample = held_out_sample(held_file)

    def windows(epoch: int, context: int) -> Tokens:
        return tokens.epoch(epoch, context, recipe.seed, recipe.fim, raw)

    def evaluate(model: Any) -> float:
        return bits_per_byte(model, raw, sample, context=recipe.loop.context)

    position = train(
        model,
        windows,
        recipe.loop,
        recipe.optimizer,
        recipe.out,
        fingerprint=f"{fingerprint(recipe, ignore=('corpus', 'tokenizer', 'out', 'device', 'loop'))}-{key}",
        ignore=tokenizer.pad_token_id,
        evaluate=evaluate if sample else None,
    )
    return model, tokenizer, position


def held_out_sample(path: Path, characters: int = 60_000) -> list[str]:
    """A few held-out documents spread over the file: enough to follow a run by."""
    documents = [document.text for document in corpus.read(path)] if path.is_file() else []
    sample: list[str] = []
    for text in documents[:: max(1, len(documents) // 20)]:
        if sum(map(len, sample)) > characters:
            break
        sample.append(text[:4000])
    return sample
