"""A window's hold on the engine: start it on first need, keep its lease, notice its end at once, replace it.

Nothing is started before the first call that needs the engine.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from inkling.engine import daemon
from inkling.engine.crashes import CrashLimit
from inkling.engine.protocol import EngineEvent
from inkling.engine.runtime import Info, Place, place
from inkling.engine.settings import EngineSettings
from inkling.engine.wire import CLIENT_HEADER, dumps, engine_event, error_from, parse
from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.local_http import LocalHttp, Reply

_LEAVE_S = 5.0
_LEASE_SILENCE_S = 20.0
"""The lease carries a comment every 5 s; a silence this long means that the engine hangs or the machine slept."""

_STATUS_S = 10.0
_PRIVATE_IDLE_S = 2.0
_JOIN_ATTEMPTS = 4


class _Held:
    """An engine that answered, the HTTP connections to it, and the task that holds its lease."""

    def __init__(self, info: Info, http: LocalHttp) -> None:
        self.info = info
        self.http = http
        self.lease: asyncio.Task[None] | None = None


class EngineLink:
    """Belongs to one event loop. `post` and `stream` start the engine when none runs."""

    def __init__(self, settings: EngineSettings) -> None:
        self._id = uuid.uuid4().hex
        self._private_to = f"{os.getpid()}-{self._id}" if settings.private else ""
        if settings.private:
            settings = replace(settings, idle_seconds=min(settings.idle_seconds, _PRIVATE_IDLE_S))
        self._settings = settings
        self._held: _Held | None = None
        self._joining: asyncio.Task[_Held] | None = None
        self._listeners: set[asyncio.Queue[EngineEvent | None]] = set()
        self._crashes = CrashLimit(settings.crash_limit, settings.crash_window_seconds)
        self._pause_s = 0.0
        self._closed = False

    async def _place(self) -> Place:
        # It looks at every file of the engine's code and at folders: not on the event loop.
        return await asyncio.to_thread(place, self._settings, private_to=self._private_to)

    # Joining

    async def join(self) -> _Held:
        """Join the engine, started if need be; all who ask meanwhile wait for the same attempt."""
        if self._closed:
            raise _closed()
        if self._held is not None:
            return self._held
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._start_and_hold())
            self._joining.add_done_callback(_retrieve)
        joining = self._joining
        try:
            return await asyncio.shield(joining)
        except asyncio.CancelledError:
            asking = asyncio.current_task()
            if joining.cancelled() and asking is not None and not asking.cancelling():
                raise _closed() from None  # `close` ended the attempt, nobody cancelled the caller
            raise

    async def _start_and_hold(self) -> _Held:
        if self._crashes.gave_up:
            raise InklingError(
                "engine-gave-up",
                f"The engine crashed {self._settings.crash_limit} times and stays down.",
                "Restart it from the editor, or see `inkling engine logs`.",
            )
        await asyncio.sleep(self._pause_s)
        try:
            where = await self._place()
            info = daemon.said(where)
            for attempt in range(_JOIN_ATTEMPTS):
                if info is not None and (held := await self._hold(info)) is not None:
                    self._pause_s = 0.0
                    return held
                await asyncio.sleep(0.05 * max(0, attempt - 1))  # it was just leaving: start another
                info = await daemon.find_or_start(where, self._settings)
        except InklingError:
            # Not at every keystroke again: the next attempt waits a little longer.
            self._pause_s = min(10.0, max(0.25, 2 * self._pause_s))
            raise
        raise InklingError("engine-crashed", "The engine ends as soon as it starts.", "Run `inkling doctor`.")

    async def _hold(self, info: Info) -> _Held | None:
        """Take a lease; None when the engine went away before it gave one."""
        local_http = await daemon.import_http()
        http = local_http.LocalHttp(info, silence_s=self._settings.request_seconds, headers={CLIENT_HEADER: self._id})
        held = _Held(info, http)
        leased: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        held.lease = asyncio.create_task(self._keep_lease(held, leased))
        try:
            await asyncio.wait({leased, held.lease}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # closed while joining: nobody else knows of the lease yet
            held.lease.cancel()
            await asyncio.gather(held.lease, return_exceptions=True)
            held.http.close()
            raise
        if not leased.done():
            held.http.close()
            return None
        return held

    async def _keep_lease(self, held: _Held, leased: asyncio.Future[None]) -> None:
        orderly = silent = False
        try:
            async with held.http.stream("GET", "/inkling/events", silence_s=_LEASE_SILENCE_S) as reply:
                if reply.status == HTTPStatus.OK:
                    async with aclosing(_payloads(reply)) as events:
                        async for data in events:
                            event = engine_event(data)
                            orderly = event.kind == "stopped"
                            if not leased.done():
                                self._held = held
                                leased.set_result(None)
                            self._tell(event)
        except TimeoutError:
            silent = True
        except OSError:
            pass
        if leased.done():
            await self._lost(held, orderly=orderly, silent=silent)

    async def _lost(self, held: _Held, *, orderly: bool, silent: bool) -> None:
        """The lease ended: the engine stopped, crashed, or hangs."""
        if self._held is held:
            self._held = None
        if not self._closed and not orderly:
            if not silent:
                self._pause_s = self._crashes.crashed()
                self._tell(EngineEvent("crashed", message=f"the engine (process {held.info.pid}) crashed"))
            if self._crashes.gave_up:
                times = self._settings.crash_limit
                self._tell(EngineEvent("gave-up", message=f"crashed {times} times: restart it by hand"))
            else:
                asyncio.ensure_future(self.join()).add_done_callback(_retrieve)
        held.http.close()

    # Asking

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A unary call, retried once when the engine goes away under it; raises the error that the reply holds."""
        content = dumps(body)
        for attempt in (0, 1):
            held = await self.join()
            try:
                async with asyncio.timeout(self._settings.request_seconds):
                    status, data = await held.http.ask("POST", path, content)
            except TimeoutError:
                raise _late() from None
            except OSError:
                await self._until_lost(held)
                if attempt:
                    raise _crashed() from None
                continue
            return await _checked(data, status)
        raise AssertionError("unreachable")

    async def stream(
        self, path: str, body: Mapping[str, Any], *, silence_s: float | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The payloads of a stream, up to its end. Retried once before the first piece, never after it.

        A stream that breaks off raises `engine-crashed`; close the generator to stop the engine's work.
        """
        content = dumps(body)
        started = False
        for attempt in (0, 1):
            held = await self.join()
            try:
                async with held.http.stream("POST", path, content, silence_s=silence_s) as reply:
                    if reply.status >= HTTPStatus.BAD_REQUEST:
                        await _checked(await reply.read(), reply.status)
                    async with aclosing(_payloads(reply)) as events:
                        async for data in events:
                            if "error" in data:
                                raise error_from(data, 500)
                            started = True
                            yield data
                return
            except TimeoutError:
                raise _late() from None
            except OSError:
                await self._until_lost(held)
                if started or attempt:
                    raise _crashed() from None

    async def _until_lost(self, held: _Held) -> None:
        """A call broke: give the lease a moment to notice, so that the next attempt joins a fresh engine."""
        if held.lease is not None:
            await asyncio.wait({held.lease}, timeout=0.5)

    async def ask_running(self, path: str) -> Any:
        """A GET that starts no engine. Raises `engine-down` or `engine-starting`."""
        info = self._held.info if self._held is not None else await daemon.find(await self._place())
        if info is None:
            if self._joining is not None and not self._joining.done():
                raise InklingError("engine-starting", "The engine is starting.", "Ask again in a moment.")
            raise InklingError("engine-down", "No engine runs.", "It starts when it is first needed.")
        try:
            status, data = await daemon.ask(info, "GET", path, silence_s=_STATUS_S)
        except OSError:
            raise InklingError("engine-down", "The engine does not answer.", "Restart it.") from None
        return await _checked(data, status)

    # Events and end

    def _tell(self, event: EngineEvent) -> None:
        for listener in self._listeners:
            listener.put_nowait(event)

    async def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Events from now on; joins an engine that already runs, and starts none."""
        listener: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            if self._held is None and not self._closed:
                with suppress(InklingError):
                    if await daemon.find(await self._place()) is not None:
                        await self.join()
            while not self._closed and (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.discard(listener)

    async def restart(self) -> None:
        """Stop the engine, for all windows that share it, and start a fresh one."""
        held = self._held
        await daemon.stop(await self._place())
        if held is not None and held.lease is not None:
            await asyncio.wait({held.lease}, timeout=_LEAVE_S)
        self._crashes.reset()
        self._pause_s = 0.0
        await self.join()

    async def close(self) -> None:
        """Give the lease back and end every `events()`."""
        self._closed = True
        held, self._held = self._held, None
        tasks: list[asyncio.Task[Any]] = [self._joining] if self._joining is not None else []
        if held is not None and held.lease is not None:
            tasks.append(held.lease)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if held is not None:
            held.http.close()
        for listener in self._listeners:
            listener.put_nowait(None)


async def _payloads(reply: Reply) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON payloads of a stream, up to `[DONE]`."""
    from inkling.engine.local_http import events_of

    async with aclosing(events_of(reply)) as events:
        async for event in events:
            if event == b"[DONE]":
                return
            with suppress(ValueError):
                data = json.loads(event)
                if isinstance(data, dict):
                    yield data


async def _checked(content: bytes, status: int) -> Any:
    try:
        data = await parse(content)
    except ValueError:
        data = None
    if status >= HTTPStatus.BAD_REQUEST:
        raise error_from(data, status)
    return data


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Whoever waited got the error; nobody waiting is no reason for a warning."""
    if not task.cancelled():
        task.exception()


def _closed() -> InklingError:
    return InklingError("engine-down", "The connection to the engine is closed.")


def _crashed() -> InklingError:
    return InklingError("engine-crashed", "The engine crashed while it worked on this.", "It is being restarted.")


def _late() -> InklingError:
    return InklingError("timeout", "The engine did not answer in time.", "See `inkling engine status`.")
