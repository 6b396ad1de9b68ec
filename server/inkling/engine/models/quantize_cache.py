"""Quantized weights on disk, so that a model is quantized once.

An entry is a folder named by what it was made from: the weights' sha256, the method, and the versions of the code that
wrote it. It appears complete or not at all. A disk that is full or read-only costs only the time to quantize again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

UNAVAILABLE = "quantized-cache-unavailable"
"""The notice when an entry could not be written."""
FORMAT = 2
"""Of our own packed files; raise it when their layout changes."""
KEEP_FREE_BYTES = 1 << 30


def root() -> Path:
    """The folder of all entries. Not made here."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("inkling", appauthor=False)) / "quantized"


def entry_name(weights: Sequence[Path], method: str, versions: Sequence[str]) -> str:
    """The entry's name. Reads the weights once; afterwards their sha256 is known by path, size and time."""
    digest = hashlib.sha256()
    for path in sorted(weights):
        digest.update(_file_sha256(path).encode())
    made_by = hashlib.sha256("\n".join((str(FORMAT), *versions)).encode())
    return f"{digest.hexdigest()[:24]}-{method}-{made_by.hexdigest()[:8]}"


def find(name: str) -> Path | None:
    """The entry's folder, or None."""
    folder = root() / name
    if not folder.is_dir():
        return None
    with contextlib.suppress(OSError):
        os.utime(folder)
    return folder


def discard(name: str) -> None:
    """Remove an entry that turned out to be damaged."""
    shutil.rmtree(root() / name, ignore_errors=True)


def begin(size: int) -> Path | None:
    """A new folder to fill with about `size` bytes; None when the disk has no room or cannot be written."""
    try:
        root().mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(root()).free < size + KEEP_FREE_BYTES:
            return None
        return Path(tempfile.mkdtemp(prefix=".partial-", dir=root()))
    except OSError:
        return None


def commit(partial: Path, name: str) -> bool:
    """Make a filled folder the entry `name`, and remove what other versions made of the same weights by the method."""
    try:
        with contextlib.suppress(FileExistsError):
            partial.rename(root() / name)  # fails when another process was faster: its entry is as good
    except OSError:
        pass
    shutil.rmtree(partial, ignore_errors=True)
    for other in root().glob(f"{name.rpartition('-')[0]}-*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)
    return (root() / name).is_dir()


def abandon(partial: Path) -> None:
    """Remove a folder that could not be filled."""
    shutil.rmtree(partial, ignore_errors=True)


def _file_sha256(path: Path) -> str:
    """The file's sha256, from the memo when path, size and modification time are as they were."""
    real = path.resolve()
    status = real.stat()
    key = hashlib.sha256(f"{real}\n{status.st_size}\n{status.st_mtime_ns}".encode()).hexdigest()[:32]
    memo = root() / "sha256" / key
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(memo.read_text("ascii"))
        if isinstance(known, str) and len(known) == 64:
            return known
    with real.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    with contextlib.suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        memo.write_text(json.dumps(found), "ascii")
    return found
