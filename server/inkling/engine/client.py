"""The server's end: an `EngineConnection` over HTTP, which starts the engine, holds its lease and survives its crashes.

Nothing is started, and the HTTP client is not even imported, before the first call that needs the engine.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar
from urllib.parse import quote

from inkling.engine import daemon, replies
from inkling.engine.crashes import CrashLimit
from inkling.engine.protocol import (
    Answer,
    Chunk,
    EngineConnection,
    EngineEvent,
    EngineStatus,
    Entity,
    Fill,
    GenerateRequest,
    Label,
    ModelState,
    Priority,
    Summary,
    Task,
)
from inkling.engine.runtime import Info, place
from inkling.engine.settings import EngineSettings
from inkling.engine.wire import (
    CLIENT_HEADER,
    chunk_from,
    dumps,
    engine_event,
    engine_status,
    error_from,
    generate_body,
    model_state,
)
from inkling.errors import InklingError

__all__ = ["EngineClient", "EngineSettings", "connect"]

log = logging.getLogger(__name__)

_LEASE_SILENCE_S = 20.0
"""The lease carries a comment every 5 s; a silence this long means that the engine hangs or the machine slept."""

_PRIVATE_IDLE_S = 2.0
_T = TypeVar("_T")


def connect(settings: EngineSettings | None = None) -> EngineConnection:
    """A connection to the per-user engine. Starts nothing."""
    return EngineClient(settings or EngineSettings())


class _Link:
    """One engine that answered, and the HTTP connections to it."""

    def __init__(self, info: Info, http: Any) -> None:
        self.info = info
        self.http = http
        self.lease: asyncio.Task[None] | None = None


class EngineClient:
    """Satisfies `EngineConnection`. Belongs to one event loop."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._id = uuid.uuid4().hex
        self._private_to = f"{os.getpid()}-{self._id}" if settings.private else ""
        self._link: _Link | None = None
        self._joining: asyncio.Task[_Link] | None = None
        self._listeners: set[asyncio.Queue[EngineEvent | None]] = set()
        self._crashes = CrashLimit(settings.crash_limit, settings.crash_window_seconds)
        self._pause_s = 0.0
        self._closed = False

    # Finding and keeping the engine

    async def _join(self) -> _Link:
        """Join the engine, started if need be; everyone who asks meanwhile waits for the same attempt."""
        if self._closed:
            raise InklingError("engine-down", "The connection to the engine is closed.")
        if self._link is not None:
            return self._link
        if self._joining is None or self._joining.done():
            self._joining = asyncio.create_task(self._start_and_open())
            self._joining.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._joining)

    async def _start_and_open(self) -> _Link:
        if self._crashes.gave_up:
            raise InklingError(
                "engine-gave-up",
                f"The engine crashed {self._settings.crash_limit} times and stays down.",
                "Restart it from the editor, or see `inkling engine logs`.",
            )
        await asyncio.sleep(self._pause_s)
        await asyncio.to_thread(importlib.import_module, "httpx2")
        settings = self._settings
        try:
            where = place(settings, private_to=self._private_to)
            for attempt in range(4):
                info = await daemon.find_or_start(where, self._process_settings(), private_to=self._private_to)
                if (link := await self._open(info)) is not None:
                    self._pause_s = 0.0
                    return link
                await asyncio.sleep(0.05 * attempt)  # it was just leaving, or died at once: start another
        except InklingError:
            # Not at every keystroke again: the next attempt waits a little longer.
            self._pause_s = min(10.0, max(0.25, 2 * self._pause_s))
            raise
        raise InklingError("engine-crashed", "The engine ends as soon as it starts.", "Run `inkling doctor`.")

    def _process_settings(self) -> EngineSettings:
        if not self._settings.private:
            return self._settings
        from dataclasses import replace

        return replace(self._settings, idle_seconds=min(self._settings.idle_seconds, _PRIVATE_IDLE_S))

    async def _open(self, info: Info) -> _Link | None:
        """Take a lease; None when the engine went away before it gave one."""
        link = _Link(info, daemon.http_client(info, read_s=self._settings.request_seconds))
        link.http.headers[CLIENT_HEADER] = self._id
        leased: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        link.lease = asyncio.create_task(self._hold_lease(link, leased))
        await asyncio.wait({leased, link.lease}, return_when=asyncio.FIRST_COMPLETED)
        if not leased.done():
            await link.http.aclose()
            return None
        self._link = link
        return link

    async def _hold_lease(self, link: _Link, leased: asyncio.Future[None]) -> None:
        import httpx2

        orderly = slept = False
        try:
            timeout = httpx2.Timeout(5.0, read=_LEASE_SILENCE_S)
            async with link.http.stream("GET", "/inkling/events", timeout=timeout) as response:
                if response.status_code == 200:
                    async with aclosing(_events(response)) as events:
                        async for data in events:
                            event = engine_event(data)
                            orderly = event.kind == "stopped"
                            if not leased.done():
                                leased.set_result(None)
                            self._tell(event)
        except httpx2.TimeoutException:
            slept = True
        except (httpx2.TransportError, OSError):
            pass
        if leased.done():
            await self._lost(link, orderly=orderly, slept=slept)

    async def _lost(self, link: _Link, *, orderly: bool, slept: bool) -> None:
        """The lease ended: the engine stopped, crashed or hangs."""
        if self._link is link:
            self._link = None
        if not self._closed and not orderly:
            if not slept:
                self._pause_s = self._crashes.crashed()
                self._tell(EngineEvent("crashed", message=f"the engine (process {link.info.pid}) crashed"))
            if self._crashes.gave_up:
                self._tell(
                    EngineEvent("gave-up", message=f"crashed {self._settings.crash_limit} times: restart it by hand")
                )
            else:
                self._joining = None
                rejoin = asyncio.ensure_future(self._join())
                rejoin.add_done_callback(lambda task: task.cancelled() or task.exception())
        with suppress(Exception):
            await link.http.aclose()

    def _tell(self, event: EngineEvent) -> None:
        for listener in self._listeners:
            listener.put_nowait(event)

    # Asking it

    async def _post(self, path: str, body: Mapping[str, Any], deadline_s: float | None = None) -> Any:
        """A unary call, retried once when the engine goes away under it."""
        import httpx2

        content = dumps(body)
        for attempt in (0, 1):
            link = await self._join()
            try:
                async with asyncio.timeout(deadline_s or self._settings.request_seconds):
                    response = await link.http.post(path, content=content, headers=_JSON)
            except (TimeoutError, httpx2.TimeoutException):
                raise InklingError("timeout", "The engine did not answer in time.") from None
            except (httpx2.TransportError, OSError):
                await self._wait_lost(link)
                if attempt:
                    raise _crashed() from None
                continue
            data = _json(response.content)
            if response.status_code >= 400:
                raise error_from(data, response.status_code)
            return data
        raise AssertionError("unreachable")

    async def _wait_lost(self, link: _Link) -> None:
        """A call broke: wait a moment for the lease to notice, so that the next attempt joins a fresh engine."""
        if link.lease is not None:
            await asyncio.wait({link.lease}, timeout=0.5)

    async def _run(
        self,
        task: Task,
        model: str,
        inputs: Sequence[Any],
        convert: Callable[[Any], _T],
        priority: Priority,
        **parameters: Any,
    ) -> list[_T]:
        if not inputs:
            return []
        given = {key: value for key, value in parameters.items() if value not in (None, "")}
        items = await self._post(
            f"/models/{quote(model, safe='')}/pipeline/{task}",
            {"inputs": list(inputs), "parameters": given, "inkling": {"priority": int(priority)}},
        )
        if not isinstance(items, list) or len(items) != len(inputs):
            raise InklingError("bad-output", "The engine's reply has not one result per input.")
        return [convert(item) for item in items]

    async def classify(
        self,
        texts: Sequence[str],
        *,
        model: str,
        top_k: int | None = None,
        priority: Priority = Priority.DIAGNOSTICS,
    ) -> list[list[Label]]:
        """Text classification."""
        return await self._run(Task.TEXT_CLASSIFICATION, model, texts, replies.labels, priority, top_k=top_k)

    async def classify_tokens(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Entity]]:
        """Token classification."""
        return await self._run(Task.TOKEN_CLASSIFICATION, model, texts, replies.entities, priority)

    async def zero_shot(
        self, texts: Sequence[str], labels: Sequence[str], *, model: str, priority: Priority = Priority.ACTION
    ) -> list[list[Label]]:
        """Zero-shot classification."""
        task = Task.ZERO_SHOT_CLASSIFICATION
        return await self._run(task, model, texts, replies.labels, priority, candidate_labels=list(labels))

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """Feature extraction."""
        return await self._run(Task.FEATURE_EXTRACTION, model, texts, replies.vector, priority)

    async def answer(
        self, question: str, context: str, *, model: str, top_k: int = 3, priority: Priority = Priority.ACTION
    ) -> list[Answer]:
        """Extractive question answering."""
        inputs = [{"question": question, "context": context}]
        found = await self._run(Task.QUESTION_ANSWERING, model, inputs, replies.answers, priority, top_k=top_k)
        return found[0]

    async def fill_mask(
        self, text: str, *, model: str, top_k: int = 5, priority: Priority = Priority.ACTION
    ) -> list[Fill]:
        """Candidates for the mask."""
        return (await self._run(Task.FILL_MASK, model, [text], replies.fills, priority, top_k=top_k))[0]

    async def summarize(
        self,
        text: str,
        *,
        model: str,
        max_sentences: int = 3,
        max_tokens: int = 128,
        priority: Priority = Priority.ACTION,
    ) -> Summary:
        """Summarization."""
        limits = {"max_sentences": max_sentences, "max_new_tokens": max_tokens}
        return (await self._run(Task.SUMMARIZATION, model, [text], replies.summary, priority, **limits))[0]

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """Translation."""
        languages = {"src_lang": source, "tgt_lang": target}
        return (await self._run(Task.TRANSLATION, model, [text], replies.translation, priority, **languages))[0]

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation. Retried once if the engine goes away before the first piece, never after it."""
        import httpx2

        content = dumps(generate_body(request))
        path = "/v1/chat/completions" if request.messages else "/v1/completions"
        silence = request.deadline_s + 5.0 if request.deadline_s else self._settings.request_seconds
        started = False
        for attempt in (0, 1):
            link = await self._join()
            timeout = httpx2.Timeout(5.0, read=silence)
            try:
                async with link.http.stream("POST", path, content=content, headers=_JSON, timeout=timeout) as response:
                    if response.status_code >= 400:
                        raise error_from(_json(await response.aread()), response.status_code)
                    async with aclosing(_events(response)) as events:
                        async for data in events:
                            if "error" in data:
                                raise error_from(data, 500)
                            if (chunk := chunk_from(data)) is not None:
                                started = True
                                yield chunk
                                if chunk.finish:
                                    return
                raise _crashed()
            except httpx2.TimeoutException:
                raise InklingError("timeout", "The engine did not answer in time.") from None
            except (httpx2.TransportError, OSError):
                await self._wait_lost(link)
                if started or attempt:
                    raise _crashed() from None

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Load a model now."""
        body = {"model": model, "task": str(task), "quantization": quantization}
        return model_state(await self._post("/inkling/load", body))

    async def status(self) -> EngineStatus:
        """The engine's state; starts none."""
        info = self._link.info if self._link is not None else None
        if info is None:
            await asyncio.to_thread(importlib.import_module, "httpx2")
            info = await daemon.find(place(self._settings, private_to=self._private_to))
        if info is None:
            if self._joining is not None and not self._joining.done():
                raise InklingError("engine-starting", "The engine is starting.", "Ask again in a moment.")
            raise InklingError("engine-down", "No engine runs.", "It starts when it is first needed.")
        import httpx2

        try:
            async with daemon.http_client(info, read_s=10.0) as http:
                return engine_status(_json((await http.get("/inkling/status")).content))
        except (httpx2.TransportError, OSError):
            raise InklingError("engine-down", "The engine does not answer.", "Restart it.") from None

    # As the server holds it

    async def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Events from now on; joins an engine that already runs, and starts none."""
        listener: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            if self._link is None and not self._closed:
                await self._join_running()
            while (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.discard(listener)

    async def _join_running(self) -> None:
        with suppress(InklingError):
            await asyncio.to_thread(importlib.import_module, "httpx2")
            if await daemon.find(place(self._settings, private_to=self._private_to)) is not None:
                await self._join()

    async def start(self) -> None:
        """Start or join the engine."""
        await self._join()

    async def restart(self) -> None:
        """Stop the engine, for all windows that share it, and start a fresh one."""
        await asyncio.to_thread(importlib.import_module, "httpx2")
        self._crashes.reset()
        self._pause_s = 0.0
        link = self._link
        await daemon.stop(place(self._settings, private_to=self._private_to))
        if link is not None and link.lease is not None:
            await asyncio.wait({link.lease}, timeout=5.0)
        self._crashes.reset()
        self._pause_s = 0.0
        await self._join()

    async def close(self) -> None:
        """Give the lease back and end every `events()`."""
        self._closed = True
        link, self._link = self._link, None
        tasks: list[asyncio.Task[Any]] = [self._joining] if self._joining is not None else []
        if link is not None and link.lease is not None:
            tasks.append(link.lease)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if link is not None:
            await link.http.aclose()
        for listener in self._listeners:
            listener.put_nowait(None)


_JSON = {"content-type": "application/json"}


def _json(content: bytes) -> Any:
    import json

    try:
        return json.loads(content)
    except ValueError:
        return None


async def _events(response: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The JSON payloads of a stream of server-sent events, up to `[DONE]`."""
    import httpx2

    source: Any = aiter(httpx2.EventSource(response, max_event_size=None))
    async with aclosing(source) as events:
        async for event in events:
            if event.data == "[DONE]":
                return
            data = _json(event.data.encode())
            if isinstance(data, dict):
                yield data


def _crashed() -> InklingError:
    return InklingError("engine-crashed", "The engine crashed while it worked on this.", "It is being restarted.")
