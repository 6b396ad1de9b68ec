"""The index on disk: a SQLite file of chunks by file and vectors by content, shared by the windows of a workspace.

Nothing here is worth mending: a file that cannot be read is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.api import InklingError, Position, Range
from inkling_plugins.search.chunks import CHUNKER, Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "search.sqlite"
_BUSY_S = 10.0
_SCHEMA = """
create table if not exists file (uri text primary key, digest blob not null, chunks text not null) without rowid;
create table if not exists vector (key blob primary key, data blob not null) without rowid;
"""


class Store:
    """Calls come from threads, one at a time. Raises InklingError `no-cache` when the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            self._db = self._open()
        except sqlite3.OperationalError as error:
            raise _refused(self._path) from error
        except sqlite3.DatabaseError:  # not a database, or a torn one
            self._path.unlink(missing_ok=True)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            (version,) = db.execute("pragma user_version").fetchone()
            if version != CHUNKER:
                db.executescript("drop table if exists file; drop table if exists vector;")
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
            db.executescript(_SCHEMA)
            db.execute(f"pragma user_version = {CHUNKER}")
            (sound,) = db.execute("pragma quick_check(1)").fetchone()
            if sound != "ok":
                raise sqlite3.DatabaseError(sound)
        except BaseException:
            db.close()
            raise
        with contextlib.suppress(OSError):
            self._path.chmod(0o600)
        return db

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def files(self) -> Iterator[tuple[str, bytes, list[Chunk]]]:
        """(URI, digest, chunks) of every file that was indexed."""
        for uri, digest, text in self._db.execute("select uri, digest, chunks from file"):
            yield uri, digest, [_chunk(row) for row in json.loads(text)]

    def vectors(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The known vectors among these."""
        import numpy as np

        found: dict[bytes, Any] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            for k, data in self._db.execute(f"select key, data from vector where key in ({marks})", part):  # noqa: S608
                found[k] = np.frombuffer(data, np.float16).astype(np.float32)
        return found

    def vector_count(self) -> int:
        """How many vectors are kept."""
        (count,) = self._db.execute("select count(*) from vector").fetchone()
        return int(count)

    def put_file(self, uri: str, digest: bytes, chunks: Iterable[Chunk]) -> None:
        """Remember a file's chunks."""
        row = (uri, digest, json.dumps([_row(chunk) for chunk in chunks], ensure_ascii=False))
        self._write(lambda db: db.execute("insert or replace into file values (?, ?, ?)", row))

    def put_vectors(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Remember vectors, in half precision."""
        import numpy as np

        rows = [(k, vector.astype(np.float16).tobytes()) for k, vector in vectors.items()]
        self._write(lambda db: db.executemany("insert or replace into vector values (?, ?)", rows))

    def forget_files(self, uris: Iterable[str]) -> None:
        """These files are gone."""
        rows = [(uri,) for uri in uris]
        self._write(lambda db: db.executemany("delete from file where uri = ?", rows))

    def keep_vectors(self, keys: Iterable[bytes]) -> None:
        """Forget all vectors but these."""
        rows = [(k,) for k in keys]

        def prune(db: sqlite3.Connection) -> None:
            db.execute("create temp table if not exists wanted (key blob primary key) without rowid")
            db.execute("delete from wanted")
            db.executemany("insert or ignore into wanted values (?)", rows)
            db.execute("delete from vector where key not in (select key from wanted)")

        self._write(prune)

    def _write(self, work: Any) -> None:
        try:
            self._db.execute("begin immediate")
            work(self._db)
            self._db.execute("commit")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("rollback")
            raise _refused(self._path) from error


def key(identity: str, views: Sequence[str]) -> bytes:
    """What the vector of a chunk's views is kept by; `identity` says which model, and which weights of it."""
    return hashlib.blake2b("\0".join((identity, *views)).encode("utf-8", "replace"), digest_size=16).digest()


def _refused(path: Path) -> InklingError:
    return InklingError(
        "no-cache", f"The search index {path} cannot be written.", "Free some space, or delete the file."
    )


def _row(chunk: Chunk) -> list[Any]:
    (first, second) = chunk.range.start, chunk.range.end
    place = [first.line, first.character, second.line, second.character]
    return [chunk.name, chunk.container, chunk.kind, place, list(chunk.parameters), chunk.text]


def _chunk(row: list[Any]) -> Chunk:
    name, container, kind, (a, b, c, d), parameters, text = row
    return Chunk(name, container, kind, Range(Position(a, b), Position(c, d)), tuple(parameters), text)
