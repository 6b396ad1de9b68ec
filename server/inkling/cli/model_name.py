"""A model as it is named at a terminal."""

from __future__ import annotations

from pathlib import Path


def model_name(given: str) -> str:
    """An argument's type: an id as it is, and a folder as its whole path, taken from where the user stands.

    What `save_pretrained()` or `inkling train` wrote is a folder however it is named, as a shell completes it.
    """
    if not given or given.startswith("starter:"):
        return given
    from inkling.engine.models.catalog import is_path

    path = Path(given).expanduser()
    return str(path.absolute()) if is_path(given) or (path / "config.json").is_file() else given
