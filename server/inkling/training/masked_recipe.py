"""What a masked model is made from: the schema of its TOML recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class EncoderShape:
    """The encoder's shape."""

    layers: int = 4
    width: int = 192
    heads: int = 4
    inner: int = 768

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}.")


@dataclass(frozen=True)
class MaskedRecipe:
    """A masked language model: which corpus, which tokenizer, which shape, how long."""

    corpus: Path  # a folder made by the tokenizer recipe
    tokenizer: Path
    out: Path
    seed: int = 1
    device: str = "auto"
    steps: int = 2000
    batch: int = 32
    context: int = 128
    rate: float = 5e-4
    masked_share: float = 0.15
    save_every: int = 200
    shape: EncoderShape = field(default_factory=EncoderShape)

    def __post_init__(self) -> None:
        if not 0 < self.masked_share < 1:
            raise ValueError(f"masked_share must lie between 0 and 1, not {self.masked_share}.")
