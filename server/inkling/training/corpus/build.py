"""Make a corpus: collect, filter, scrub, de-duplicate, hold whole packages out, and record all of it.

A corpus on disk is ``train.jsonl`` and ``held-out.jsonl`` (one ``{"package", "path", "text"}`` a line) and
``report.json``: per package its version, licence, bytes kept, and how much was dropped for which reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inkling.training.corpus import sources
from inkling.training.corpus.dedup import Seen
from inkling.training.corpus.scrub import scrub
from inkling.training.corpus.sources import CorpusError, Package
from inkling.training.recipe import fingerprint


@dataclass(frozen=True)
class CorpusRecipe:
    """What goes into a corpus. Either ``folders`` of one's own text, or this Python's library and packages."""

    folders: tuple[Path, ...] = ()
    patterns: tuple[str, ...] = ("*.py",)
    standard_library: bool = False
    packages: tuple[str, ...] = ()
    all_packages: bool = False
    held_out: tuple[str, ...] = ()
    megabytes_per_package: float = 10.0
    near_copies: float = 0.7  # estimated similarity from which a file counts as a copy; 1 keeps all but equal ones
    held_out_share: float = 0.05  # of files, for folders that name no packages to hold out

    def __post_init__(self) -> None:
        if not (self.folders or self.standard_library or self.packages or self.all_packages):
            raise ValueError("a corpus needs folders, standard_library, packages or all_packages.")


@dataclass(frozen=True)
class Document:
    """One file: the package it came from, its path there, its text."""

    package: str
    path: str
    text: str


@dataclass
class Report:
    """What was kept and what was dropped, per package."""

    packages: dict[str, dict[str, object]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    scrubbed: int = 0
    recipe: str = ""

    @property
    def sizes(self) -> tuple[float, float]:
        """Megabytes to train on and held out."""
        sizes = {False: 0.0, True: 0.0}
        for package in self.packages.values():
            sizes[bool(package["held_out"])] += float(str(package["bytes"])) / 1e6
        return sizes[False], sizes[True]


def build_once(recipe: CorpusRecipe, out: Path) -> Report:
    """The corpus of ``recipe`` in ``out``: the one that is there, or a new one when the recipe has changed."""
    return kept(recipe, out) or build(recipe, out)


def kept(recipe: CorpusRecipe, out: Path) -> Report | None:
    """What was written about the corpus in ``out``; None unless it is this recipe's."""
    note = out / "report.json"
    if not note.is_file():
        return None
    report = Report(**json.loads(note.read_text("utf-8")))
    return report if report.recipe == fingerprint(recipe) else None


def build(recipe: CorpusRecipe, out: Path) -> Report:
    """Write the corpus into ``out``. Held-out files go first, so that no near copy of one is trained on.

    Raises CorpusError when nothing is left to train on or a folder holds a file that is not text.
    """
    report = Report(recipe=fingerprint(recipe))
    packages = [sources.folder(folder, recipe.patterns) for folder in recipe.folders]
    own = {package.name for package in packages}
    if recipe.standard_library:
        packages.append(sources.standard_library())
    if recipe.packages or recipe.all_packages:
        names = () if recipe.all_packages else (*recipe.packages, *recipe.held_out)
        found, report.refused = sources.installed(names)
        packages += found
    packages.sort(key=lambda package: package.name not in recipe.held_out)
    out.mkdir(parents=True, exist_ok=True)
    seen = Seen(recipe.near_copies)
    written: Counter[str] = Counter()
    with (
        (out / "train.jsonl").open("w", encoding="utf-8") as train,
        (out / "held-out.jsonl").open("w", encoding="utf-8") as held,
    ):
        for package in packages:
            for document in _filtered(package, package.name in own, recipe, seen, report):
                is_held = package.name in recipe.held_out
                if package.name in own and not recipe.held_out:
                    is_held = _unit(f"{document.package}/{document.path}") < recipe.held_out_share
                target = held if is_held else train
                target.write(json.dumps(vars(document), ensure_ascii=False) + "\n")
                written["held-out" if is_held else "train"] += 1
    if not written["train"]:
        dropped = {name: package["dropped"] for name, package in report.packages.items()}
        raise CorpusError(f"the corpus is empty: no file is left to train on. Dropped, by reason: {dropped}.")
    (out / "report.json").write_text(json.dumps(vars(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return report


def read(path: Path) -> Iterator[Document]:
    """The documents of one corpus file. Raises CorpusError naming the line that cannot be read."""
    if not path.is_file():
        raise CorpusError(f"{path}: no such corpus file. Run the recipe's corpus step first.")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield Document(**json.loads(line))
            except (ValueError, TypeError):
                raise CorpusError(f"{path}: line {number} is not a document. Build the corpus anew.") from None


def _filtered(package: Package, own: bool, recipe: CorpusRecipe, seen: Seen, report: Report) -> Iterator[Document]:
    dropped: Counter[str] = Counter()
    kept_files = kept_bytes = 0
    budget = recipe.megabytes_per_package * 1e6
    # in one's own folder, a file that isn't text is a mistake to be told, not to be passed over
    own_texts = ((shown, sources.read_text(path)) for shown, path in package.files)
    texts = own_texts if own else sources.text_of(package)
    # in the order of a hash, so that a package over its budget is sampled evenly rather than cut at a letter
    for shown, text in sorted(texts, key=lambda item: _unit(item[0])):
        reason = None if own else sources.why_unfit(text)
        if reason is None and kept_bytes > budget:
            reason = "over budget"
        if reason is None and seen.add(f"{package.name}/{shown}", text):
            reason = "near copy"
        if reason is not None:
            dropped[reason] += 1
            continue
        text, count = scrub(text)
        report.scrubbed += count
        kept_files += 1
        kept_bytes += len(text.encode())
        yield Document(package.name, shown, text)
    report.packages[package.name] = {
        "version": package.version,
        "licence": package.licence,
        "files": kept_files,
        "bytes": kept_bytes,
        "held_out": package.name in recipe.held_out,
        "dropped": dict(dropped),
    }


def _unit(name: str) -> float:
    """A stable number in [0, 1) for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
