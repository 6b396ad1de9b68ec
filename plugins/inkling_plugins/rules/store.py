"""What models said, by hash: in memory, and on disk so that opening a project again asks no model.

The file holds hashes, labels, scores and offsets; no text. It is made anew when it cannot be read.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inkling.api import Editor, Entity, InklingError, Label
from inkling_plugins.rules.judge import Reading

if TYPE_CHECKING:
    from sqlite3 import Connection

IN_MEMORY = 100_000
ON_DISK = 400_000
"""Readings kept; the least recently used are forgotten."""
_LABELS = 8
"""Labels and spans that a reading has as a rule; where models say more of each text, fewer texts are in memory."""
_VERSION = 2
"""2: every label is kept, and keys tell the weights."""
_AT_ONCE = 500
_OVERFLOW = 10_000
"""Readings written before the file is looked at for its size."""


class Store:
    """Readings by `unit_key`. `get` and `put` are for the event loop; `recall` and `flush` may wait for the disk."""

    def __init__(self, folder: Path | None = None, *, in_memory: int = IN_MEMORY, on_disk: int = ON_DISK) -> None:
        self._memory: OrderedDict[bytes, Reading] = OrderedDict()
        self._held = 0
        self._most, self._most_on_disk = in_memory, on_disk
        self._path = None if folder is None else folder / "readings.sqlite"
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._fresh: dict[bytes, Reading] = {}
        self._used: set[bytes] = set()
        self._written = 0

    def __len__(self) -> int:
        return len(self._memory)

    def get(self, key: bytes) -> Reading | None:
        """A reading in memory."""
        reading = self._memory.get(key)
        if reading is not None:
            self._memory.move_to_end(key)
        return reading

    def put(self, key: bytes, reading: Reading) -> None:
        """Remember a reading."""
        self._remember(key, reading)
        if self._path is not None:
            self._fresh[key] = reading

    def _remember(self, key: bytes, reading: Reading) -> None:
        self._held += len(reading) - len(self._memory.get(key, ()))
        self._memory[key] = reading
        self._memory.move_to_end(key)
        while len(self._memory) > self._most or (self._held > self._most * _LABELS and len(self._memory) > 1):
            _, oldest = self._memory.popitem(last=False)
            self._held -= len(oldest)

    @property
    def has_fresh(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._fresh)

    def look_up(self, keys: Iterable[bytes]) -> Mapping[bytes, Reading]:
        """Readings on disk. Blocking. An unusable file gives none."""
        wanted = list(keys)
        found: dict[bytes, Reading] = {}
        with self._lock:
            connection = self._open()
            if connection is None:
                return found
            import sqlite3

            try:
                for start in range(0, len(wanted), _AT_ONCE):
                    part = wanted[start : start + _AT_ONCE]
                    marks = ",".join("?" * len(part))
                    query = f"SELECT key, reading FROM readings WHERE key IN ({marks})"  # noqa: S608 - only question marks
                    found |= {key: _decoded(text) for key, text in connection.execute(query, part)}
            except (sqlite3.Error, ValueError, TypeError):
                self._close()
                return {}
            self._used |= found.keys()
        return found

    def take_over(self, found: Mapping[bytes, Reading]) -> None:
        """Keep in memory what `look_up` found."""
        for key, reading in found.items():
            self._remember(key, reading)

    def flush(self) -> None:
        """Write what is fresh. Blocking. A disk that refuses costs the memory of it alone."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            used, self._used = self._used, set()
            connection = self._open()
            if connection is None or not (fresh or used):
                return
            import sqlite3

            now = int(time.time())
            try:
                with connection:
                    connection.executemany(
                        "INSERT OR REPLACE INTO readings VALUES (?, ?, ?)",
                        [(key, _encoded(reading), now) for key, reading in fresh.items()],
                    )
                    connection.executemany("UPDATE readings SET used = ? WHERE key = ?", [(now, key) for key in used])
                    self._written += len(fresh)
                    if self._written >= min(_OVERFLOW, self._most_on_disk):
                        self._written = 0
                        connection.execute(
                            "DELETE FROM readings WHERE key IN (SELECT key FROM readings ORDER BY used DESC, rowid DESC"
                            " LIMIT -1 OFFSET ?)",
                            (self._most_on_disk,),
                        )
            except sqlite3.Error:
                self._close()

    def close(self) -> None:
        """Write and close. Blocking."""
        self.flush()
        with self._lock:
            self._close()

    def _open(self) -> Connection | None:
        if self._connection is None and self._path is not None:
            import sqlite3

            try:
                self._connection = _connect(self._path)
            except sqlite3.OperationalError:
                return None  # another window is writing, or the disk is full: later, perhaps
            except (sqlite3.DatabaseError, OSError):
                # no database, or one of another version; it holds nothing that cannot be had again
                try:
                    self._path.unlink(missing_ok=True)
                    self._connection = _connect(self._path)
                except (sqlite3.Error, OSError):
                    self._path = None
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def readings_folder(editor: Editor) -> Path | None:
    """Where to keep readings; None where there is no such place, and they are kept in memory alone."""
    try:
        return editor.cache_folder()
    except InklingError:
        return None


def _connect(path: Path) -> Connection:
    import sqlite3

    connection = sqlite3.connect(path, timeout=2.0, check_same_thread=False)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("another version")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS readings (key BLOB PRIMARY KEY, reading TEXT, used INTEGER)")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        path.chmod(0o600)
    except BaseException:
        connection.close()
        raise
    return connection


def _encoded(reading: Reading) -> str:
    """Labels as [label, score], spans as [label, score, start, end]."""
    return json.dumps(
        [
            [item.label, round(item.score, 6), *((item.start, item.end) if isinstance(item, Entity) else ())]
            for item in reading
        ],
        separators=(",", ":"),
    )


def _decoded(text: str) -> Reading:
    return tuple(
        Label(sys.intern(item[0]), item[1]) if len(item) == 2 else Entity(sys.intern(item[0]), *item[1:])
        for item in json.loads(text)
    )
