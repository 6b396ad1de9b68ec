"""One language server per WebSocket: its messages without their headers to the page, the page's with headers to it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from starlette.websockets import WebSocket, WebSocketDisconnect

MOST = 16 * 1024 * 1024
"""The largest message either way, in bytes."""

_LEAVE_S = 3.0


async def bridge(socket: WebSocket, folder: Path) -> None:
    """Serve one page until it or the server has gone; the server never outlives it. It works in `folder`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "inkling", "lsp"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
        env=dict(os.environ),
        limit=MOST,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ways = {
        asyncio.create_task(_to_server(socket, process.stdin)),
        asyncio.create_task(_to_page(process.stdout, socket)),
    }
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        process.stdin.close()  # its editor has gone: it ends by itself
        try:
            await asyncio.wait_for(process.wait(), _LEAVE_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close()


async def _to_server(socket: WebSocket, stdin: asyncio.StreamWriter) -> None:
    with suppress(WebSocketDisconnect, ConnectionError):
        while True:
            body = (await socket.receive_text()).encode("utf-8", "replace")
            stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            await stdin.drain()


async def _to_page(stdout: asyncio.StreamReader, socket: WebSocket) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError, WebSocketDisconnect, RuntimeError):
        while True:
            head = await stdout.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            await socket.send_text((await stdout.readexactly(length)).decode("utf-8"))
