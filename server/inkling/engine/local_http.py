"""HTTP/1.1 to the engine on this machine: h11 for the words, asyncio for the bytes.

A general HTTP client spends more time on a request than the whole way to the engine and back takes: redirects, cookies,
proxies and TLS are none of this talk between two of our processes. Remotes are asked through `httpx2`
(`inkling.engine.remote.transport`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import h11

from inkling.engine.runtime import Info

_CONNECT_S = 5.0
_IDLE = 16
"""Connections that are kept for the next request."""

_UNREAD = 1024 * 1024
"""Bytes of a reply that may wait for their reader before the engine is asked to wait."""


class Reply:
    """A reply whose body has not been read yet."""

    def __init__(self, status: int, wire: _Wire, silence_s: float | None) -> None:
        self.status = status
        self._wire = wire
        self._silence_s = silence_s

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes."""
        while isinstance(event := await self._wire.event(self._silence_s), h11.Data):
            yield bytes(event.data)

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])


class LocalHttp:
    """Connections to one engine, made when they are needed. Belongs to one event loop.

    Every method raises `ConnectionError`, or another `OSError`, when the engine is not there or goes away, and
    `TimeoutError` when it is silent for `silence_s`.
    """

    def __init__(self, info: Info, *, silence_s: float | None = None, headers: Mapping[str, str] | None = None) -> None:
        self._info = info
        self._silence_s = silence_s
        given = {"host": "inkling" if info.socket else f"127.0.0.1:{info.port}", **(headers or {})}
        if info.token:
            given["authorization"] = f"Bearer {info.token}"
        self._headers = [(name.encode(), value.encode()) for name, value in given.items()]
        self._idle: list[_Wire] = []
        self._used: set[_Wire] = set()
        self._closed = False

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of a reply."""
        async with self.stream(method, path, body) as reply:
            return reply.status, await reply.read()

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes = b"", *, silence_s: float | None = None
    ) -> AsyncIterator[Reply]:
        """A reply to be read piece by piece; leaving before its end closes the connection, which stops the work."""
        silence_s = silence_s or self._silence_s
        wire = await self._wire()
        self._used.add(wire)
        try:
            wire.send(method, path, self._headers, body)
            response = await wire.event(silence_s)
            assert isinstance(response, h11.Response)
            yield Reply(response.status_code, wire, silence_s)
        finally:
            self._used.discard(wire)
            if wire.reusable() and len(self._idle) < _IDLE and not self._closed:
                self._idle.append(wire)
            else:
                wire.close()

    async def _wire(self) -> _Wire:
        while self._idle:
            wire = self._idle.pop()
            if not wire.lost:
                return wire
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_S):
            if self._info.socket:
                wire = (await loop.create_unix_connection(_Wire, self._info.socket))[1]
            else:
                wire = (await loop.create_connection(_Wire, "127.0.0.1", self._info.port))[1]
        if self._closed:
            wire.close()
            raise ConnectionResetError("the connections to this engine were closed meanwhile")
        return wire

    def close(self) -> None:
        """Close all connections. Who waits for a reply gets a `ConnectionError`: an engine that hangs is waited for no
        longer than its lease is.
        """
        self._closed = True
        for wire in (*self._idle, *self._used):
            wire.close()
        self._idle.clear()


class _Wire(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self.lost = False
        self._http = h11.Connection(h11.CLIENT)
        self._transport: Any = None
        self._waiting: asyncio.Future[None] | None = None
        self._unread = 0

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._unread += len(data)
        if self._unread > _UNREAD:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self._http.receive_data(b"")
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # What a request needs

    def send(self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """A whole request."""
        extra = [(b"content-type", b"application/json")] if body else []
        request = h11.Request(
            method=method, target=path, headers=[*headers, *extra, (b"content-length", b"%d" % len(body))]
        )
        data = self._http.send(request) or b""
        if body:
            data += self._http.send(h11.Data(body)) or b""
        self._http.send(h11.EndOfMessage())
        self._transport.write(data)

    async def event(self, silence_s: float | None) -> h11.Response | h11.Data | h11.EndOfMessage:
        """What comes next of the reply."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                await self._more(silence_s)
        except h11.RemoteProtocolError as error:
            raise ConnectionResetError(str(error)) from None
        if isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
            return event
        raise ConnectionResetError("the engine closed the connection")  # it sends no 1xx, and switches no protocol

    async def _more(self, silence_s: float | None) -> None:
        if self._unread:
            self._unread = 0
            self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(silence_s, self._late) if silence_s is not None else None
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()

    def _late(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(TimeoutError())

    def reusable(self) -> bool:
        """Whether the reply has come to its end, read or not, so that another request may follow."""
        with suppress(h11.RemoteProtocolError):
            while isinstance(self._http.next_event(), h11.Data):
                pass
        if self.lost or self._http.their_state is not h11.DONE or self._http.our_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def close(self) -> None:
        """Close it now; who waits for its reply is told."""
        if not self.lost:
            self.lost = True
            self._http.receive_data(b"")
        if self._transport is not None:
            self._transport.abort()
        self._wake()


async def events_of(reply: Reply) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event. The engine writes each in one line."""
    rest = b""
    async with aclosing(reply.pieces()) as pieces:
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    yield line[6:]
