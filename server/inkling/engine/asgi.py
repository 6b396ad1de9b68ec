"""What every route shares: JSON in and out, server-sent events, watching for the client to go, a guard around all.

Starlette's own streaming reply is not used: it sends its status before the first piece is known, so that a model that
does not load could not answer with a status of its own, and it has no word for an error inside a started stream.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkling.engine.jobs import Busy
from inkling.engine.wire import OFF_LOOP, dumps, error_body, error_status, loads, sse
from inkling.engine.worker import as_inkling_error
from inkling.errors import InklingError

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024 * 1024
"""The largest request, in bytes."""

_PASSING = frozenset({"engine-crashed", "engine-starting", "engine-stopping"})
"""Reasons after which another engine or replica is there in a moment."""

KEEP_ALIVE_S = 5.0
"""A quiet stream sends a comment this often, so that both ends notice a dead peer."""


async def read_json(request: Request) -> dict[str, Any]:
    """The body as an object. Raises `InklingError` for anything else."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise InklingError(
                "too-large", f"The request is larger than {MAX_BODY // 2**20} MiB.", "Send less text at a time."
            )
        more = message.get("more_body", False)
    data = b"".join(parts)
    body = await asyncio.to_thread(loads, data) if size > OFF_LOOP else loads(data)
    if not isinstance(body, dict):
        raise InklingError("bad-request", "The request's body is not a JSON object.")
    return body


class Json(Response):
    """A JSON reply."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """ASCII JSON."""
        return dumps(content)


def error_reply(error: InklingError) -> Json:
    """`{"error": {"reason", "message", "hint", "type"}}` with a fitting status."""
    headers = {"X-Error-Message": _header(error.message)}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.reason in _PASSING:
        headers["Retry-After"] = "1"
    return Json(error_body(error), error_status(error), headers)


def _header(text: str) -> str:
    return text.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")


class Watched:
    """A reply computed by `work`, which is cancelled as soon as the client has gone."""

    def __init__(self, work: Callable[[], Awaitable[Response]]) -> None:
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        response = await while_connected(self._work(), receive)
        if response is not None:
            await response(scope, receive, send)


async def while_connected(work: Awaitable[Any], receive: Receive) -> Any:
    """The result of `work`; None when the client went away first, `work` being cancelled by then."""
    request = asyncio.current_task()
    assert request is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        request.cancel()

    watching = asyncio.create_task(watch())
    result = None
    try:
        result = await work
    except (Exception, asyncio.CancelledError):
        if not gone:
            raise
        # nobody is there to be told
    finally:
        watching.cancel()
    if gone and request.uncancel():
        raise asyncio.CancelledError  # somebody else asked for it too
    return None if gone else result


class Last(bytes):
    """A stream's last piece. Its end goes with it, so that the client may use the connection again at once."""


class EventStream:
    """A stream of server-sent events from `pieces`, which is closed as soon as the client has gone.

    The status is sent with the first piece; an error before it is a plain error reply, one after it is an event.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces
        self._last = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        async with aclosing(self._pieces):
            await while_connected(self._serve(scope, receive, send), receive)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await anext(self._pieces, b"")
        except InklingError as error:
            await error_reply(error)(scope, receive, send)
            return
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _body(send, first)
        if isinstance(first, Last):
            return
        quiet = asyncio.create_task(self._keep_alive(send))
        try:
            async for piece in self._pieces:
                self._last = asyncio.get_running_loop().time()
                await _body(send, piece)
                if isinstance(piece, Last):
                    return
        except Exception as error:
            await _body(send, sse(error_body(as_inkling_error(error, "a stream"))))
        finally:
            quiet.cancel()
        await _body(send, Last())

    async def _keep_alive(self, send: Send) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            if asyncio.get_running_loop().time() - self._last >= KEEP_ALIVE_S:
                await _body(send, b": keep-alive\n\n")


async def _body(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": not isinstance(piece, Last)})


class Guard:
    """Around the whole app: nothing escapes it, and over TCP nobody enters without the token.

    On a Unix socket the folder's mode keeps others out. On loopback any local page or user could connect, so there a
    token is needed, `Host` must be one of `hosts` (a rebound DNS name is not; with None any name will do), and a
    request with an `Origin`, which only browsers send, is refused. `open_paths` are for probes that carry no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        tokens: Sequence[str] = (),
        hosts: frozenset[str] | None = frozenset(),
        open_paths: frozenset[str] = frozenset(),
        where: str = "the engine's info file",
    ) -> None:
        self._app = app
        self._tokens = [token.encode() for token in tokens]
        self._hosts = hosts
        self._open = open_paths
        self._where = where

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            if self._tokens and scope["path"] not in self._open:
                self._admit(Request(scope).headers)
            await self._app(scope, receive, note)
        except ClientDisconnect:
            return
        except Exception as raised:
            # A reply that has started is left incomplete: the client must see that it was cut short.
            error = as_inkling_error(raised, scope["path"])
            if not started:
                await error_reply(error)(scope, receive, send)

    def _admit(self, headers: Mapping[str, str]) -> None:
        if "origin" in headers:
            raise InklingError("forbidden", "The engine does not serve web pages.")
        if self._hosts is not None and headers.get("host", "") not in self._hosts:
            raise InklingError("forbidden", "The engine is not known under this host name.")
        given = headers.get("authorization", "").removeprefix("Bearer ").encode()
        # Every token is compared, each in constant time: how long it takes says nothing.
        if not sum(hmac.compare_digest(given, token) for token in self._tokens):
            raise InklingError("unauthorized", "The token is wrong.", f"It is in {self._where}.")


async def on_error(request: Request, raised: Exception) -> Response:
    """The app's exception handler."""
    if isinstance(raised, HTTPException):
        reason = {404: "not-found", 405: "method-not-allowed"}.get(raised.status_code, "bad-request")
        raised = InklingError(reason, f"{request.method} {request.url.path}: {raised.detail}.")
    return error_reply(as_inkling_error(raised, f"{request.method} {request.url.path}"))
