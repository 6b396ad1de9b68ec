"""The settings of a classifier recipe, as in `models/recipes/tone.toml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from inkling.engine.models.starters import ENCODER_ID
from inkling.training.recipe import fingerprint

Task = Literal["text-classification", "token-classification"]


@dataclass(frozen=True)
class Tune:
    """What is trained, and how long."""

    method: Literal["bias-and-norm", "lora", "full"] = "bias-and-norm"
    rank: int = 4
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 2e-3
    head_learning_rate: float = 5e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    max_length: int = 128
    swap_entities: int = 0
    """Copies of each example with its entities replaced by others of the same label."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.rank) < 1:
            raise ValueError("epochs, batch_size and rank must be at least 1.")
        if not 8 <= self.max_length <= 512:
            raise ValueError("max_length must be 8 to 512 tokens.")


@dataclass(frozen=True)
class Calibration:
    """How the temperature and the thresholds are found: on topics that the model has not seen."""

    folds: int = 5
    """The examples' topics are dealt into this many parts."""
    runs: int = 5
    """For so many of the parts a model is trained on the other parts and asked about this one."""
    refit: bool = True
    """Train once more on everything. If not, the model that was asked about the first part is the result."""
    precision: float = 0.9
    """A label's threshold is where it is right this often."""

    def __post_init__(self) -> None:
        if self.folds < 2 or not 1 <= self.runs <= self.folds:
            raise ValueError("folds must be at least 2, and runs 1 to folds.")


@dataclass(frozen=True)
class WeakComments:
    """Comments of installed packages, labelled by the markers they carried (see `data_comments`)."""

    packages: tuple[str, ...]
    """Distributions to read; `stdlib` is Python's own library."""
    negative: str
    """The label of comments without a marker."""
    positive: str = ""
    """The label of comments with one; without it they are left out."""
    marked: float = 0.0
    """Share of the comments to train on that are there once more with their marker, or a model never reads a TODO."""
    heldout_packages: tuple[str, ...] = ()
    ratio: float = 1.5
    """Negatives per positive."""
    most: int = 100
    """Negatives of each package, where there are no positives to go by."""
    prose: tuple[str, ...] = ()
    """Distributions whose descriptions are read too, sentence by sentence, as negatives: `most` of each."""
    weight: float = 0.5


@dataclass(frozen=True)
class FalseAlarms:
    """Ordinary text of packages not trained on, which should never be called `label` (see `data_ordinary`)."""

    label: str
    comments: tuple[str, ...] = ()
    """Distributions whose comments are read."""
    prose: tuple[str, ...] = ()
    """Distributions whose descriptions are read, sentence by sentence."""
    most: int = 120
    """Texts of each package and kind."""
    threshold: float = 0.5
    """The probability from which on a text is called so."""


@dataclass(frozen=True)
class Card:
    """What the model card says and no run can measure; what is left empty is said in words of the recipe's own keys."""

    title: str = ""
    summary: str = ""
    limits: str = (
        "Not told. The figures are of the held-out texts, where there are any: expect less on other people's text."
    )
    data: str = ""
    licence: str = "unknown"
    """Of the model, as the hub names licences."""
    languages: tuple[str, ...] = ("en",)


@dataclass(frozen=True)
class ClassifierRecipe:
    """One classifier: what it tells apart, from which data, on which encoder."""

    name: str
    labels: tuple[str, ...]
    train: tuple[Path, ...]
    task: Task = "text-classification"
    card: Card = field(default_factory=Card)
    heldout: tuple[Path, ...] = ()
    weak: WeakComments | None = None
    false_alarms: FalseAlarms | None = None
    encoder: str = ENCODER_ID
    tune: Tune = field(default_factory=Tune)
    calibration: Calibration = field(default_factory=Calibration)
    start: Path | None = None
    """An adapter of the same labels and rank to go on from, such as one that is shipped."""
    rules: Literal["secrets"] | None = None
    """Rules that the engine asks beside the model (`engine.tasks.secret_rules`)."""
    out: Path | None = None
    seed: int = 1
    device: str = "auto"
    steps: int = 0
    """Where above 0, the length of each training instead of the epochs."""

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise ValueError("labels must be at least two different names.")
        if self.steps < 0:
            raise ValueError("steps must be 0 (epochs count) or more.")
        if self.task == "token-classification" and self.labels[0] != "O":
            raise ValueError('labels must start with "O", the label of all other tokens.')
        if self.false_alarms:
            self._check_false_alarms(self.false_alarms)
        if self.encoder != ENCODER_ID and self.tune.method != "full":
            raise ValueError(f'tune.method must be "full" for an encoder other than {ENCODER_ID}.')

    def _check_false_alarms(self, alarms: FalseAlarms) -> None:
        if self.entities or alarms.label not in self.labels:
            raise ValueError(
                f"false_alarms.label must be a label of a text classifier, here {', '.join(self.labels)}; "
                "without such a label leave [false_alarms] out."
            )
        trained = {name.lower() for name in (*self.weak.packages, *self.weak.prose)} if self.weak else set()
        if both := [name for name in (*alarms.comments, *alarms.prose) if name.lower() in trained]:
            raise ValueError(f"false_alarms names {both[0]}, which is trained on. Name other packages.")

    @property
    def entities(self) -> bool:
        """Whether examples label spans rather than whole texts."""
        return self.task == "token-classification"

    @property
    def packages(self) -> set[str]:
        """The installed packages that are read."""
        weak = {*self.weak.packages, *self.weak.heldout_packages, *self.weak.prose} if self.weak else set()
        return weak | ({*self.false_alarms.comments, *self.false_alarms.prose} if self.false_alarms else set())

    @property
    def work(self) -> Path:
        """Where an unfinished run keeps its state."""
        return (self.out or Path()) / "run"

    @property
    def mark(self) -> str:
        """A hash of what a run cannot change without starting anew."""
        return fingerprint(self, ignore=("out", "card", "device", "false_alarms"))
