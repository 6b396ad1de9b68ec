"""A model on this disk: where it is, what it can do, what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from inkling.engine.models.model_files import ADAPTER_TYPE, inspect
from inkling.errors import InklingError


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


def inspect_source(model_id: str, folder: Path, origin: Literal["starter", "hub", "folder"]) -> ModelSource:
    """Judge a folder as `model_files.inspect` does; files in the hub's cache must not lead out of it."""
    files = inspect(folder, model_id)
    if origin == "hub":
        repository = folder.parents[1]
        for path in (folder / "config.json", *files.weights):
            stay_inside(path, repository, model_id)
    task = files.tasks[0] if files.tasks else ""
    return ModelSource(
        model_id, folder, origin, task, files.tasks, files.licence, files.languages, files.weights, files.bytes,
        files.config,
    )  # fmt: skip


def stay_inside(path: Path, root: Path, model_id: str) -> None:
    """Raises InklingError `bad-model-id` when `path`, links followed, is not under `root`."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise InklingError(
            "bad-model-id", f'"{model_id[:96]}" leads out of {root}.', "Name a folder inside it, or the whole path."
        )
