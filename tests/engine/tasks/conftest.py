"""Tiny checkpoints with random weights and real tokenizers, each written to disk once per test run.

Their scores mean nothing, and that is their use: any slip in tokenizing, padding, batching or decoding shows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from inkling.engine.backend import LoadedModel, Stop
from inkling.engine.models.store import create_backend

WORDS = (
    "the quick brown fox jumps over a lazy dog while Ada Lovelace writes notes to Charles in London about engines "
    "that count, compare and remember; she asks whether thinking machines could compose music or prove theorems. "
    "Is it so? Perhaps! 123 4567 names@example.org naïve café schön déjà vu — unbelievably internationalization"
)
TEXTS = [
    "Ada Lovelace writes notes about engines.",
    "",
    "a",
    "the quick brown fox jumps over a lazy dog, unbelievably!",
    "naïve café — schön \N{SNOWMAN} 4567",
    "   spaces   around   ",
    "she asks whether thinking machines could compose music or prove theorems. Is it so? " * 2,
]
LONG = " ".join(f"{WORDS.split()[number * 7 % 40]} {WORDS.split()[number * 3 % 41]}" for number in range(200))
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
T5: dict[str, Any] = {
    "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 1,
}  # fmt: skip
BART: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 64,
    "decoder_start_token_id": 2, "forced_eos_token_id": 2,
}  # fmt: skip

KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("Bert", "wordpiece", SHAPE),
    "distilbert": ("DistilBert", "wordpiece", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48,
                                               "max_position_embeddings": 64}),
    "roberta": ("Roberta", "bytes", {**SHAPE, "max_position_embeddings": 66, "type_vocab_size": 1}),
    "gpt2": ("GPT2", "plain-bytes", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    "albert": ("Albert", "wordpiece", {**SHAPE, "embedding_size": 16}),
    "electra": ("Electra", "wordpiece", {**SHAPE, "embedding_size": 16}),
    "deberta": ("DebertaV2", "wordpiece", SHAPE),
    "mpnet": ("MPNet", "bytes", {**SHAPE, "max_position_embeddings": 66}),
    "xlm-roberta": ("XLMRoberta", "bytes", {**SHAPE, "max_position_embeddings": 66}),
    "modernbert": ("ModernBert", "wordpiece", {**SHAPE, "global_attn_every_n_layers": 2, "local_attention": 16}),
    "llama": ("Llama", "plain-bytes", {**SHAPE, "num_key_value_heads": 2}),
    "t5": ("T5", "bytes", T5),
    "bart": ("Bart", "bytes", BART),
}  # fmt: skip


def wordpiece() -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator([WORDS], trainers.WordPieceTrainer(vocab_size=140, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def byte_level(*, plain: bool = False) -> Any:
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS], trainer)
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "model_max_length": 64,
    }
    if not plain:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
        names |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


MAKERS: dict[str, Callable[[], Any]] = {
    "wordpiece": wordpiece,
    "bytes": byte_level,
    "plain-bytes": lambda: byte_level(plain=True),
}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """`checkpoint("bert", "ForMaskedLM", num_labels=3)` is the folder of such a model, as an id."""
    return checkpoints(tmp_path_factory.mktemp)


def checkpoints(new_folder: Callable[[str], Path]) -> Callable[..., str]:
    """What makes such models, each once."""
    made: dict[str, str] = {}
    tokenizers: dict[str, Any] = {}

    def make(kind: str, head: str, **changes: Any) -> str:
        key = f"{kind}{head}{sorted(changes.items())}"
        if key not in made:
            name, tokenizer_name, shape = KINDS[kind]
            if tokenizer_name not in tokenizers:
                tokenizers[tokenizer_name] = MAKERS[tokenizer_name]()
            tokenizer = tokenizers[tokenizer_name]
            ids = {f"{which}_token_id": getattr(tokenizer, f"{which}_token_id") for which in ("pad", "bos", "eos")}
            ids = {which: id for which, id in ids.items() if id is not None}
            options = {"vocab_size": len(tokenizer), **ids, **shape, **changes}
            torch.manual_seed(sum(key.encode()))
            model = getattr(transformers, name + head)(getattr(transformers, f"{name}Config")(**options))
            with torch.no_grad():  # larger weights than a fresh model's, so that its choices are sure
                for parameter in model.parameters():
                    if parameter.dim() > 1:
                        parameter.mul_(8)
            folder = new_folder(kind)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[key] = str(folder)
        return made[key]

    return make


@pytest.fixture(scope="session")
def backend() -> Any:
    return create_backend(device="cpu", threads=2)


@pytest.fixture
def load(backend: Any) -> Iterator[Callable[[str, str], LoadedModel]]:
    """`load(model, task)` through the store, as the engine does; closed after the test."""
    loaded: list[LoadedModel] = []

    def make(model: str, task: str) -> LoadedModel:
        loaded.append(backend.load(model, task, quantization="auto", on_progress=lambda fraction: None))
        return loaded[-1]

    yield make
    for model in loaded:
        model.close()


@pytest.fixture
def ours(load: Callable[[str, str], LoadedModel]) -> Callable[..., list[Any]]:
    """`ours(model, task, inputs, **parameters)` runs one batch."""

    def run(model: str, task: str, inputs: list[Any], **parameters: Any) -> list[Any]:
        results = load(model, task).run(inputs, parameters, Stop())
        assert len(results) == len(inputs)
        return results

    return run


@pytest.fixture
def pipeline() -> Callable[..., Any]:
    """transformers' own pipeline, quiet."""
    logging.getLogger("transformers").setLevel(logging.ERROR)

    def make(task: str, model: str, **options: Any) -> Any:
        return transformers.pipeline(task, model=model, device="cpu", **options)

    return make
