"""Where plugins keep what they have computed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from inkling.errors import InklingError


def cache_folder(roots: Sequence[Path], plugin: str) -> Path:
    """One folder per workspace and plugin, private to the user. Raises InklingError when it cannot be made."""
    import platformdirs

    names = "\0".join(str(path) for path in roots)
    name = hashlib.blake2s(names.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
    folder = Path(platformdirs.user_cache_dir("inkling", appauthor=False)) / "workspaces" / name / (plugin or "_")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for made in (folder.parent, folder):
            if os.name == "posix" and made.stat().st_uid != os.getuid():
                raise PermissionError
            made.chmod(0o700)
    except OSError as error:
        raise InklingError(
            "no-cache",
            f"The folder {folder} cannot be used: {type(error).__name__}.",
            "Free some space, or set XDG_CACHE_HOME to a folder that you can write to.",
        ) from error
    return folder
