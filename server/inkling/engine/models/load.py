"""Loads a model and its tokenizer from checked files: safetensors, built-in architectures, no network, no code.

`catalog.resolve_for` has refused remote code and pickles by the time a folder gets here; the arguments below make
transformers refuse them too, so that neither check stands alone.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from inkling.engine.models.catalog import ModelSource
from inkling.engine.models.model_files import again, where
from inkling.engine.models.safetensors_file import read_header
from inkling.engine.protocol import Task
from inkling.errors import InklingError

disable_progress_bar()  # bars are for terminals: here they would fill the engine's log

SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}

_CLASSES: dict[str, Any] = {
    Task.TEXT_CLASSIFICATION: AutoModelForSequenceClassification,
    Task.ZERO_SHOT_CLASSIFICATION: AutoModelForSequenceClassification,
    Task.TOKEN_CLASSIFICATION: AutoModelForTokenClassification,
    Task.QUESTION_ANSWERING: AutoModelForQuestionAnswering,
    Task.FILL_MASK: AutoModelForMaskedLM,
    Task.FEATURE_EXTRACTION: AutoModel,
    Task.SUMMARIZATION: AutoModelForSeq2SeqLM,
    Task.TRANSLATION: AutoModelForSeq2SeqLM,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model in evaluation mode on its device, its tokenizer, and how it is kept. `bytes` counts the parameters."""

    id: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: str
    folder: Path
    quantization: str = "none"
    quantization_why: str = ""

    @property
    def bytes(self) -> int:
        """Memory of parameters and buffers, tied ones once."""
        seen = {tensor.data_ptr(): tensor.nbytes for tensor in (*self.model.parameters(), *self.model.buffers())}
        return sum(seen.values())


def load(
    source: ModelSource,
    task: str,
    *,
    device: str,
    dtype: torch.dtype,
    quantization: str = "none",
    why: str = "",
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Weights:
    """Load `source` with the head that `task` needs.

    Raises InklingError `weights-corrupt` (naming file or tensor), `no-tokenizer`, `remote-code`, `out-of-memory`.
    """
    for path in source.weights:
        read_header(path)
    on_progress(0.1)
    with _as_inkling_errors(source), _quiet():
        config = AutoConfig.from_pretrained(source.path, **SAFE)
    tokenizer = load_tokenizer(source)  # it reads the config too: a bad one must not be told as a bad tokenizer
    on_progress(0.2)
    cls = AutoModel if task == Task.ZERO_SHOT_CLASSIFICATION and _is_bare(source) else _CLASSES[task]
    with _as_inkling_errors(source), _quiet():
        model, info = cls.from_pretrained(
            source.path, config=config, use_safetensors=True, dtype=dtype, output_loading_info=True, **SAFE
        )
    _check_complete(source, task, info)
    on_progress(0.9)
    with _as_inkling_errors(source):
        model = model.eval().requires_grad_(False).to(device)
    on_progress(1.0)
    return Weights(source.id, model, tokenizer, device, source.path, quantization, why)


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises InklingError `no-tokenizer` when its files are missing or unusable."""
    if not any((source.path / name).is_file() for name in _TOKENIZER_FILES):
        raise InklingError(
            "no-tokenizer",
            f"{source.id} has no tokenizer{where(source.id, source.path)}.",
            "Save the tokenizer beside the model with save_pretrained().",
        )
    try:
        with _quiet():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.path, **SAFE)
    except ImportError as error:
        raise InklingError(
            "no-tokenizer",
            f"{source.id}'s tokenizer needs a package that is not installed: {_first_line(error)}",
            "Install it beside Inkling, or choose a model with a tokenizer.json.",
        ) from error
    except Exception as error:  # transformers raises nearly anything for a damaged tokenizer
        raise InklingError(
            "no-tokenizer",
            f"{source.id}'s tokenizer{where(source.id, source.path)} cannot be loaded: {_first_line(error)}",
            again(source.id),
        ) from error
    return tokenizer


_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model", "source.spm",
)  # fmt: skip


def _is_bare(source: ModelSource) -> bool:
    """Whether zero-shot must go by label embeddings: an encoder without a classification head."""
    return Task.TEXT_CLASSIFICATION not in source.tasks


def _check_complete(source: ModelSource, task: str, info: dict[str, Any]) -> None:
    """A head that the files lack would be random numbers: refuse it."""
    missing = sorted(info.get("missing_keys") or ())
    if task in (Task.FEATURE_EXTRACTION, Task.ZERO_SHOT_CLASSIFICATION):
        missing = [name for name in missing if "pooler" not in name]  # never read here
    if missing:
        raise InklingError(
            "weights-corrupt",
            f"{source.path} lacks {len(missing)} of its tensors, {missing[0]} first.",
            f"{again(source.id)} It needs the head that it was trained with.",
        )


@contextlib.contextmanager
def _as_inkling_errors(source: ModelSource) -> Iterator[None]:
    try:
        yield
    except InklingError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise InklingError(
            "out-of-memory",
            f"Memory ran out while {source.id} was loaded.",
            "Choose a smaller model, or close other programs.",
        ) from error
    except Exception as error:  # transformers, safetensors and torch each raise their own for damaged files
        text = str(error)
        if "trust_remote_code" in text:
            raise InklingError(
                "remote-code",
                f"{source.id} needs Python code from its own repository, which Inkling never runs.",
                "Choose a model whose architecture transformers has built in.",
            ) from error
        if "does not recognize this architecture" in text or "Unrecognized model" in text:
            raise InklingError(
                "unknown-architecture",
                f"{source.id} is a {source.config.get('model_type')!r} model, which the installed transformers "
                "does not know.",
                "Upgrade transformers, or choose another model.",
            ) from error
        raise InklingError(
            "weights-corrupt",
            f"{source.path} cannot be loaded: {_first_line(error)}",
            f"{again(source.id)} Its config.json must be the one that its weights were saved with.",
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loading reports and progress bars are for notebooks; what matters is raised."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    """The beginning of a library's message: model files hold no document text, so it is safe to show."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0][:200] if lines else type(error).__name__).rstrip(".") + "."
