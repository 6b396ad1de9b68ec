"""The log: who, what, how long, why; never text.

It is redacted by construction: an event has fixed fields, and none of them takes free text. Documents are named by a
short hash and their extension, exceptions by their type and place, methods only when they are known ones.

It is written by a thread of its own: whoever reads stderr too slowly, or not at all, loses lines and stops nobody.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import logging
import os
import queue
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TextIO

LEVELS = ("error", "warning", "info", "debug")
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
WAITING = 1000
"""Lines that wait for their reader; later ones are dropped and counted."""
GATHER_S = 0.005
"""How long the writer lets lines gather."""
FLUSH_S = 0.5
"""How long the end may wait for the last lines."""
_SLUG = re.compile(r"[a-z][a-z0-9-]{0,40}")


class Log:
    """Writes one line an event: time, level, event, then `name=value` pairs."""

    def __init__(self, stream: TextIO | None = None, level: str = "warning") -> None:
        self._stream = stream
        self.level = level
        self._pinned = False
        self._lines: queue.Queue[tuple[TextIO, str] | threading.Event] = queue.Queue(WAITING)
        self._dropped = 0
        self._writer: threading.Thread | None = None

    def pin(self, level: str) -> None:
        """Take the level from the command line, whatever the settings say."""
        self.level, self._pinned = level, True

    def follow(self, level: str) -> None:
        """Take the level from the settings."""
        if not self._pinned:
            self.level = level

    def open(self, path: Path) -> None:
        """Append to a file instead of stderr."""
        self._stream = path.open("a", encoding="utf-8", buffering=1)

    def event(
        self,
        level: str,
        name: str,
        *,
        id: int | str | None = None,
        method: str = "",
        plugin: str = "",
        uri: str = "",
        version: int | None = None,
        ms: float | None = None,
        count: int | None = None,
        code: int | None = None,
        reason: str = "",
        place: str = "",
        error: BaseException | None = None,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        """Write an event, and give its line to `trace`. `name` and `place` are ours; a `reason` is written if it is a
        slug. What nobody wants to read costs next to nothing."""
        written = _RANKS[level] <= _RANKS[self.level]
        if not written and trace is None:
            return
        fields = (
            ("id", id if id is None or isinstance(id, int) else tag(id)),
            ("method", method),
            ("plugin", plugin),
            ("doc", document(uri) if uri else ""),
            ("version", version),
            ("ms", None if ms is None else round(ms, 2)),
            ("count", count),
            ("code", code),
            ("reason", reason if not reason or _SLUG.fullmatch(reason) else "other"),
            ("place", place),
            ("error", " < ".join(places(error)) if error is not None else ""),
        )
        words = [f"{key}={value}" for key, value in fields if value is not None and value != ""]
        line = " ".join((name, *words))
        if written:
            self._put(f"{_clock()} {level} {line}\n")
        if trace is not None:
            trace(line)

    def flush(self, timeout_s: float = FLUSH_S) -> None:
        """Wait, not for long, until what was logged has been written."""
        written = threading.Event()
        ends = time.monotonic() + timeout_s
        with contextlib.suppress(queue.Full):
            if self._writer is not None:
                self._lines.put(written, timeout=timeout_s)
                written.wait(max(0.0, ends - time.monotonic()))

    def _put(self, line: str) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
            self._writer.start()
            atexit.register(self.flush)
        try:
            self._lines.put_nowait((self._stream or sys.__stderr__ or sys.stderr, line))
        except queue.Full:
            self._dropped += 1

    def _write_all(self) -> None:
        """What comes while a line is written is written together: waking a thread for each would hold up the loop."""
        while True:
            items = [self._lines.get()]
            with contextlib.suppress(queue.Empty):
                while len(items) < WAITING:
                    items.append(self._lines.get_nowait())
            lines: dict[TextIO, list[str]] = {}
            for item in items:
                if not isinstance(item, threading.Event):
                    stream, line = item
                    lines.setdefault(stream, []).append(line)
            for stream, found in lines.items():
                dropped, self._dropped = self._dropped, 0
                if dropped:
                    found.append(f"{_clock()} warning log-dropped count={dropped}\n")
                with contextlib.suppress(OSError, ValueError):  # disk full, or nobody reads any more
                    _write(stream, "".join(found))
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
            time.sleep(GATHER_S)


log = Log()


def _clock() -> str:
    now = time.time()
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"


def _write(stream: TextIO, line: str) -> None:
    """Write to the file behind the stream: a thread that waits inside the stream itself would hold its lock, and the
    interpreter, which flushes stderr at its end, could not end."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # no file at all
        stream.write(line)
        return
    data = memoryview(line.encode("utf-8", "backslashreplace"))
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # the client made the pipe's other end, and with it ours, non-blocking
            time.sleep(0.05)


def tag(text: str) -> str:
    """A short name for something that may not be written down."""
    return hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def document(uri: str) -> str:
    """A document's name in the log."""
    suffix = PurePosixPath(uri).suffix
    return tag(uri) + (suffix if suffix.isascii() and suffix[1:].isalnum() and len(suffix) < 9 else "")


def places(error: BaseException) -> Iterator[str]:
    """An exception's type and the places it came through, innermost first, without its message."""
    yield type(error).__name__
    for frame in reversed(traceback.extract_tb(error.__traceback__)[-6:]):
        yield f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}"


class _Redacted(logging.Handler):
    """Other libraries' log records, without their messages: those may quote what they work on."""

    def __init__(self, write: Callable[[str, str, BaseException | None], object]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        self._write(level, f"{record.name}:{record.lineno}", error)


def redact_libraries() -> None:
    """Let Python's own logging say that something happened and where, and no more."""
    root = logging.getLogger()
    root.handlers[:] = [_Redacted(lambda level, where, error: log.event(level, "library", place=where, error=error))]
    root.setLevel(logging.WARNING)
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)  # it logs whole payloads
