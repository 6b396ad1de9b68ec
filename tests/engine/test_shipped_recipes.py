"""Each recipe of models/recipes, at reduced size, ends in a model that loads through the engine and answers.

The causal ones are in test_training_causal.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import typing
from pathlib import Path
from typing import Any, cast

import pytest

from inkling.engine.backend import Stop
from inkling.engine.models.store import create_backend
from inkling.engine.protocol import Task
from inkling.training.classifier_recipe import ClassifierRecipe
from inkling.training.recipe import load_recipe

MODELS = Path(__file__).parents[2] / "models"


def train(kind: str, name: str, out: Path, **overrides: Any) -> Path:
    """The folder that a shipped recipe ends in; overrides by dotted key, `.` written as `__`."""
    settings = {key.replace("__", "."): json.dumps(value) for key, value in overrides.items()}
    result: Path = importlib.import_module(f"inkling.training.{kind}").train_from_recipe(
        MODELS / "recipes" / f"{name}.toml", out, settings
    )
    assert (result / "README.md").read_text("utf-8").startswith("---\nlicense: ")
    return result


def answer(folder: Path, task: Task, text: str, **parameters: Any) -> Any:
    """What the engine says to `text` with the model in `folder`."""
    engine = create_backend(device="cpu", threads=1)
    model = engine.load(str(folder), task, quantization="auto", on_progress=lambda share: None)
    (found,) = model.run([text], parameters, Stop())
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus and the tokenizer of tokenizer.toml, from two packages."""
    root = tmp_path_factory.mktemp("made")
    corpus = {"standard_library": False, "packages": ["pluggy"], "held_out": ["h11"]}
    keys = {f"corpus__{key}": value for key, value in corpus.items()}
    train("tokenizer", "tokenizer", root / "tokenizer", corpus_out=str(root / "corpus"), vocabulary=400, **keys)
    return root


def test_the_masked_recipe_after_the_tokenizer_recipe(made: Path) -> None:
    parts = {name: str(made / name) for name in ("corpus", "tokenizer")}
    shape = {"shape__layers": 1, "shape__width": 16, "shape__heads": 2, "shape__inner": 16}
    folder = train("masked", "masked", made / "masked", **parts, **shape, steps=2, batch=2, context=32, device="cpu")
    fills = answer(folder, Task.FILL_MASK, "def parse<|mask|>(self)", top_k=2)
    assert len(fills) == 2 and all(0 < fill["score"] < 1 for fill in fills)


def sample(name: str, part: str, folder: Path, every: int) -> list[str]:
    """A thinned copy of a data file, as a recipe names it."""
    lines = (MODELS / "data" / f"{name}.{part}.jsonl").read_text("utf-8").splitlines()
    path = folder / f"{part}.jsonl"
    path.write_text("\n".join(lines[::every]) + "\n", "utf-8")
    return [str(path)]


WEAK = {"weak__packages": ["pluggy", "h11"]}
ALARMS = {"false_alarms__comments": ["idna"], "false_alarms__prose": ["attrs"], "false_alarms__most": 2}
ORDINARY = {**WEAK, "weak__prose": ["h11"], "weak__most": 3, **ALARMS}


def keys(schema: type, prefix: str = "") -> set[str]:
    """The keys of a recipe, dotted, without the tables' own names."""
    found = set()
    for name, kind in typing.get_type_hints(schema).items():
        inner = next((part for part in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(part)), None)
        found |= keys(cast("type", inner), f"{prefix}{name}.") if inner else {prefix + name}
    return found


def test_the_docs_recipe_is_one_and_the_docs_name_every_key(tmp_path: Path) -> None:
    page = (MODELS.parent / "docs" / "starters.md").read_text("utf-8").split("## Your own")[1]
    path = tmp_path / "mood.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0], "utf-8")
    recipe = load_recipe(path, ClassifierRecipe)
    assert (recipe.labels, recipe.train) == (("angry", "calm"), (tmp_path / "mood.jsonl",))
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == keys(ClassifierRecipe)


@pytest.mark.parametrize(
    ("name", "task", "others"),
    [
        ("tone", Task.TEXT_CLASSIFICATION, ORDINARY),
        ("debt", Task.TEXT_CLASSIFICATION, {**WEAK, "weak__heldout_packages": ["idna"]}),
        ("injection", Task.TEXT_CLASSIFICATION, ORDINARY),
        ("secrets", Task.TOKEN_CLASSIFICATION, {}),
    ],
)
def test_the_classifier_recipes(name: str, task: Task, others: dict[str, Any], tmp_path: Path) -> None:
    data = {part: sample(name, part, tmp_path, every) for part, every in (("train", 12), ("heldout", 12))}
    reduced = {"steps": 2, "tune__batch_size": 4, "calibration__runs": 1, "calibration__folds": 2, "device": "cpu"}
    folder = train("classifier", name, tmp_path / "made", **data, **reduced, **others)
    labels = set(json.loads((folder / "config.json").read_text())["label2id"])
    found = answer(folder, task, "Mail ada@example.com, the parser is broken.")
    kind = "entity_group" if task is Task.TOKEN_CLASSIFICATION else "label"
    assert found and {row[kind] for row in found} <= labels
    assert all(0 < row["score"] <= 1 for row in found)
