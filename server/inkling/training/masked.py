"""The masked recipe: a BERT-style encoder from a config, pre-trained with ``Trainer`` to fill in hidden tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer

from inkling.training import preflight
from inkling.training.card import ModelCard, Result
from inkling.training.causal_recipe import FimRecipe
from inkling.training.corpus import build as corpus
from inkling.training.device import pick_device, precision
from inkling.training.errors import CheckpointError, Stopped, TrainingError
from inkling.training.masked_recipe import MaskedRecipe
from inkling.training.packing import TokenFile, Tokens, content_key
from inkling.training.progress import RunLog

MASK = "<|mask|>"


def train_from_recipe(path: Path, out: Path | None, overrides: Mapping[str, str]) -> Path:
    """Pre-train, or go on pre-training, the recipe's encoder; returns the model's folder.

    Raises TrainingError: no tokenizer, an empty corpus, a checkpoint of another shape, no room on the disk.
    """
    return run(preflight.masked(path, out, overrides))


def run(recipe: MaskedRecipe) -> Path:
    """`train_from_recipe` for a recipe that was read."""
    from transformers import DataCollatorForLanguageModeling, Trainer

    from inkling.training.trainer_progress import show

    folder = recipe.out
    device = pick_device(recipe.device)
    tokenizer = masking_tokenizer(recipe.tokenizer)
    train_set, held_set = (_windows(recipe, folder, name) for name in ("train", "held-out"))
    if train_set is None:
        raise TrainingError(f"{recipe.corpus}: the corpus is empty, there is nothing to train on.")
    trainer = Trainer(
        model=new_encoder(recipe, tokenizer),
        args=_arguments(recipe, folder, device),
        train_dataset=train_set,
        eval_dataset=held_set,
        processing_class=tokenizer,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=recipe.masked_share),
    )
    last = _last_checkpoint(folder, trainer.model)
    try:
        with RunLog(folder, "masked", recipe.steps) as log:
            show(trainer, log)
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    except KeyboardInterrupt:
        raise Stopped(
            f"{folder}: stopped at step {trainer.state.global_step}. "
            f"The same command resumes from the last checkpoint (every {recipe.save_every} steps)."
        ) from None
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot write: {error.strerror}. Free some space; it resumes.") from error
    model = folder / "model"
    trainer.save_model(str(model))
    _card(recipe, trainer, held_set).write(model)
    return model


def masking_tokenizer(folder: Path) -> Any:
    """The tokenizer in ``folder`` with a mask token added. Raises TrainingError when there is none."""
    from transformers import AutoTokenizer

    preflight.tokenizer_file(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # with the space before it, as the words that it stands for: their tokens begin with theirs
    tokenizer.add_special_tokens({"mask_token": AddedToken(MASK, lstrip=True, normalized=False, special=True)})
    return tokenizer


def new_encoder(recipe: MaskedRecipe, tokenizer: Any) -> Any:
    """A BertForMaskedLM with random weights."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(recipe.seed)
    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.shape.width,
            num_hidden_layers=recipe.shape.layers,
            num_attention_heads=recipe.shape.heads,
            intermediate_size=recipe.shape.inner,
            max_position_embeddings=recipe.context,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class WindowSet(torch.utils.data.Dataset[dict[str, Any]]):
    """Packed windows as ``Trainer`` wants them."""

    def __init__(self, windows: Tokens) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.windows[index].astype(np.int64)}


def _windows(recipe: MaskedRecipe, folder: Path, name: str) -> WindowSet | None:
    source = recipe.corpus / f"{name}.jsonl"
    tokenizer_file = recipe.tokenizer / "tokenizer.json"
    texts = [document.text for document in corpus.read(source)]
    if not texts:
        return None
    raw = Tokenizer.from_file(str(tokenizer_file))
    raw.encode_special_tokens = True  # source code that spells a special token is text, not a command
    key = content_key(source, tokenizer_file)
    tokens = TokenFile.prepare(texts, raw, folder / f"{name}.tokens.npy", key)
    windows = tokens.epoch(0, recipe.context, recipe.seed, FimRecipe(rate=0, cut=0), raw)
    return WindowSet(windows if name == "train" else windows[:512])


def _arguments(recipe: MaskedRecipe, folder: Path, device: torch.device) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        per_device_eval_batch_size=recipe.batch,
        learning_rate=recipe.rate,
        warmup_steps=0.05,
        weight_decay=0.01,
        bf16=precision(device) == torch.bfloat16,
        use_cpu=device.type == "cpu",
        seed=recipe.seed,
        save_steps=recipe.save_every,
        save_total_limit=2,
        logging_steps=50,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=device.type == "cuda",
    )


def _last_checkpoint(folder: Path, model: Any) -> Path | None:
    """The checkpoint to resume from; raises CheckpointError when it is not of this shape."""
    from safetensors import safe_open

    found = sorted(folder.glob("checkpoints/checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    if not found:
        return None
    own = {name: list(value.shape) for name, value in model.state_dict().items()}
    with safe_open(found[-1] / "model.safetensors", "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 - not a dict
            shape = tensors.get_slice(name).get_shape()
            if own.get(name) != shape:
                raise CheckpointError(
                    f"{found[-1]}: a checkpoint of another shape: {name} is {shape}, the model's is {own.get(name)}. "
                    "Give the recipe the shape it was made with, or another --out to start anew."
                )
    return found[-1]


def _card(recipe: MaskedRecipe, trainer: Any, held: WindowSet | None) -> ModelCard:
    history = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    results = [Result("loss at the end of training", history[-1], "nats per hidden token")] if history else []
    if held is not None:
        loss = trainer.evaluate()["eval_loss"]
        results += [Result("held-out loss", loss, "nats per hidden token"), Result("perplexity", math.exp(loss))]
    shape = recipe.shape
    return ModelCard(
        name=f"Masked language model, {shape.layers} layers of {shape.width}",
        task="fill-mask",
        summary=f"A BERT-style encoder trained from nothing to fill in hidden tokens (`{MASK}`).",
        limits="A small encoder made in a short run: a start for fine-tuning and a lesson, not a general model.",
        results=results,
        training={
            "steps": trainer.state.global_step,
            "tokens": f"{trainer.state.global_step * recipe.batch * recipe.context:,}",
            "parameters": f"{trainer.model.num_parameters():,}",
            "hidden share": recipe.masked_share,
            "rate": recipe.rate,
            "seed": recipe.seed,
        },
    )
