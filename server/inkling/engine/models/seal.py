"""Writes `starter/catalog.json`: what the starter models are, and their hashes, so that `verify` has something to hold
them to. Run by whoever changes a starter (`inkling models seal`); a test says when it was forgotten."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from inkling.engine.models.model_files import inspect


def seal(folder: Path) -> dict[str, Any]:
    """Write the catalog of the starters in `folder`; returns it. Raises InklingError when one is not usable."""
    facts = describe(folder)
    (folder / "catalog.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return facts


def describe(folder: Path) -> dict[str, Any]:
    """Name → licence, languages, description and sha256 by weight file, from the folders themselves."""
    facts: dict[str, Any] = {}
    for model in sorted(path.parent for path in folder.glob("*/config.json")):
        files = inspect(model, f"starter:{model.name}")
        facts[model.name] = {
            "licence": files.licence,
            "languages": list(files.languages),
            "description": _first_sentence(model / "README.md"),
            "sha256": {path.name: _sha256(path) for path in files.weights},
        }
    return facts


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_sentence(card: Path) -> str:
    """Of the paragraph below the card's title, without emphasis."""
    if not card.is_file():
        return ""
    match = re.search(r"^# .*\n+((?:.+\n)+)", card.read_text("utf-8"), re.MULTILINE)
    paragraph = " ".join(match[1].split()) if match else ""
    return re.sub(r"[*_`]", "", re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0])
