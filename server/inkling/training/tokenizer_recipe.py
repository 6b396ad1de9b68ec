"""What a tokenizer is made from: the schema of its TOML recipe, and the tokens that each one has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inkling.training.corpus.build import CorpusRecipe

END = "<|endoftext|>"
FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX = "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"
CHAT_START, CHAT_END = "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (
    END, FIM_PREFIX, FIM_MIDDLE, FIM_SUFFIX, "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", CHAT_START, CHAT_END,
)  # fmt: skip


@dataclass(frozen=True)
class TokenizerRecipe:
    """A tokenizer of ``vocabulary`` tokens (special ones included) from a corpus."""

    corpus: CorpusRecipe
    corpus_out: Path  # the corpus is kept: the language model recipes train on it
    out: Path
    vocabulary: int = 8192
    minimum_frequency: int = 2
    context: int = 1024  # what the tokenizer tells as model_max_length

    def __post_init__(self) -> None:
        if self.vocabulary < 256 + len(SPECIAL_TOKENS):
            raise ValueError(f"vocabulary must be at least {256 + len(SPECIAL_TOKENS)} (all bytes, all specials).")
