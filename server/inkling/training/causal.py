"""The causal recipe: a Llama-style language model from a config, trained from nothing or from a model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from inkling.training import preflight
from inkling.training.causal_card import write_card
from inkling.training.causal_recipe import CausalRecipe, ShapeRecipe
from inkling.training.checkpoint import restore_module
from inkling.training.corpus import build as corpus
from inkling.training.device import pick_device
from inkling.training.errors import Stopped, TrainingError
from inkling.training.evaluate import bits_per_byte
from inkling.training.loop import Position, train
from inkling.training.packing import TokenFile, Tokens, content_key


def train_from_recipe(path: Path, out: Path | None, overrides: Mapping[str, str]) -> Path:
    """Train, or go on training, the recipe's model; returns the model's folder.

    Raises TrainingError: no tokenizer, an empty corpus, a checkpoint of another shape, no room on the disk.
    """
    return run(preflight.causal(path, out, overrides))


def run(recipe: CausalRecipe) -> Path:
    """`train_from_recipe` for a recipe that was read. Raises Stopped when the user ended it; a model is there then."""
    model, tokenizer, position = pretrain(recipe)
    folder = recipe.out / "model"
    write_card(recipe, model, tokenizer, position, folder)
    save(model, tokenizer, folder, context=position.context, fim_order=recipe.fim.order)
    if position.step < recipe.loop.steps:
        raise Stopped(
            f"{recipe.out}: stopped at step {position.step} of {recipe.loop.steps}. "
            f"The same command goes on from there. The model so far is in {folder}."
        )
    return folder


def save(model: Any, tokenizer: Any, folder: Path, *, context: int, fim_order: str) -> None:
    """Write weights (bf16), config, generation config and tokenizer as ``from_pretrained`` reads them.

    ``context`` is the longest text in tokens that the model was trained on: it is worse beyond, so it says so.
    ``fim_order`` goes into config.json as ``inkling_fim``, which the engine reads.
    """
    from transformers import GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16)
    copy.config.max_position_embeddings = context
    if fim_order != "usual":
        copy.config.inkling_fim = fim_order
    copy.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    try:
        copy.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot write the model: {error.strerror}. The checkpoints are kept.") from error


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
    config._attn_implementation = "sdpa"
    return LlamaForCausalLM(config)


def start_from(folder: Path, model: Any, tokenizer: Any) -> None:
    """Put the weights of the model in ``folder`` into ``model``, to train on: on your own code, or for longer.

    Raises TrainingError when there are none, when they have another shape (naming the tensors), or when they were
    made with another vocabulary: the same ids would then mean other words.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise TrainingError(f"{weights}: no such file. init names a folder that save_pretrained wrote.")
    try:
        known = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    except Exception as error:  # tokenizers raises plain Exception
        raise TrainingError(f"{folder}: its tokenizer.json cannot be read: {error}.") from None
    if known != tokenizer.get_vocab():
        raise TrainingError(
            f"{folder}: has another vocabulary than the recipe's tokenizer. Set tokenizer to the same folder as init."
        )
    try:
        restore_module(model, load_file(weights), folder)
    except SafetensorError as error:
        raise TrainingError(f"{weights}: cannot be read: {error}.") from None


def pretrain(recipe: CausalRecipe) -> tuple[Any, Any, Position]:
    """Train, or go on training, the model of ``recipe``; returns (model, tokenizer, where the run ended)."""
    from transformers import AutoTokenizer

    tokenizer_file = preflight.tokenizer_file(recipe.tokenizer)
    train_file, held_file = recipe.corpus / "train.jsonl", recipe.corpus / "held-out.jsonl"
    raw = plain_text_tokenizer(recipe.tokenizer)
    tokenizer = AutoTokenizer.from_pretrained(recipe.tokenizer)
    documents = (document.text for document in corpus.read(train_file))
    key = content_key(train_file, tokenizer_file) if train_file.is_file() else ""
    tokens = TokenFile.prepare(documents, raw, recipe.out / "train.tokens.npy", key)
    model = new_model(recipe.shape, tokenizer, recipe.seed)
    if recipe.init is not None:
        start_from(recipe.init, model, tokenizer)
    model.to(pick_device(recipe.device))
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
        fingerprint=f"{recipe.mark}-{key}",
        ignore=tokenizer.pad_token_id,
        evaluate=evaluate if sample else None,
    )
    return model, tokenizer, position


def plain_text_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer in ``folder``, for text alone: a file that spells a special token is text, not a command."""
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    raw.encode_special_tokens = True
    return raw


def held_out_sample(path: Path, characters: int = 60_000) -> list[str]:
    """A few held-out documents spread over the file: enough to follow a run by."""
    documents = [document.text for document in corpus.read(path)] if path.is_file() else []
    sample: list[str] = []
    for text in documents[:: max(1, len(documents) // 20)]:
        if sum(map(len, sample)) > characters:
            break
        sample.append(text[:4000])
    return sample
