"""What a classifier recipe trains: an adapter on the shared encoder, or a whole model.

Both are modules whose forward gives a loss to `Trainer`, and both save a folder that the engine loads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn
from torch.nn.modules.module import _IncompatibleKeys
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from inkling.engine.models.encoder import ENCODER_ID, ENCODER_SHA256, load_encoder, tokenize
from inkling.engine.models.encoder_head import (
    ADAPTER_TYPE,
    EncoderHead,
    apply_delta,
    delta_names,
    load_adapter,
)
from inkling.training.classifier_recipe import Task
from inkling.training.errors import TrainingError

IGNORED = -100
"""The label of tokens that no loss is taken of."""


class Scorer(Protocol):
    """What gives logits for texts: a body in training, or a shipped model."""

    def tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        """Token ids, offsets and word numbers, truncated to the model's length."""

    def logits(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[batch, labels] or [batch, tokens, labels]; of a body in training before any temperature."""


class Shipped:
    """A saved adapter as a scorer; its logits are over its temperature already."""

    def __init__(self, folder: Path) -> None:
        self.head = load_adapter(folder)

    def tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        """See Scorer."""
        return tokenize(texts, self.head.max_length)

    def logits(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """See Scorer."""
        result: Tensor = self.head(input_ids, attention_mask)
        return result


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy, each text by its weight; [batch, labels] or [batch, tokens, labels]."""
    classes = logits.shape[-1]
    losses = nn.functional.cross_entropy(
        logits.reshape(-1, classes),
        labels.reshape(-1),
        reduction="none",
        ignore_index=IGNORED,
        label_smoothing=smoothing,
    ).view(labels.shape)
    spread = weights.view(-1, *[1] * (losses.dim() - 1)).expand_as(losses) * (labels != IGNORED)
    return (losses * spread).sum() / spread.sum().clamp(min=1e-6)


class AdapterBody(nn.Module):
    """Biases, norms, optional low-rank matrices and a head on the shared encoder; nothing else is trained."""

    def __init__(
        self,
        task: Task,
        labels: Sequence[str],
        max_length: int,
        rank: int = 0,
        smoothing: float = 0.0,
        rules: str | None = None,
        start: Path | None = None,
    ) -> None:
        super().__init__()
        encoder, _ = load_encoder()
        config: dict[str, Any] = {
            "model_type": ADAPTER_TYPE,
            "encoder": ENCODER_ID,
            "encoder_sha256": ENCODER_SHA256,
            "task": task,
            "problem_type": "single_label_classification",
            "id2label": {str(index): label for index, label in enumerate(labels)},
            "label2id": {label: index for index, label in enumerate(labels)},
            "pooling": "mean",
            "max_length": max_length,
            "temperature": 1.0,
            "thresholds": {},
        }
        if rules:
            config["rules"] = rules
        if rank:
            linears = [name for name, module in encoder.named_modules() if isinstance(module, nn.Linear)]
            config |= {"lora_rank": rank, "lora_modules": linears}
        self.head = EncoderHead(config)
        self.smoothing = smoothing
        self.owned = delta_names(self.head)
        if start:
            apply_delta(self.head, load_file(start / "adapter.safetensors"), start)
        trainable = set(self.owned.values())
        for name, parameter in self.head.named_parameters():
            parameter.requires_grad_(name in trainable)

    def tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        """See Scorer."""
        return tokenize(texts, self.head.max_length)

    def logits(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """See Scorer."""
        result: Tensor = self.head(input_ids, attention_mask)
        return result

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The loss, under the name that `Trainer` reads."""
        logits = self.logits(input_ids, attention_mask)
        return {"loss": weighted_loss(logits, labels, weights, self.smoothing)}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Only what is trained, so that a checkpoint is as small as the adapter."""
        own = {f"head.{name}" for name in self.owned.values()}
        return {key: value for key, value in super().state_dict(*args, **kwargs).items() if key in own}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Take what `state_dict` gave; the shared matrices are not missing from it. Raises TrainingError."""
        result = super().load_state_dict(state_dict, strict=False, assign=assign)
        lost = {f"head.{name}" for name in self.owned.values()} - set(state_dict)
        if lost or result.unexpected_keys:
            name = min(lost or result.unexpected_keys)
            raise TrainingError(
                f"A checkpoint of another shape ({name}). Delete the run folder, or give another --out."
            )
        return _IncompatibleKeys([], [])

    def save(self, folder: Path, temperature: float, thresholds: dict[str, float]) -> None:
        """Write an adapter folder that the engine loads, calibrated."""
        original = dict(load_encoder()[0].named_parameters())
        parameters = dict(self.head.named_parameters())
        delta: dict[str, Tensor] = {}
        for name, inner in self.owned.items():
            value = parameters[inner].detach().cpu()
            if not name.startswith("classifier.") and "lora_" not in name:
                value = value - original[name].cpu()
            # Half precision moves no probability by more than 0.001 and halves the file.
            delta[name] = value.to(torch.float16 if "lora_" in name else torch.float32).contiguous()
        folder.mkdir(parents=True, exist_ok=True)
        save_file(delta, folder / "adapter.safetensors", {"format": "pt"})
        config = self.head.config | {"temperature": round(temperature, 4), "thresholds": thresholds}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class FullBody(nn.Module):
    """A whole sequence or token classifier from an encoder folder; the result is plain `save_pretrained`."""

    def __init__(
        self, task: Task, labels: Sequence[str], max_length: int, encoder: Path, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        auto = AutoModelForSequenceClassification if task == "text-classification" else AutoModelForTokenClassification
        try:
            self.model = auto.from_pretrained(
                encoder,
                num_labels=len(labels),
                id2label=dict(enumerate(labels)),
                label2id={label: index for index, label in enumerate(labels)},
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
            self.tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{encoder}: not an encoder to start from ({type(error).__name__}). Name a save_pretrained "
                'folder with config.json, model.safetensors and tokenizer.json, or "starter:encoder".'
            ) from error
        self.max_length = max_length
        self.smoothing = smoothing

    def tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        """See Scorer."""
        raw = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        raw.no_padding()
        raw.enable_truncation(self.max_length)
        return list(raw.encode_batch(list(texts)))

    def logits(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """See Scorer."""
        result: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return result

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """The loss, under the name that `Trainer` reads."""
        logits = self.logits(input_ids, attention_mask)
        return {"loss": weighted_loss(logits, labels, weights, self.smoothing)}

    def save(self, folder: Path, temperature: float, thresholds: dict[str, float]) -> None:
        """Write the folder. The temperature is folded into the last layer: a plain pipeline is calibrated."""
        last = [module for module in self.model.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.div_(temperature)
        self.model.config.thresholds = thresholds
        self.model.save_pretrained(folder)
        self.tokenizer.model_max_length = self.max_length
        self.tokenizer.save_pretrained(folder)
