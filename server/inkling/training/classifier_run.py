"""One training of one classifier with `Trainer`: resumable, seeded, on whatever device there is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from inkling.engine.models.batches import length_batches
from inkling.engine.models.encoder import BATCH_TOKENS, ENCODER_ID, encoder_folder, pad
from inkling.training.classifier_model import IGNORED, AdapterBody, FullBody, Scorer
from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.data_labelled import Example
from inkling.training.device import pick_device, precision
from inkling.training.errors import TrainingError
from inkling.training.progress import RunLog
from inkling.training.trainer_progress import show

Prediction = tuple[NDArray[np.float32], NDArray[np.int64]]
"""(logits, truth) of an example: [1, labels] and [1], or [tokens, labels] and [tokens]."""


class EncodedExamples(Dataset[dict[str, Any]]):
    """Examples as token ids with one label each, or one per token."""

    def __init__(self, examples: Sequence[Example], body: Scorer, recipe: ClassifierRecipe) -> None:
        self.texts = [example.text for example in examples]
        self.encodings = body.tokenize(self.texts)
        self.labels = [encode_labels(*pair, recipe) for pair in zip(examples, self.encodings, strict=True)]
        self.weights = [example.weight for example in examples]

    def __len__(self) -> int:
        return len(self.encodings)

    def __getitem__(self, index: int) -> dict[str, Any]:
        encoding = self.encodings[index]
        return {
            "input_ids": encoding.ids,  # read by the length-grouping sampler
            "encoding": encoding,
            "labels": self.labels[index],
            "weight": self.weights[index],
        }

    def tokens(self) -> list[tuple[str, Encoding, Sequence[int]]]:
        """(text, encoding, label per token) of each example."""
        rows = zip(self.texts, self.encodings, self.labels, strict=True)
        return [(text, encoding, [labels] if isinstance(labels, int) else labels) for text, encoding, labels in rows]


def swap_entities(examples: Sequence[Example], times: int, seed: int) -> list[Example]:
    """The examples, and `times` copies of those with entities, each entity replaced by another of its label.

    What surrounds a name or a key then decides, not the few names and keys that the data happens to have.
    """
    chance = random.Random(seed)  # noqa: S311 - variety, not secrecy
    known: dict[str, list[str]] = {}
    for example in examples:
        for start, end, label in example.entities:
            known.setdefault(label, []).append(example.text[start:end])
    result = list(examples)
    for example in [example for example in examples if example.entities] * times:
        text, entities, last = "", [], 0
        for start, end, label in example.entities:
            text += example.text[last:start]
            value = chance.choice(known[label])
            entities.append((len(text), len(text) + len(value), label))
            text, last = text + value, end
        result.append(replace(example, text=text + example.text[last:], entities=tuple(entities)))
    return result


def encode_labels(example: Example, encoding: Encoding, recipe: ClassifierRecipe) -> int | list[int]:
    """The label's index; for token classification one per token, `IGNORED` for special tokens."""
    if recipe.task == "text-classification":
        return recipe.labels.index(example.label)
    result = []
    for (start, end), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True):
        inside = (label for first, last, label in example.entities if start < last and end > first)
        result.append(IGNORED if special else recipe.labels.index(next(inside, "O")))
    return result


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Pad a batch: ids, mask, labels (padded with `IGNORED` per token) and weights."""
    ids, mask = pad([row["encoding"] for row in rows])
    if isinstance(rows[0]["labels"], int):
        labels = torch.tensor([row["labels"] for row in rows])
    else:
        labels = torch.full_like(ids, IGNORED)
        for index, row in enumerate(rows):
            labels[index, : len(row["labels"])] = torch.tensor(row["labels"])
    weights = torch.tensor([row["weight"] for row in rows], dtype=torch.float32)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels, "weights": weights}


def build_body(recipe: ClassifierRecipe) -> AdapterBody | FullBody:
    """The untrained model that the recipe names, seeded."""
    logging.disable_progress_bar()  # of reading weights: a moment
    logging.set_verbosity_error()  # its warnings are of Trainer's inner workings
    torch.manual_seed(recipe.seed)
    tune = recipe.tune
    if tune.method == "full":
        start = encoder_folder() if recipe.encoder == ENCODER_ID else Path(recipe.encoder)
        return FullBody(recipe.task, recipe.labels, tune.max_length, start, tune.label_smoothing)
    rank = tune.rank if tune.method == "lora" else 0
    return AdapterBody(
        recipe.task, recipe.labels, tune.max_length, rank, tune.label_smoothing, recipe.rules, recipe.start
    )


def fit(
    recipe: ClassifierRecipe, examples: Sequence[Example], work: Path, title: str = "the model"
) -> AdapterBody | FullBody:
    """Train on `examples`; checkpoints live in `work`, from which an interrupted run goes on. `title` is shown.

    Raises TrainingError when memory or disk runs out, with what to change.
    """
    body = build_body(recipe)
    tune, device = recipe.tune, pick_device(recipe.device)
    if device.index is not None:
        torch.cuda.set_device(device)
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=tune.epochs,
        max_steps=recipe.steps or -1,
        per_device_train_batch_size=tune.batch_size,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        bf16=precision(device) == torch.bfloat16,
        use_cpu=device.type == "cpu",
        train_sampling_strategy="group_by_length",
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="epoch",
        seed=recipe.seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )
    trainer = Trainer(
        model=body,
        args=arguments,
        train_dataset=EncodedExamples(swap_entities(examples, tune.swap_entities, recipe.seed), body, recipe),
        data_collator=collate,
        optimizers=(_optimizer(recipe, body), None),
    )
    last = get_last_checkpoint(str(work)) if work.is_dir() else None
    try:
        with RunLog(work, f"{recipe.name}, {title}") as log:
            show(trainer, log)
            trainer.train(resume_from_checkpoint=last)
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(
            f"Out of memory with batches of {tune.batch_size}: halve it with --set tune.batch_size="
            f"{max(1, tune.batch_size // 2)}, or shorten texts with --set tune.max_length={tune.max_length // 2}."
        ) from error
    except OSError as error:
        raise TrainingError(f"{work}: cannot write a checkpoint: {error.strerror or error}.") from error
    return body.cpu().eval()


def _optimizer(recipe: ClassifierRecipe, body: nn.Module) -> torch.optim.Optimizer:
    """AdamW; the new head learns faster than what was pre-trained."""
    head: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in body.named_parameters():
        if parameter.requires_grad:
            (head if "classifier." in name else rest).append(parameter)
    tune = recipe.tune
    groups = [
        {"params": head, "lr": tune.head_learning_rate},
        {"params": rest, "lr": tune.learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=tune.weight_decay)


@torch.inference_mode()
def predict(body: Scorer, examples: Sequence[Example], recipe: ClassifierRecipe) -> list[Prediction]:
    """One prediction per example, in order."""
    data = EncodedExamples(examples, body, recipe)
    result: list[Any] = [None] * len(examples)
    for batch in length_batches([len(encoding) for encoding in data.encodings], BATCH_TOKENS):
        ids, mask = pad([data.encodings[index] for index in batch])
        for index, row in zip(batch, body.logits(ids, mask).float().numpy(), strict=True):
            truth = np.atleast_1d(data.labels[index])
            result[index] = (np.atleast_2d(row)[: len(truth)].copy(), truth.astype(np.int64))
    return result
