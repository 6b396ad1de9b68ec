"""What a causal model is made from: the schema of its TOML recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from inkling.training.recipe import fingerprint


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
class LoopRecipe:
    """How long, how large a step, and how often to save. All of it may change when a run is resumed."""

    steps: int = 10_000
    decay_steps: int = 500
    batch: int = 16  # windows a step
    context: int = 512  # tokens a window
    decay_batch: int | None = None  # the same for the decay, where a longer context costs little and pays
    decay_context: int | None = None
    average: float = 0.99  # weight of the past in the running average of the weights
    checkpoint_minutes: float = 3.0
    evaluate_every: int = 250
    processes: int = 1  # that share each batch; on a CPU one per core, each with one thread, waits least
    compile: bool = False  # torch.compile: half a minute once, then about half as fast again on a CPU

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "context", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1.")

    def window(self, step: int) -> tuple[int, int]:
        """Windows and tokens a window at ``step``."""
        if step < self.steps - self.decay_steps:
            return self.batch, self.context
        return self.decay_batch or self.batch, self.decay_context or self.context


@dataclass(frozen=True)
class OptimizerRecipe:
    """Rates and schedule. Muon's update is scaled to AdamW's size, so that one rate serves both."""

    rate: float = 3e-3
    embedding_rate: float = 3e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    clip: float = 1.0
    kind: str = "muon"

    def __post_init__(self) -> None:
        if self.kind not in ("muon", "adamw"):
            raise ValueError(f"kind must be 'muon' or 'adamw', not {self.kind!r}.")


@dataclass(frozen=True)
class FimRecipe:
    """How much of the training text becomes fill-in-the-middle.

    ``rate`` is the share of windows, ``spm`` the share of those in suffix-prefix-middle order, ``lines`` the share
    whose middle is what a cursor asks for (from a point in a line to the end of it or of a line soon after);
    the other middles lie between two random points. ``cut`` is the share of the remaining windows that are tokenized
    in pieces, ``cuts`` times cut at a random character: a cursor stands in mid-word as often as not, and a model that
    has only seen whole words tokenized cannot go on from there. ``order`` tells editors how to ask:
    ``usual`` (prefix, suffix, middle), ``suffix-first``, or ``none`` for a model that fills worse than it goes on.
    """

    rate: float = 0.3
    spm: float = 0.3
    lines: float = 0.6
    cut: float = 0.25
    cuts: int = 12
    order: str = "usual"

    def __post_init__(self) -> None:
        for name in ("rate", "spm", "lines", "cut"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}.")
        if self.order not in ("usual", "suffix-first", "none"):
            raise ValueError(f"order must be 'usual', 'suffix-first' or 'none', not {self.order!r}.")


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

    @property
    def mark(self) -> str:
        """A hash of what a run cannot change without starting anew, the texts that it reads apart."""
        return fingerprint(self, ignore=("corpus", "tokenizer", "out", "device", "notes", "loop"))
