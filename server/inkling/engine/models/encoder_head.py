"""Classifiers as small adapters on the shared encoder: one copy of the matrices, many heads.

An adapter is a delta (biases, LayerNorms, optionally low-rank matrices) and a linear head. `EncoderHead` clones
the encoder's *module tree*, not its matrices: the clones point at the same big tensors, so ten adapters cost one
encoder, and as nothing is swapped at run time, adapters may run in different threads.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Encoding
from torch import Tensor, nn
from transformers import PreTrainedModel

from inkling.engine.models.batches import length_batches
from inkling.engine.models.encoder import (
    BATCH_TOKENS,
    ENCODER_SHA256,
    EncoderError,
    load_encoder,
    mean_pool,
    pad,
    tokenize,
)
from inkling.engine.protocol import Entity

ADAPTER_TYPE = "inkling-encoder-head"
BRIDGE = 6
"""Characters between two parts of one entity at most."""
DELIMITER = re.compile(r"""[\s"'`,;:=<>(){}\[\]|]""")
"""What stands between things rather than within one."""


class LowRankLinear(nn.Module):
    """`base(x) + x Aᵀ Bᵀ`: a shared matrix and this adapter's low-rank delta (LoRA, scale folded in)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        low_rank = nn.functional.linear(nn.functional.linear(inputs, self.lora_A), self.lora_B)
        result: Tensor = self.base(inputs) + low_rank
        return result


def is_small(name: str) -> bool:
    """Whether an encoder parameter belongs to the delta: a bias, or a LayerNorm's weight."""
    return name.endswith(".bias") or "LayerNorm" in name


def clone_sharing_matrices(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of the module tree with its own biases and norms; every matrix is the original tensor."""
    shared: dict[int, Any] = {
        id(parameter): parameter for name, parameter in model.named_parameters() if not is_small(name)
    }
    shared |= {id(buffer): buffer for buffer in model.buffers()}
    shared[id(model.config)] = model.config
    return copy.deepcopy(model, shared)


class EncoderHead(nn.Module):
    """One classifier on the shared encoder. Build with `load_adapter`; calls are thread-safe."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.labels: list[str] = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
        self.task: str = config["task"]
        self.max_length: int = config["max_length"]
        self.temperature: float = config["temperature"]
        self.thresholds: dict[str, float] = config["thresholds"]
        self.encoder = clone_sharing_matrices(load_encoder()[0])
        self.classifier = nn.Linear(self.encoder.config.hidden_size, len(self.labels))
        if rank := config.get("lora_rank", 0):
            for name in config["lora_modules"]:
                parent = self.encoder.get_submodule(name.rpartition(".")[0])
                base = parent.get_submodule(name.rpartition(".")[2])
                assert isinstance(base, nn.Linear)
                parent.set_submodule(name.rpartition(".")[2], LowRankLinear(base, rank))
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits over the temperature: [batch, labels], or [batch, tokens, labels] per token."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.task == "text-classification":
            hidden = mean_pool(hidden, attention_mask)
        logits: Tensor = self.classifier(hidden) / self.temperature
        return logits

    @torch.inference_mode()
    def _logits(self, encodings: Sequence[Encoding]) -> Iterator[tuple[int, Tensor]]:
        for batch in length_batches([len(encoding) for encoding in encodings], BATCH_TOKENS):
            ids, mask = pad([encodings[index] for index in batch])
            yield from zip(batch, self(ids, mask), strict=True)

    def _windows(self, texts: Sequence[str]) -> tuple[list[Encoding], list[int]]:
        """Windows of at most `max_length` tokens that overlap by an eighth, and for each the number of its text."""
        windows: list[Encoding] = []
        owners: list[int] = []
        for index, encoding in enumerate(tokenize(texts, self.max_length, stride=self.max_length // 8)):
            parts = [encoding, *encoding.overflowing]
            windows += parts
            owners += [index] * len(parts)
        return windows, owners

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 [n, labels], columns as in `labels`.

        Of a text in several windows the mean of theirs, weighted by their numbers of tokens.
        """
        windows, owners = self._windows(texts)
        result = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        tokens = np.zeros((len(texts), 1), dtype=np.float32)
        for window, logits in self._logits(windows):
            weight = len(windows[window])
            result[owners[window]] += weight * logits.softmax(-1).numpy()
            tokens[owners[window]] += weight
        return result / tokens

    def spans(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Entities per text in reading order, without label `O` and scores under the label's threshold."""
        windows, owners = self._windows(texts)
        found: list[list[Entity]] = [[] for _ in windows]
        for window, logits in self._logits(windows):
            scores = logits[: len(windows[window])].softmax(-1).numpy()
            found[window] = decode_spans(texts[owners[window]], windows[window], scores, self.labels)
        result: list[list[Entity]] = [[] for _ in texts]
        for index, entities in zip(owners, found, strict=True):
            shown = [entity for entity in entities if entity.score >= self.thresholds.get(entity.label, 0.5)]
            result[index] = join_windows(result[index], shown)
        return result


def join_windows(left: list[Entity], right: list[Entity]) -> list[Entity]:
    """Entities of two overlapping windows: an entity that both saw is one, from its start to its end."""
    joined = list(left)
    for entity in right:
        same = next((e for e in joined if e.label == entity.label and e.end >= entity.start), None)
        if same:
            joined.remove(same)
            start, end = min(same.start, entity.start), max(same.end, entity.end)
            entity = Entity(entity.label, max(same.score, entity.score), start, end)
        if all(entity.start >= other.end or entity.end <= other.start for other in joined):
            joined.append(entity)
    return sorted(joined, key=lambda entity: entity.start)


def decode_spans(text: str, encoding: Encoding, scores: NDArray[np.floating], labels: Sequence[str]) -> list[Entity]:
    """Entities from `scores` [tokens, labels]; an entity's score is the mean of its words' for its label.

    Words that touch are one entity under the label that they favour together, also across a word or two that
    was taken for `O`: an address or a key is a single thing, however many pieces the tokenizer cuts it into.
    Names and numbers go on after a space.
    """
    words: dict[int, list[int]] = {}
    for token, word in enumerate(encoding.word_ids):
        if word is not None:
            words.setdefault(word, []).append(token)
    groups: list[tuple[int, int, list[NDArray[np.floating]]]] = []
    for tokens in words.values():
        mean = scores[tokens].mean(0)
        if labels[int(mean.argmax())] == "O":
            continue
        start, end = encoding.offsets[tokens[0]][0], encoding.offsets[tokens[-1]][1]
        if groups and _continues(text, groups[-1], start, int(mean.argmax())):
            groups[-1] = (groups[-1][0], end, [*groups[-1][2], mean])
        else:
            groups.append((start, end, [mean]))
    result = []
    for start, end, means in groups:
        total = np.mean(means, axis=0)
        best = _favoured(means)
        result.append(Entity(labels[best], float(total[best]), start, end))
    return result


def _favoured(means: Sequence[NDArray[np.floating]]) -> int:
    """The label with the highest sum, `O` (the first) left out."""
    return 1 + int(np.sum(means, axis=0)[1:].argmax())


def _continues(text: str, group: tuple[int, int, list[NDArray[np.floating]]], start: int, label: int) -> bool:
    """Whether a word at `start` belongs to the entity before it."""
    between = text[group[1] : start]
    if between in ("", " "):
        return between == "" or label == _favoured(group[2])
    return len(between) <= BRIDGE and not DELIMITER.search(between)


def load_adapter(folder: Path) -> EncoderHead:
    """Load an adapter folder (`config.json`, `adapter.safetensors`) onto the shared encoder.

    Raises EncoderError naming the folder when a file is missing, it is no adapter, it was made for another
    encoder, or its tensors have other names or shapes than its config says.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        delta = load_file(folder / "adapter.safetensors")
        if config["model_type"] != ADAPTER_TYPE:
            raise _unusable(folder, f"its model_type is {config['model_type']!r}, not {ADAPTER_TYPE!r}")
        if config["encoder_sha256"] != ENCODER_SHA256:
            raise _unusable(folder, "it was trained on another encoder (encoder_sha256)")
        head = EncoderHead(config)
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise _unusable(folder, f"{type(error).__name__}: {error}") from error
    apply_delta(head, delta, folder)
    return head


def delta_names(head: EncoderHead) -> dict[str, str]:
    """Tensor name in `adapter.safetensors` → parameter name in the module, for all that an adapter owns."""
    names = {"classifier.weight": "classifier.weight", "classifier.bias": "classifier.bias"}
    for name, _ in head.encoder.named_parameters():
        if is_small(name) or name.endswith(("lora_A", "lora_B")):
            names[name.replace(".base.", ".")] = f"encoder.{name}"
    return names


def apply_delta(head: EncoderHead, delta: dict[str, Tensor], source: Path) -> None:
    """Add biases' and norms' deltas to the encoder's own; set head and low-rank matrices as they are."""
    names = delta_names(head)
    parameters = dict(head.named_parameters())
    for name in sorted(set(names) ^ set(delta)):
        raise _unusable(source, f"tensor {name} is {'missing' if name in names else 'unknown'}")
    with torch.no_grad():
        for name, tensor in delta.items():
            parameter = parameters[names[name]]
            if tensor.shape != parameter.shape:
                raise _unusable(source, f"{name} is {list(tensor.shape)}, not {list(parameter.shape)}")
            if name.startswith("classifier.") or "lora_" in name:
                parameter.copy_(tensor)
            else:
                parameter.add_(tensor)
    head.requires_grad_(False)


def _unusable(folder: Path, why: str) -> EncoderError:
    return EncoderError(
        "weights-corrupt",
        f"{folder} is not a usable adapter: {why}.",
        "Reinstall Inkling, or train it again.",
    )
