"""Which documents a setting's globs mean: written as in a .gitignore, matched against the document's path."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from inkling.api import uri_path

if TYPE_CHECKING:
    from pathspec import PathSpec


def matches(uri: str, globs: tuple[str, ...]) -> bool:
    """True when any of `globs` matches; a later `!glob` takes a match back."""
    return bool(globs) and _spec(globs).match_file(uri_path(uri))


@lru_cache(maxsize=64)
def _spec(globs: tuple[str, ...]) -> PathSpec[Any]:
    from pathspec import PathSpec  # on first use: not needed to start the server

    return PathSpec.from_lines("gitignore", globs)
