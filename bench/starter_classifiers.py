"""The starter classifiers beside TF-IDF and logistic regression, on text that neither was trained on.

The shipped adapters are measured as they are; the baseline is fitted here, on the same training examples. Reading the
comments of installed packages takes half a minute, and a quick run leaves them out.
"""

from __future__ import annotations

from pathlib import Path

import inkling
from bench.row import Row, row
from inkling.training.classifier_card import judge
from inkling.training.classifier_data import heldout_sets
from inkling.training.classifier_model import Shipped
from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.data_comments import weak_examples
from inkling.training.data_labelled import Example, read_examples
from inkling.training.data_ordinary import ordinary_prose, ordinary_texts
from inkling.training.recipe import load_recipe

ROOT = Path(__file__).parents[1]
STARTER = Path(inkling.__file__).parent / "starter"
TASKS = ("tone", "debt", "injection", "secrets")
LESS_IS_BETTER = ("calibration error", "called ")


def rows(quick: bool = False) -> list[Row]:
    """Macro-F1, accuracy and calibration error per classifier, and the debt classifier's AUC on real comments."""
    return [found for task in TASKS for found in _task_rows(task, quick)]


def _task_rows(task: str, quick: bool) -> list[Row]:
    recipe = load_recipe(ROOT / "models" / "recipes" / f"{task}.toml", ClassifierRecipe)
    body = Shipped(STARTER / task)
    train = read_examples(recipe.train, recipe.labels, entities=recipe.entities)
    sets: dict[str, list[Example]] = heldout_sets(recipe)
    if recipe.weak and not quick:
        weak_train, sets["real"] = weak_examples(recipe.weak, recipe.seed)
        train += [*weak_train, *ordinary_prose(recipe.weak, recipe.seed)]
    ordinary = ordinary_texts(recipe.false_alarms, recipe.seed) if recipe.false_alarms and not quick else {}
    return [
        row(
            f"starters/classifier {task} {result.name}, {name} held-out",
            result.value,
            result.unit,
            better="less" if result.name.startswith(LESS_IS_BETTER) else "more",
            peer=result.baseline,
            peer_value=result.baseline_value,
        )
        for name, judgement in judge(recipe, body, sets, train, ordinary=ordinary).items()
        for result in judgement.results
    ]
