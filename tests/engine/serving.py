"""An engine's app in this process: through ASGI without a socket, or through uvicorn on a Unix socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from inkling.engine.app import create_app
from inkling.engine.events import EventHub
from inkling.engine.fake_backend import FakeBackend
from inkling.engine.scheduler import Scheduler
from inkling.engine.settings import EngineSettings


@dataclass
class Serving:
    """A running app, its parts, and a client of it."""

    app: Any
    backend: FakeBackend
    scheduler: Scheduler
    hub: EventHub
    http: httpx2.AsyncClient


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncGenerator[None, None]:
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await running


@asynccontextmanager
async def serving(
    settings: EngineSettings | None = None, *, socket_folder: Path | None = None, **options: Any
) -> AsyncGenerator[Serving, None]:
    """With `socket_folder` over a real socket, which disconnects and streams need; else by calling the app."""
    backend, hub = FakeBackend(), EventHub()
    schedulers: list[Scheduler] = []
    app = create_app(lambda: backend, settings, hub=hub, on_scheduler=schedulers.append, **options)
    if socket_folder is None:
        async with _lifespan(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://inkling") as http:
                yield Serving(app, backend, schedulers[0], hub, http)
        return
    import uvicorn

    listener = socket.socket(socket.AF_UNIX)
    path = socket_folder / "s"
    listener.bind(str(path))
    listener.listen()

    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            return nullcontext()

    server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    async with httpx2.AsyncClient(transport=transport, base_url="http://inkling", timeout=30) as http:
        await http.get("/health")
        yield Serving(app, backend, schedulers[0], hub, http)
    hub.close()
    server.should_exit = True
    await running


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until `condition()` holds; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
