"""The Hugging Face cache on disk, read without its library and without the network.

Layout: `<cache>/models--org--name/refs/main` holds a commit; `snapshots/<commit>/` holds links into `blobs/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?"
HUB_ID = re.compile(rf"(?P<repo>(?:{_PART}/)?{_PART})(?:@(?P<revision>{_PART}))?")
"""`name`, `org/name`, `org/name@revision`: the hub's own rule, which also keeps an id from being a path."""


def parse_hub_id(model: str) -> tuple[str, str] | None:
    """(repository, revision), or None when this is no valid hub id."""
    match = HUB_ID.fullmatch(model)
    if match is None or ".." in model or "--" in model or match["repo"].endswith(".git"):
        return None
    return match["repo"], match["revision"] or "main"


def cache_folder() -> Path:
    """Where huggingface_hub keeps models, by its own rules and environment variables."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if path := os.environ.get(variable):
            return Path(os.path.expandvars(path)).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.path.expandvars(str(home))).expanduser() / "hub"


def repository_folder(repo: str) -> Path:
    """The cache's folder for a repository, whether or not it exists."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def find_snapshot(repo: str, revision: str = "main") -> Path | None:
    """The folder of a downloaded revision: a branch, a tag, or a commit (whole or its beginning)."""
    folder = repository_folder(repo)
    commit = revision
    try:
        commit = (folder / "refs" / revision).read_text("ascii").strip()
    except (OSError, ValueError):
        if not re.fullmatch(r"[0-9a-f]{7,40}", revision):
            return None
    if not re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return None  # a tampered ref must not lead out of the cache
    exact = folder / "snapshots" / commit
    if exact.is_dir():
        return exact
    snapshots = folder / "snapshots"
    return next((path for path in _folders(snapshots) if path.name.startswith(commit)), None)


def cached_ids() -> list[str]:
    """Ids of the models in the cache, sorted."""
    found = []
    for folder in _folders(cache_folder()):
        kind, _, name = folder.name.partition("--")
        repo = name.replace("--", "/")
        if kind == "models" and parse_hub_id(repo) and find_snapshot(repo):
            found.append(repo)
    return sorted(found)


def blob_sha256(path: Path) -> str | None:
    """The sha256 that the hub gave for a cached file (large files' blobs are named by it), or None."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def _folders(parent: Path) -> Iterator[Path]:
    try:
        yield from (path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return
