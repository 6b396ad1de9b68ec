"""The labelled data: readable, as large as its datasheet says, and held out in truth."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.data_labelled import label_counts, read_examples
from inkling.training.recipe import load_recipe

MODELS = Path(__file__).parents[2] / "models"
TASKS = ("tone", "debt", "injection", "secrets")
SCANNED = re.compile(
    r"AKIA[A-Z2-7]{16}|gh[pousr]_\w{36}|sk_live_\w+|xox[bp]-\w+|AIza[\w-]{35}|glpat-|eyJ[\w-]{17,}\.eyJ"
)


def lines(task: str, part: str) -> list[dict[str, Any]]:
    """The rows of a part: `train`, or `heldout` with its second set where there is one."""
    paths = sorted((MODELS / "data").glob(f"{task}.{part}*.jsonl"))
    assert paths
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


@pytest.mark.parametrize("task", TASKS)
def test_the_recipe_reads_its_data_and_the_datasheet_counts_it(task: str) -> None:
    recipe = load_recipe(MODELS / "recipes" / f"{task}.toml", ClassifierRecipe)
    sheet = " ".join((MODELS / "data" / f"{task}.md").read_text("utf-8").split())
    sets = [(recipe.train, 600), (recipe.heldout[:1], 100), *(((path,), 60) for path in recipe.heldout[1:])]
    for paths, least in sets:
        examples = read_examples(paths, recipe.labels, entities=recipe.entities)
        assert len(examples) >= least
        assert f"{len(examples)} " in sheet
        counts = label_counts(examples, entities=recipe.entities)
        assert set(counts) == set(recipe.labels) - {"O"}
        assert all(str(count) in sheet for count in counts.values())


@pytest.mark.parametrize("task", TASKS)
def test_heldout_texts_are_of_other_topics_and_near_no_training_text(task: str) -> None:
    train, heldout = lines(task, "train"), lines(task, "heldout")
    assert not {row["topic"] for row in train} & {row["topic"] for row in heldout}
    known = [words(row["text"]) for row in train]
    for row in heldout:
        own = words(row["text"])
        assert len(own) < 4 or all(len(own & other) <= 0.6 * len(own | other) for other in known), row["text"]


@pytest.mark.parametrize("task", TASKS)
def test_no_text_is_there_twice(task: str) -> None:
    counts = Counter(
        " ".join(row["text"].lower().split()) for part in ("train", "heldout") for row in lines(task, part)
    )
    assert [text for text, count in counts.items() if count > 1] == []


def test_nothing_looks_like_a_live_secret() -> None:
    for task in TASKS:
        for part in ("train", "heldout"):
            assert not [row for row in lines(task, part) if SCANNED.search(row["text"])]
