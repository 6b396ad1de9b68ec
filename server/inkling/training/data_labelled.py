"""Labelled examples from JSONL or CSV, with errors that name the file, the line and the fix.

A text-classification line is `{"text": …, "label": …}`; a token-classification line is
`{"text": …, "entities": [{"start": 0, "end": 5, "label": "PERSON"}]}` with code-point offsets. Both may have a
`topic`, which keeps related examples on one side of a split, and a `weight` for labels trusted less.
CSV (text classification only) has the columns `text`, `label` and optionally `topic`, `weight`.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkling.training.errors import TrainingError


class DataError(TrainingError):
    """Data that cannot be trained on; the message names the file and, where there is one, the line."""


@dataclass(frozen=True)
class Example:
    """One labelled text: `label` for the whole, or `entities` as (start, end, label) in code points."""

    text: str
    label: str = ""
    entities: tuple[tuple[int, int, str], ...] = ()
    topic: str = ""
    weight: float = 1.0


def read_examples(paths: Sequence[Path], labels: Sequence[str], *, entities: bool = False) -> list[Example]:
    """Read and check every file. Duplicate texts are kept once, the first time they appear.

    Raises DataError when a file is missing or isn't text, a line is broken, a label is unknown, or fewer than
    two labels have examples.
    """
    seen: dict[str, Example] = {}
    for path in paths:
        for line, row in _rows(path):
            example = _example(row, labels, entities, f"{path}, line {line}")
            seen.setdefault(example.text, example)
    examples = list(seen.values())
    names = ", ".join(str(path) for path in paths)
    if not examples:
        raise DataError(f"{names}: no examples. Write one JSON object per line with text and label.")
    counts = label_counts(examples, entities=entities)
    if len(counts) < (1 if entities else 2):
        only = next(iter(counts), "none")
        raise DataError(f"{names}: only label {only} has examples; a classifier needs at least two classes.")
    return examples


def label_counts(examples: Sequence[Example], *, entities: bool = False) -> Counter[str]:
    """How often each label occurs: per text, or per entity."""
    if entities:
        return Counter(label for example in examples for _, _, label in example.entities)
    return Counter(example.label for example in examples)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Name a JSONL or CSV file of labelled texts.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    if path.suffix == ".csv":
        reader = csv.DictReader(text.splitlines(keepends=True))
        if missing := {"text", "label"} - set(reader.fieldnames or ()):
            raise DataError(f"{path}, line 1: column {min(missing)} is missing from the header.")
        for row in reader:
            yield reader.line_num, {key: value for key, value in row.items() if value not in ("", None)}
        return
    # Not splitlines(): a text may hold U+2028 and other separators that JSON doesn't escape.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, line {number}: not JSON ({error.msg}, column {error.colno}). Each line is one JSON object."
            ) from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
        yield number, row


def _example(row: dict[str, Any], labels: Sequence[str], entities: bool, where: str) -> Example:
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: text is missing or empty.")
    try:
        weight = float(row.get("weight", 1.0))
    except (TypeError, ValueError):
        weight = -1.0
    if not 0 < weight <= 100:
        raise DataError(f"{where}: weight must be a number above 0.")
    topic = str(row.get("topic", ""))
    if not entities:
        label = row.get("label")
        _check_label(label, labels, where)
        return Example(text, label=str(label), topic=topic, weight=weight)
    spans = row.get("entities")
    if not isinstance(spans, list):
        raise DataError(f"{where}: entities must be a list (an empty one when there are none).")
    checked: list[tuple[int, int, str]] = []
    for span in spans:
        try:
            start, end, label = int(span["start"]), int(span["end"]), span["label"]
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{where}: an entity needs start, end and label.") from None
        _check_label(label, labels, where)
        if not 0 <= start < end <= len(text):
            raise DataError(f"{where}: entity {start}–{end} lies outside of the text (0–{len(text)}).")
        checked.append((start, end, label))
    return Example(text, entities=tuple(sorted(checked)), topic=topic, weight=weight)


def _check_label(label: Any, labels: Sequence[str], where: str) -> None:
    if label in labels:
        return
    close = difflib.get_close_matches(str(label), labels, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the recipe's labels are {', '.join(labels)}."
    raise DataError(f"{where}: unknown label {str(label)[:40]!r}; {hint}")
