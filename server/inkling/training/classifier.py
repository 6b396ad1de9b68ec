"""The classifier recipe: read, split by topic, train, calibrate, judge on the held-out set, save, write the card.

The temperature and thresholds come from out-of-fold predictions: models trained on some topics, asked about
others, as a user's text is about others too. The held-out set takes part in nothing but the judgement.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from inkling.training import classifier_card
from inkling.training.classifier_metrics import fit_temperature, fit_thresholds, softmax
from inkling.training.classifier_model import IGNORED
from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.classifier_run import Prediction, fit, predict
from inkling.training.data_comments import weak_examples
from inkling.training.data_labelled import DataError, Example, read_examples
from inkling.training.errors import TrainingError
from inkling.training.recipe import fingerprint, load_recipe


def train_from_recipe(recipe_path: Path, out: Path | None = None, overrides: Mapping[str, str] | None = None) -> Path:
    """Run a classifier recipe and return the model folder, ready for the engine.

    Run again after an interruption, it goes on where it was; the result is the same. Raises TrainingError.
    """
    recipe = load_recipe(recipe_path, ClassifierRecipe, overrides)
    folder = out or recipe.out
    if folder is None:
        raise TrainingError(f"{recipe_path}: no place for the result. Give --out FOLDER, or set out.")
    examples = read_examples(recipe.train, recipe.labels, entities=recipe.entities)
    written = heldout_sets(recipe)
    for path, heldout in zip(recipe.heldout, written.values(), strict=True):
        if leaked := {example.text for example in examples} & {example.text for example in heldout}:
            raise DataError(f"{path}: {len(leaked)} of its texts are also in the training data.")
    weak_train, weak_heldout = weak_examples(recipe.weak, recipe.seed) if recipe.weak else ([], [])
    examples += weak_train

    work = folder / "run"
    _claim(work, fingerprint(recipe, ignore=("out", "card", "device")))
    trained = examples
    if recipe.calibration.refit:
        temperature, thresholds = calibrate(recipe, _out_of_fold(recipe, examples, work))
        body = fit(recipe, trained, work / "final")
    else:
        part, *others = deal_kinds(examples, recipe.calibration.folds, recipe.seed)
        trained, unseen = [examples[i] for other in others for i in other], [examples[i] for i in part]
        body = fit(recipe, trained, work / "final")
        temperature, thresholds = calibrate(recipe, zip(unseen, predict(body, unseen, recipe), strict=True))
    judged = {**written, "real comments, held out by package": weak_heldout}
    report = classifier_card.judge(recipe, body, judged, examples, temperature)
    body.save(folder, temperature, thresholds)
    classifier_card.write(recipe, folder, report, trained, temperature, thresholds)
    shutil.rmtree(work)
    return folder


def heldout_sets(recipe: ClassifierRecipe) -> dict[str, list[Example]]:
    """The written held-out examples, by the name that the card gives each file: `written`, `written, set 2`, …"""
    sets = {}
    for number, path in enumerate(recipe.heldout, 1):
        name = "written" if number == 1 else f"written, set {number}"
        sets[name] = read_examples([path], recipe.labels, entities=recipe.entities)
    return sets


def calibrate(recipe: ClassifierRecipe, unseen: Iterable[tuple[Example, Prediction]]) -> tuple[float, dict[str, float]]:
    """(temperature, threshold per label) from predictions on topics that the predicting model had not seen.

    Each example counts by its weight, so that many weak labels don't drown the few that are sure.
    """
    logits, truth, weights = [], [], []
    for example, (values, labels) in unseen:
        known = labels != IGNORED
        logits.append(values[known])
        truth.append(labels[known])
        weights.append(np.full(known.sum(), example.weight))
    all_logits, all_truth = np.concatenate(logits), np.concatenate(truth)
    temperature = fit_temperature(all_truth, all_logits, np.concatenate(weights))
    probabilities = softmax(all_logits / temperature)
    thresholds = fit_thresholds(all_truth, probabilities, recipe.labels, recipe.calibration.precision)
    thresholds.pop("O", None)
    return temperature, thresholds


def _out_of_fold(
    recipe: ClassifierRecipe, examples: Sequence[Example], work: Path
) -> Iterator[tuple[Example, Prediction]]:
    """Each part of the topics as a model trained on the other parts sees it; finished parts are kept in `work`."""
    parts = deal_kinds(examples, recipe.calibration.folds, recipe.seed)
    for number, part in enumerate(parts[: recipe.calibration.runs]):
        kept = work / f"fold-{number}.safetensors"
        if not kept.exists():
            rest = [examples[i] for other in parts if other is not part for i in other]
            body = fit(recipe, rest, work / f"fold-{number}")
            predictions = predict(body, [examples[i] for i in part], recipe)
            tensors: dict[str, NDArray[Any]] = {}
            for i, (logits, truth) in zip(part, predictions, strict=True):
                tensors |= {f"logits.{i}": logits, f"truth.{i}": truth}
            save_file(tensors, kept.with_suffix(".draft"))
            kept.with_suffix(".draft").replace(kept)
            shutil.rmtree(work / f"fold-{number}", ignore_errors=True)
        fold = load_file(kept)
        for i in part:
            yield examples[i], (fold[f"logits.{i}"], fold[f"truth.{i}"])


def deal_kinds(examples: Sequence[Example], folds: int, seed: int) -> list[list[int]]:
    """`deal_topics`, of written and of weakly labelled examples each, so that every part has its share of both."""
    kinds: dict[float, list[int]] = {}
    for index, example in enumerate(examples):
        kinds.setdefault(example.weight, []).append(index)
    dealt = [
        [[kind[i] for i in part] for part in deal_topics([examples[i] for i in kind], folds, seed)]
        for kind in kinds.values()
    ]
    return [[i for part in parts for i in part] for parts in zip(*dealt, strict=True)]


def deal_topics(examples: Sequence[Example], folds: int, seed: int) -> list[list[int]]:
    """Deal indices into `folds` parts of about one size such that no topic is in two parts.

    A large topic makes a large part; the parts nearest to the mean size come first, as those are asked about.
    Examples without a topic are topics of their own. Raises DataError when there are fewer topics than parts.
    """
    topics: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        topics.setdefault(example.topic or f"#{index}", []).append(index)
    if len(topics) < folds:
        raise DataError(
            f"{len(topics)} topics cannot be dealt into {folds} parts: lower calibration.folds, add topics, "
            "or leave topic out to split by single texts."
        )
    groups = list(topics.values())
    random.Random(seed).shuffle(groups)  # noqa: S311 - a split, not a secret
    parts: list[list[int]] = [[] for _ in range(folds)]
    for group in sorted(groups, key=len, reverse=True):
        min(parts, key=len).extend(group)
    mean = len(examples) / folds
    return [sorted(part) for part in sorted(parts, key=lambda part: abs(len(part) - mean))]


def _claim(work: Path, mark: str) -> None:
    """Make the run's folder, or check that what is there was made by the same recipe."""
    state = work / "recipe.json"
    if state.exists():
        if json.loads(state.read_text("utf-8"))["fingerprint"] != mark:
            raise TrainingError(
                f"{work}: an unfinished run of another recipe. Delete that folder, or give another --out."
            )
        return
    try:
        work.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps({"fingerprint": mark, "torch": torch.__version__}), encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{work}: cannot be written: {error.strerror}.") from error
