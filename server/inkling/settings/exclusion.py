"""Which files have no features: the globs of `server.exclude` and `server.secret_files`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from inkling.text.uri import uri_path


def in_folders(patterns: Sequence[str], roots: Sequence[Path]) -> tuple[str, ...]:
    """gitignore patterns, made to match absolute paths.

    A pattern with a slash at its start or inside is anchored: it means a path below a workspace folder, and stays as
    it is besides, for what lies outside of them.
    """
    result = []
    for pattern in patterns:
        result.append(pattern)
        sign, glob = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
        if "/" in glob.rstrip().rstrip("/") and not glob.startswith(("#", "**/")):
            for root in roots:
                folder = re.sub(r"([\\*?\[\]!# ])", r"\\\1", "/" + uri_path(root.absolute().as_uri()).rstrip("/"))
                result.append(f"{sign}{folder}/{glob.lstrip('/')}")
    return tuple(result)


class Exclusion:
    """Which documents no plugin ever sees, by the settings `server.exclude` and `server.secret_files`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)
        self._match: Callable[[str], bool] | None = None
        self._known: dict[str, bool] = {}

    def __call__(self, uri: str) -> bool:
        """Whether the document is excluded; remembered per URI."""
        if uri not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            self._known[uri] = self._matches(uri)
        return self._known[uri]

    def _matches(self, uri: str) -> bool:
        if self._match is None:
            import pathspec

            self._match = pathspec.GitIgnoreSpec.from_lines(self._patterns).match_file
        return bool(self._match(uri_path(uri)))
