"""The classifier recipe: read, split by topic, train, calibrate, judge on the held-out set, save, write the card.

The temperature and thresholds come from out-of-fold predictions: models trained on some topics, asked about
others, as a user's text is about others too. The held-out set takes part in nothing but the judgement.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from inkling.training import classifier_card, preflight
from inkling.training.classifier_data import written_examples
from inkling.training.classifier_metrics import fit_temperature, fit_thresholds, softmax
from inkling.training.classifier_model import IGNORED
from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.classifier_run import Prediction, fit, predict
from inkling.training.data_comments import weak_examples
from inkling.training.data_labelled import Example
from inkling.training.data_ordinary import ordinary_prose, ordinary_texts
from inkling.training.data_split import deal_kinds
from inkling.training.errors import TrainingError


def train_from_recipe(recipe_path: Path, out: Path | None = None, overrides: Mapping[str, str] | None = None) -> Path:
    """Run a classifier recipe and return the model folder, ready for the engine.

    Run again after an interruption, it goes on where it was; the result is the same. Raises TrainingError.
    """
    return run(preflight.classifier(recipe_path, out, overrides or {}))


def run(recipe: ClassifierRecipe) -> Path:
    """`train_from_recipe` for a recipe that was read, `out` set."""
    assert recipe.out is not None
    folder, work = recipe.out, recipe.work
    examples, written = written_examples(recipe)
    weak_train, weak_heldout = weak_examples(recipe.weak, recipe.seed) if recipe.weak else ([], [])
    examples += [*weak_train, *(ordinary_prose(recipe.weak, recipe.seed) if recipe.weak else [])]
    ordinary = ordinary_texts(recipe.false_alarms, recipe.seed) if recipe.false_alarms else {}

    _claim(recipe)
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
    report = classifier_card.judge(recipe, body, judged, examples, temperature, ordinary)
    body.save(folder, temperature, thresholds)
    classifier_card.write(recipe, folder, report, trained, temperature, thresholds)
    shutil.rmtree(work)
    return folder


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
            title = f"fold {number + 1} of {recipe.calibration.runs}"
            body = fit(recipe, rest, work / f"fold-{number}", title)
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


def _claim(recipe: ClassifierRecipe) -> None:
    """Make the run's folder, or check that what is there was made by the same recipe."""
    if preflight.unfinished(recipe):
        return
    state = json.dumps({"fingerprint": recipe.mark, "torch": torch.__version__})
    try:
        recipe.work.mkdir(parents=True, exist_ok=True)
        (recipe.work / "recipe.json").write_text(state, encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{recipe.work}: cannot be written: {error.strerror}.") from error
