"""One remote as the router holds it: its engine made on first need, and what is known of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inkling.engine.remote.settings import RemoteSettings
from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.remote.base import RemoteEngine
    from inkling.engine.remote.inkling import InklingEngine
    from inkling.engine.remote.transport import Transport


@dataclass(frozen=True, slots=True)
class Checked:
    """What asking a remote gave. `milliseconds` is one small request's time; `error` is None when it answers."""

    kind: str = ""
    models: tuple[str, ...] = ()
    milliseconds: float = 0.0
    error: InklingError | None = None


class Remote:
    """Belongs to one event loop. `changed` is called when it stops answering and when it answers again."""

    def __init__(
        self, name: str, settings: RemoteSettings, changed: Callable[[str], None] = lambda message: None
    ) -> None:
        self.name = name
        self.settings = settings
        self._changed = changed
        self._transport: Transport | None = None
        self._engine: RemoteEngine | InklingEngine | None = None
        self._making = asyncio.Lock()
        self._last_error: InklingError | None = None
        self._models: tuple[str, ...] = ()

    @property
    def transport(self) -> Transport:
        """The HTTP side; nothing is opened by asking for it."""
        if self._transport is None:
            from inkling.engine.remote.inkling import client_headers
            from inkling.engine.remote.transport import Transport

            self._transport = Transport(self.name, self.settings, headers=client_headers())
        return self._transport

    async def engine(self) -> RemoteEngine | InklingEngine:
        """Its engine, the kind asked for once. Raises `InklingError`."""
        if self._engine is not None:
            return self._engine
        async with self._making:
            if self._engine is None:
                from inkling.engine.remote.detect import ENGINES, detect

                kind = self.settings.kind if self.settings.kind != "auto" else await detect(self.transport)
                self._engine = ENGINES[kind](self.transport)
            return self._engine

    def note(self, error: InklingError | None) -> None:
        """Remember how a call went; a change for better or worse is told."""
        before, self._last_error = self._last_error, error
        if error is not None and before is None:
            self._changed(str(error))
        elif error is None and before is not None:
            self._changed("")

    async def check(self) -> Checked:
        """Ask it what it has; never raises."""
        began = time.perf_counter()
        try:
            engine = await self.engine()
            began = time.perf_counter()
            self._models = tuple(await engine.listed())
        except InklingError as error:
            self.note(error)
            return Checked(self.kind, error=error)
        except Exception as error:  # a reply of a shape that nobody thought of
            told = InklingError("bad-output", f"{self.name} answered in an unknown way ({type(error).__name__}).")
            self.note(told)
            return Checked(self.kind, error=told)
        self.note(None)
        return Checked(self.kind, self._models, 1000 * (time.perf_counter() - began))

    @property
    def error(self) -> InklingError | None:
        """Why it cannot be used, as of the last call; None when it can."""
        return self._last_error

    @property
    def kind(self) -> str:
        """Its format, as far as it is known."""
        return self._engine.kind if self._engine is not None else self.settings.kind

    def state(self) -> dict[str, Any]:
        """For the status: name, address, kind, models, and what is wrong."""
        try:
            url = self.transport.address.shown
        except InklingError:
            url = ""
        state = "error" if self._last_error else "ready" if self._engine is not None else "not asked yet"
        return {
            "name": self.name,
            "url": url,
            "kind": self.kind,
            "state": state,
            "error": str(self._last_error or ""),
            "models": list(self._models[:20]),
        }

    async def close(self) -> None:
        """Close the connections; the next call opens new ones, reads the token and asks for the kind again."""
        transport, self._transport, self._engine = self._transport, None, None
        if transport is not None:
            await transport.close()
