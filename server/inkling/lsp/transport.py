"""Bytes in and out. The event loop never waits for the other end: it reads and writes itself where that is certain to
return at once, since handing bytes from thread to thread takes longer than most answers; else a thread does.

A client that stops reading makes `pending` grow; the session then stops taking input, so memory stays flat.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

READ_SIZE = 1 << 16
READ_AHEAD = 16
"""Chunks read from stdin that the loop has not taken yet."""

CROWDED = 1 << 20
"""Bytes waiting for a client that does not read, above which no more of its input is taken."""


class Transport(Protocol):
    """One client's connection."""

    async def read(self) -> bytes:
        """Some bytes; empty at the end of the stream."""
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes; returns at once. Bytes for a client that has gone are dropped."""
        ...

    @property
    def pending(self) -> int:
        """Bytes queued and not yet taken by the operating system."""
        ...

    async def room(self) -> None:
        """Return when no more than `CROWDED` bytes are pending."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Write what is queued, for at most `timeout_s`."""
        ...


class StdioTransport:
    """The protocol's own pair of descriptors, see `inkling.lsp.stdio.claim_stdio`."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._reader = _reader(read_fd)
        self._write_fd = write_fd
        self._poll = _poll_of_pipe(write_fd)
        self._flushed = asyncio.Event()
        self._room = asyncio.Event()
        threading.Thread(target=self._write_all, args=(write_fd,), name="lsp-write", daemon=True).start()

    async def read(self) -> bytes:
        """Some bytes; empty at the end of the stream, and ever after."""
        return await self._reader.read()

    def write(self, data: bytes) -> None:
        """Hand bytes to the operating system if it takes them at once, else to the writer thread."""
        with self._lock:
            if self._pending == 0 and self._takes_at_once(len(data)):
                with contextlib.suppress(OSError):
                    os.write(self._write_fd, data)
                return
            self._pending += len(data)
        self._outgoing.put(data)

    def _takes_at_once(self, size: int) -> bool:
        """Whether a write cannot block: a pipe that polls as writable takes `PIPE_BUF` bytes whole."""
        return self._poll is not None and size <= select.PIPE_BUF and bool(self._poll.poll(0))

    @property
    def pending(self) -> int:
        """Bytes queued and not yet taken by the operating system."""
        return self._pending

    async def room(self) -> None:
        """Return when no more than `CROWDED` bytes are pending."""
        while self._pending > CROWDED:
            self._room.clear()
            await self._room.wait()

    async def close(self, timeout_s: float) -> None:
        """Write what is queued, for at most `timeout_s`."""
        self._outgoing.put(None)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._flushed.wait(), timeout_s)

    def _write_all(self, descriptor: int) -> None:
        while (data := self._outgoing.get()) is not None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(descriptor, view) :]
            except OSError:  # the client has gone; the end of its input ends the session
                pass
            with self._lock:
                was_crowded = self._pending > CROWDED
                self._pending -= len(data)
            if was_crowded:
                self._tell(self._room.set)
        self._tell(self._flushed.set)

    def _tell(self, function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function)


class _ThreadReader:
    """Reads in a thread, for systems and descriptors that cannot be asked whether there is something to read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._loop = loop
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._ahead = threading.Semaphore(READ_AHEAD)
        self._ended = False
        threading.Thread(target=self._read_all, args=(descriptor,), name="lsp-read", daemon=True).start()

    async def read(self) -> bytes:
        """Some bytes; empty at the end of the stream, and ever after."""
        if self._ended:
            return b""
        data = await self._incoming.get()
        self._ahead.release()
        self._ended = not data
        return data

    def _read_all(self, descriptor: int) -> None:
        data = b"-"
        while data:
            self._ahead.acquire()
            try:
                data = os.read(descriptor, READ_SIZE)
            except OSError:
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._incoming.put_nowait, data)


class _PolledReader:
    """Reads on the loop. Raises OSError or NotImplementedError where it cannot watch the descriptor: files, Windows.

    The descriptor stays blocking, since whoever gave it to us may share it: it is read when there is something to read.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._chunks: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._watching = self._ended = False
        self._watch()

    async def read(self) -> bytes:
        """Some bytes; empty at the end of the stream, and ever after."""
        while not self._chunks:
            if self._ended:
                return b""
            self._waiting = self._loop.create_future()
            await self._waiting
        data = self._chunks.popleft()
        if not self._watching and not self._ended:
            self._watch()
        return data

    def _watch(self) -> None:
        self._loop.add_reader(self._descriptor, self._ready)
        self._watching = True

    def _ready(self) -> None:
        try:
            data = os.read(self._descriptor, READ_SIZE)
        except OSError:
            data = b""
        if data:
            self._chunks.append(data)
        else:
            self._ended = True
        if self._ended or len(self._chunks) >= READ_AHEAD:
            self._loop.remove_reader(self._descriptor)
            self._watching = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _reader(descriptor: int) -> _PolledReader | _ThreadReader:
    loop = asyncio.get_running_loop()
    try:
        return _PolledReader(loop, descriptor)
    except (NotImplementedError, OSError):
        return _ThreadReader(loop, descriptor)


def _poll_of_pipe(descriptor: int) -> select.poll | None:
    """A poll for writability, where that says how much may be written: for POSIX pipes."""
    if not hasattr(select, "poll") or not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll


class StreamTransport:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=CROWDED)

    async def read(self) -> bytes:
        """Some bytes; empty at the end of the stream."""
        try:
            return await self._reader.read(READ_SIZE)
        except ConnectionError:
            return b""

    def write(self, data: bytes) -> None:
        """Queue bytes in asyncio's own buffer."""
        if not self._writer.is_closing():
            self._writer.write(data)

    @property
    def pending(self) -> int:
        """Bytes queued and not yet taken by the operating system."""
        return self._writer.transport.get_write_buffer_size()

    async def room(self) -> None:
        """Return when no more than `CROWDED` bytes are pending."""
        if self.pending > CROWDED:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()

    async def close(self, timeout_s: float) -> None:
        """Write what is queued, for at most `timeout_s`."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), timeout_s)
