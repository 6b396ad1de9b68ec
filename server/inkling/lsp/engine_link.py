"""The session's end of the engine: connected on first need, watched, its state told to the user."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from inkling.api import InklingError
from inkling.engine.protocol import EngineConnection, EngineEvent, ModelState
from inkling.lsp.log import log
from inkling.lsp.progress import Bar, Progresses

if TYPE_CHECKING:
    from inkling.engine.settings import EngineSettings

Connect = Callable[["EngineSettings"], EngineConnection]


def connect(settings: EngineSettings) -> EngineConnection:
    """The real engine's client, imported now."""
    from inkling.engine import client

    connection: EngineConnection = client.connect(settings)
    return connection


def log_tail(lines: int = 200) -> str:
    """The end of the newest engine log; it holds no document text."""
    from inkling.engine import runtime

    try:
        newest = max(runtime.log_folder().glob("engine-*.log"), key=lambda path: path.stat().st_mtime)
        return "\n".join(newest.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except (OSError, ValueError):
        return "There is no engine log."


class EngineLink:
    """Makes the connection, follows its events. `state` is `off`, `starting`, `ready`, `crashed` or `failed`."""

    def __init__(
        self,
        settings: Callable[[], EngineSettings],
        progresses: Progresses,
        on_event: Callable[[EngineEvent], None],
        connect: Connect = connect,
    ) -> None:
        self._settings = settings
        self._progresses = progresses
        self._on_event = on_event
        self._connect = connect
        self._connection: EngineConnection | None = None
        self._made_with: EngineSettings | None = None
        self._watch: asyncio.Task[None] | None = None
        self._bars: dict[str, Bar | None] = {}
        self.state = "off"
        self.error = ""

    def connection(self) -> EngineConnection:
        """The connection; making it starts no engine, calling it does. Raises InklingError."""
        if self._connection is None:
            self._made_with = self._settings()
            self._connection = self._connect(self._made_with)
            self._watch = asyncio.create_task(self._follow(self._connection))
        return self._connection

    async def start(self) -> None:
        """Start or join the engine now; what goes wrong is in `state` and `error`."""
        self.state = "starting" if self.state != "ready" else "ready"
        await self._bring_up(lambda connection: connection.start())

    async def restart(self) -> None:
        """Replace the engine by a fresh one; what goes wrong is in `state` and `error`."""
        self.state, self.error = "starting", ""
        await self._bring_up(lambda connection: connection.restart())

    async def _bring_up(self, call: Callable[[EngineConnection], Awaitable[None]]) -> None:
        """Make a call that ends with a running engine; a failure is told as an event, so that the user sees it."""
        try:
            await call(self.connection())
        except InklingError as error:
            self.state, self.error = "failed", str(error)
            log.event("warning", "engine", reason=error.reason)
            self._on_event(EngineEvent("failed", message=str(error)))
        except Exception as error:
            self.state, self.error = "failed", "The engine's client failed; the server's log says where."
            log.event("error", "bug", reason="engine-start", error=error)
            self._on_event(EngineEvent("failed", message=self.error))
        else:
            self.state, self.error = "ready", ""

    async def follow_settings(self) -> None:
        """Drop a connection made with other settings than the present ones; the next use makes a new one."""
        if self._connection is not None and self._made_with != self._settings():
            self.state = "off"
            await self.close()

    async def status(self, timeout_s: float = 2.0) -> dict[str, Any]:
        """State, counters and models for `inkling/status`."""
        found: dict[str, Any] = {"state": self.state, "error": self.error, "models": [], "remotes": []}
        if self._connection is not None:
            with contextlib.suppress(InklingError, TimeoutError, OSError):
                status = await asyncio.wait_for(self._connection.status(), timeout_s)
                found |= asdict(status)
                found["state"] = "ready"
            if (remotes := getattr(self._connection, "remotes", None)) is not None:
                found["remotes"] = remotes()
        return found

    async def close(self) -> None:
        """Give the lease back."""
        connection, self._connection = self._connection, None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for bar in self._bars.values():
            if bar is not None:
                self._progresses.finish(bar)
        self._bars.clear()
        if connection is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(connection.close(), 2.0)

    async def _follow(self, connection: EngineConnection) -> None:
        try:
            async with contextlib.aclosing(connection.events()) as events:
                async for event in events:
                    await self._handle(event)
        except Exception as error:
            log.event("error", "bug", reason="engine-events", error=error)

    async def _handle(self, event: EngineEvent) -> None:
        states = {"started": "ready", "stopped": "off", "crashed": "crashed", "gave-up": "failed"}
        if event.kind in states:
            self.state = states[event.kind]
            self.error = event.message if self.state in ("crashed", "failed") else ""
            log.event("info", "engine", reason=event.kind)
            if self.state != "ready":
                self._end_bars()
        elif event.model is not None:
            await self._show_loading(event.model)
        self._on_event(event)

    async def _show_loading(self, model: ModelState) -> None:
        if model.state == "loading":
            if model.id not in self._bars:
                self._bars[model.id] = None
                self._bars[model.id] = await self._progresses.start("Inkling: loading a model")
            bar = self._bars[model.id]
            if bar is not None:
                bar.report(model.id, model.progress or None)
        elif (bar := self._bars.pop(model.id, None)) is not None:
            self._progresses.finish(bar)

    def _end_bars(self) -> None:
        for bar in self._bars.values():
            if bar is not None:
                self._progresses.finish(bar)
        self._bars.clear()
