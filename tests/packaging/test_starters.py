"""The models that ship are those that their catalog describes."""

from __future__ import annotations

import json

import pytest

from inkling.engine.models.catalog import STARTER_FOLDER, list_starters, verify
from inkling.engine.models.seal import describe

SHIPPED_BYTES = 64_000_000


def test_the_catalog_is_sealed() -> None:
    sealed = json.loads((STARTER_FOLDER / "catalog.json").read_text("utf-8"))
    assert sealed == describe(STARTER_FOLDER), "a starter has changed: run `inkling models seal` and commit the catalog"


@pytest.mark.parametrize("model", [entry.id for entry in list_starters()])
def test_each_starter_is_whole_and_says_what_it_is(model: str) -> None:
    source = verify(model)
    assert source.licence.lower() == "apache-2.0"
    assert source.languages and source.description and source.task
    assert (source.path / "README.md").is_file()


def test_the_starters_stay_small() -> None:
    size = sum(path.stat().st_size for path in STARTER_FOLDER.rglob("*") if path.is_file())
    assert size < SHIPPED_BYTES


def test_no_starter_holds_what_could_run() -> None:
    kinds = {path.suffix for path in STARTER_FOLDER.rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".md", ".txt", ".jinja", ".png", ".svg"}
