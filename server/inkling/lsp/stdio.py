"""Descriptors 0, 1 and 2: the protocol has the first two for itself, and nobody who prints can stop the server.

What plugins and libraries print goes to stderr. A client that does not read its server's stderr would let that pipe
fill up, and then the next `print` would wait for ever, with the event loop. So printed text goes through a pipe of our
own, which a thread empties whether or not stderr takes any more; what it does not take is dropped.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import sys
import threading

_KEPT = 64
"""Chunks that wait for stderr; later ones are dropped."""
_CHUNK = 1 << 12
_FLUSH_S = 0.3
"""How long the end may wait for the last of it."""


def claim_stdio() -> tuple[int, int]:
    """Take stdin and stdout for the protocol: (read descriptor, write descriptor).

    Afterwards descriptor 0 reads nothing, and descriptor 1, with Python's `sys.stderr`, leads to stderr without ever
    holding anyone up: neither `print` in a plugin, nor C code, nor a child process can break into the protocol.
    Descriptor 2 itself stays as it was, for the log, whose thread may wait, and for the interpreter's last words.
    """
    sys.stdout.flush()
    read_fd, write_fd = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    drain, spill = os.pipe()
    os.dup2(spill, 1)
    os.close(spill)
    _Spill(drain).start()
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (read_fd, write_fd):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return read_fd, write_fd


class _Spill:
    """Carries what is printed to stderr."""

    def __init__(self, drain: int) -> None:
        self._drain = drain
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_KEPT)
        self._writer = threading.Thread(target=self._write_all, name="spill-write", daemon=True)

    def start(self) -> None:
        """From now on."""
        threading.Thread(target=self._read_all, name="spill-read", daemon=True).start()
        self._writer.start()
        sys.stderr = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        atexit.register(self.stop)

    def stop(self) -> None:
        """Give the descriptors back, and wait, not for long, until stderr has what was printed before."""
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        ours, sys.stderr = sys.stderr, sys.__stderr__
        with contextlib.suppress(OSError, ValueError):
            os.dup2(2, 1)
            ours.close()  # the pipe's last end, unless a child has one
        self._writer.join(_FLUSH_S)

    def _read_all(self) -> None:
        while data := os.read(self._drain, _CHUNK):
            with contextlib.suppress(queue.Full):
                self._chunks.put_nowait(data)
        with contextlib.suppress(queue.Full):
            self._chunks.put(None, timeout=_FLUSH_S)

    def _write_all(self) -> None:
        while (data := self._chunks.get()) is not None:
            with contextlib.suppress(OSError):  # nobody is there
                view = memoryview(data)
                while view:
                    view = view[os.write(2, view) :]
