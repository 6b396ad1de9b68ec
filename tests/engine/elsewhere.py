"""A scripted HTTP server on loopback that plays a remote engine, well-behaved or hostile, byte by byte."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from inkling.engine.remote.settings import RemoteSettings

SECRET = "s3cret-token-of-the-user"


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Elsewhere:
    """`replies` maps a path to its replies, one per request, the last one again and again."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    def on(self, path: str, *replies: Reply) -> None:
        """Answer so from now on."""
        self.replies[path] = list(replies)

    def to(self, path: str) -> list[Asked]:
        """The requests to a path."""
        return [asked for asked in self.asked if asked.path == path]

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self.writers)

    def hang_up_on_all(self) -> None:
        """Close every connection."""
        for writer in self.writers:
            writer.close()

    def settings(self, **changes: Any) -> RemoteSettings:
        """Settings that lead here."""
        given: dict[str, Any] = {"url": f"{self.scheme}://127.0.0.1:{self.port}", "timeout_seconds": 5.0}
        return RemoteSettings(**given | changes)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writers.append(writer)
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                data = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append(Asked(method, path, headers, json.loads(data) if data else None))
                left = self.replies.get(path, [reply(404, {})])
                await (left.pop(0) if len(left) > 1 else left[0])(writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.hung_up.set()
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), 1.0)


@asynccontextmanager
async def elsewhere(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Elsewhere, None]:
    """A server that answers 404 until it is told otherwise."""
    there = Elsewhere(scheme="https" if tls else "http")
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await there.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    there.port = server.sockets[0].getsockname()[1]
    try:
        yield there
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reply(status: int, body: Any, kind: str = "application/json", **headers: str) -> Reply:
    """A whole reply; a body that is no text is JSON."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Said", f"content-type: {kind}", f"content-length: {len(data)}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)

    return send


def events(*payloads: Any, done: bool = True, cut: bool = False, pause_s: float = 0.0) -> Reply:
    """A stream of server-sent events; with `cut` the connection closes in the middle of it."""
    pieces = [f"data: {json.dumps(payload)}\n\n".encode() for payload in payloads]
    pieces += [b"data: [DONE]\n\n"] if done and not cut else []

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(pause_s)
        if cut:
            writer.close()
        else:
            writer.write(b"0\r\n\r\n")

    return send


def words(*texts: str, finish: str | None = "stop") -> list[dict[str, Any]]:
    """The payloads of a completion in OpenAI's format."""
    found: list[dict[str, Any]] = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in texts]
    return [*found, {"choices": [{"index": 0, "text": "", "finish_reason": finish}]}] if finish else found


async def hang(writer: asyncio.StreamWriter) -> None:
    """No answer at all."""
    await asyncio.sleep(3600)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """A connection that breaks before the answer."""
    writer.close()


def models(*names: str, **facts: Any) -> Reply:
    """`/v1/models`."""
    return reply(200, {"object": "list", "data": [{"id": name, "object": "model", **facts} for name in names]})
