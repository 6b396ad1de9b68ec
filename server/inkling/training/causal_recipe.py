"""What a causal model is made from: the schema of its TOML recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inkling.training.loop import LoopRecipe
from inkling.training.optim import OptimizerRecipe
from inkling.training.packing import FimRecipe


@dataclass(frozen=True)
class ShapeRecipe:
    """The model's shape. Input and output embeddings are one matrix."""

    layers: int = 6
    width: int = 256
    heads: int = 4
    kv_heads: int = 2
    inner: int = 704
    positions: int = 2048
    rope_theta: float = 10_000.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}.")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}.")


@dataclass(frozen=True)
class CausalRecipe:
    """A causal language model: which corpus, which tokenizer, which shape, how long."""

    corpus: Path  # a folder made by the tokenizer recipe: train.jsonl, held-out.jsonl
    tokenizer: Path  # a folder with tokenizer.json
    out: Path
    init: Path | None = None  # a model's folder to go on from, with this shape and tokenizer; none: random weights
    seed: int = 1
    device: str = "auto"
    notes: str = ""  # for the card: what its other lines do not tell
    shape: ShapeRecipe = field(default_factory=ShapeRecipe)
    loop: LoopRecipe = field(default_factory=LoopRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    fim: FimRecipe = field(default_factory=FimRecipe)
