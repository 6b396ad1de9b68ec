"""Files in which nothing was found, by hash: what is as it was then need be neither parsed nor read by a model.

The file on disk holds hashes alone, one after the other, each of a plugin's key, a document's name and its text.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from inkling import __version__
from inkling.api import InklingError, Snapshot
from inkling.plugins.folders import cache_folder

NAME = "clean.bin"
SIZE = 16
"""Bytes of a hash."""
MOST = 200_000
"""Hashes kept; of more, the later half stays."""


class Clean:
    """What is known to be clean in one folder. A disk that refuses costs the memory of it alone."""

    def __init__(self, root: Path) -> None:
        self._path: Path | None = None
        self._known: set[bytes] = set()
        self._fresh: dict[bytes, None] = {}
        with suppress(InklingError, OSError):
            self._path = cache_folder((root,), "check") / NAME
            data = self._path.read_bytes()
            if len(data) % SIZE:  # two wrote at once, or one was ended while it wrote
                self._path.unlink()
            else:
                self._known = {data[at : at + SIZE] for at in range(0, len(data), SIZE)}

    @staticmethod
    def hash(key: str, snapshot: Snapshot) -> bytes:
        """A document's hash under what a plugin says decides about it."""
        fields = (__version__, key, snapshot.uri, snapshot.language, snapshot.text)
        parts = [field.encode("utf-8", "surrogatepass") for field in fields]
        hashed = hashlib.blake2b(digest_size=SIZE)
        for part in parts:
            hashed.update(len(part).to_bytes(8, "big") + part)
        return hashed.digest()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def add(self, digest: bytes) -> None:
        """Nothing was found there."""
        if digest not in self._known:
            self._known.add(digest)
            self._fresh[digest] = None

    def save(self) -> None:
        """Write what is fresh. Blocking."""
        if self._path is None or not self._fresh:
            return
        with suppress(OSError):
            with self._path.open("ab") as file:
                file.write(b"".join(self._fresh))
            data = self._path.read_bytes()
            if len(data) > MOST * SIZE:
                new = self._path.with_suffix(".new")
                new.write_bytes(data[-(MOST // 2) * SIZE :])
                new.replace(self._path)
        self._fresh.clear()
