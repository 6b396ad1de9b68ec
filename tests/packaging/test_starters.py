"""The models that ship are those that their catalog describes."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

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


FIGURES = {
    ("code", "bits per byte, six held-out packages"): ["bits per byte, held-out packages", "the same"],
    ("tone", "macro-F1, written sentences"): ["macro-F1 (written)"],
    ("tone", "calibration error"): ["calibration error (written)"],
    ("tone", "called hostile by mistake, real comments / prose"): ["called hostile*comments", "called hostile*prose"],
    ("debt", "AUC, real comments of held-out packages"): ["ROC AUC (real comments"],
    ("debt", "macro-F1, two written sets"): ["macro-F1 (written)", "macro-F1 (written, set 2)"],
    ("debt", "calibration error, written / real"): [
        "calibration error (written)",
        "calibration error (written, set 2)",
        "calibration error (real comments",
    ],
    ("injection", "macro-F1, two written sets"): ["macro-F1 (written)", "macro-F1 (written, set 2)"],
    ("injection", "called an injection by mistake, real comments / prose"): [
        "called injection*comments",
        "called injection*prose",
    ],
    ("injection", "calibration error"): ["calibration error (written)", "calibration error (written, set 2)"],
    ("secrets", "macro-F1 over tokens, two written sets"): [
        "macro-F1 over tokens (written)",
        "macro-F1 over tokens (written, set 2)",
    ],
}
"""What docs/starters.md tells of a starter: the rows of its card that say so, by how they begin (`*` is anything)."""


def told() -> dict[tuple[str, str], tuple[str, str]]:
    """(value, baseline) by (starter, measure) in the table of docs/starters.md."""
    rows, starter = {}, ""
    docs = (Path(__file__).parents[2] / "docs" / "starters.md").read_text("utf-8")
    for line in docs.split("| starter | measure |")[1].split("\n\n")[0].splitlines()[2:]:
        name, measure, value, baseline, _ = (cell.strip() for cell in line.strip("|").split("|"))
        starter = name or starter
        rows[starter, measure] = value, baseline
    return rows


def measured(starter: str) -> dict[str, tuple[float, float | None]]:
    """(value, baseline) by name in the card's table."""
    table = (STARTER_FOLDER / starter / "README.md").read_text("utf-8").split("## Measured")[1].split("## ")[0]
    rows = re.findall(r"^\| (.+?) \| ([\d.]+)[^|]*\| (?:([\d.]+) )?", table, re.MULTILINE)
    return {name: (float(value), float(baseline) if baseline else None) for name, value, baseline in rows}


def agree(text: str, figures: list[float | None]) -> bool:
    """Whether the numbers in a cell are these, rounded."""
    numbers = re.findall(r"\d+\.\d+", text)
    known = [figure for figure in figures if figure is not None]
    return len(numbers) == len(known) and all(
        abs(float(number) - figure) <= 0.501 * 10 ** -len(number.partition(".")[2])
        for number, figure in zip(numbers, known, strict=True)
    )


@pytest.mark.parametrize(("starter", "measure"), FIGURES)
def test_the_docs_tell_what_the_card_measured(starter: str, measure: str) -> None:
    value, baseline = told()[starter, measure]
    card = measured(starter)
    rows = [next(card[name] for name in card if fnmatchcase(name, f"{row}*")) for row in FIGURES[starter, measure]]
    assert agree(value, list(dict.fromkeys(ours for ours, _ in rows)))
    assert agree(baseline, [peer for _, peer in rows])


def test_every_figure_in_the_docs_is_in_a_card_or_a_bench() -> None:
    assert set(told()) - set(FIGURES) == {
        ("code", "rest of a line, beside copies: exact, similarity"),
        ("code", "a whole line, the same"),
        ("code", "first text in a new document, 2 cores"),
        ("summary", "share of the key sentences, in three"),
    }


def test_the_code_models_card_has_ten_completions() -> None:
    card = (STARTER_FOLDER / "code" / "README.md").read_text("utf-8")
    assert len(re.findall(r"^author: `.*`  \nmodel: `.*`$", card, re.MULTILINE)) == 10
