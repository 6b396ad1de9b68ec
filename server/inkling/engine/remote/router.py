"""The `EngineConnection` that sends each task where `[engine.routes]` says: to this machine's engine or to a remote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, TypeVar

from inkling import __version__
from inkling.engine.protocol import (
    Answer,
    Chunk,
    Engine,
    EngineConnection,
    EngineEvent,
    EngineStatus,
    Entity,
    Fill,
    GenerateRequest,
    Label,
    ModelState,
    Priority,
    Rendered,
    Summary,
    Task,
)
from inkling.engine.remote.address import Address
from inkling.engine.remote.connection import Remote
from inkling.engine.remote.settings import LOCAL
from inkling.engine.settings import EngineSettings, route
from inkling.errors import InklingError

_T = TypeVar("_T")

_DOWN = frozenset(
    {
        "remote-auth", "remote-certificate", "remote-kind", "remote-not-engine", "remote-redirect", "remote-settings",
        "remote-token", "remote-unreachable", "remote-url", "missing-package",
    }
)  # fmt: skip
"""Errors that are the remote's whole state, not one request's."""


class Router:
    """Satisfies `EngineConnection`. Belongs to one event loop; making one starts nothing and asks nobody."""

    def __init__(self, settings: EngineSettings, local: EngineConnection) -> None:
        self._settings = settings
        self._local = local
        used = {route(settings, task) for task in Task}
        self._uses_local = LOCAL in used
        self._starting = False
        self._remotes = {
            name: Remote(name, remote, self._telling(name))
            for name, remote in settings.remotes.items()
            if name in used and name != LOCAL
        }
        self._listeners: set[asyncio.Queue[EngineEvent | None]] = set()

    # Routing

    def _remote(self, task: str) -> Remote | None:
        """The remote for a task, None for this machine. Raises `unknown-remote`: nothing falls back by itself."""
        name = route(self._settings, task)
        if name == LOCAL:
            return None
        if name not in self._remotes:
            raise InklingError(
                "unknown-remote",
                f"{task} is routed to {name}, and there is no such remote engine.",
                f"Add [engine.remotes.{name}] with its url, or change [engine.routes].",
            )
        return self._remotes[name]

    async def _call(self, task: str, call: Callable[[Engine], Awaitable[_T]]) -> _T:
        remote = self._remote(task)
        if remote is None:
            return await call(self._local)
        try:
            result = await call(await remote.engine())
        except InklingError as error:
            if error.reason in _DOWN:
                remote.note(error)
            raise
        remote.note(None)
        return result

    # Engine

    async def classify(
        self,
        texts: Sequence[str],
        *,
        model: str,
        top_k: int | None = None,
        priority: Priority = Priority.DIAGNOSTICS,
    ) -> list[list[Label]]:
        """Text classification."""
        return await self._call(
            Task.TEXT_CLASSIFICATION,
            lambda engine: engine.classify(texts, model=model, top_k=top_k, priority=priority),
        )

    async def classify_tokens(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Entity]]:
        """Token classification."""
        return await self._call(
            Task.TOKEN_CLASSIFICATION, lambda engine: engine.classify_tokens(texts, model=model, priority=priority)
        )

    async def zero_shot(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        model: str,
        template: str = "",
        multi_label: bool = False,
        priority: Priority = Priority.ACTION,
    ) -> list[list[Label]]:
        """Zero-shot classification."""
        return await self._call(
            Task.ZERO_SHOT_CLASSIFICATION,
            lambda engine: engine.zero_shot(
                texts, labels, model=model, template=template, multi_label=multi_label, priority=priority
            ),
        )

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """Feature extraction."""
        return await self._call(
            Task.FEATURE_EXTRACTION, lambda engine: engine.embed(texts, model=model, priority=priority)
        )

    async def answer(
        self, question: str, context: str, *, model: str, top_k: int = 3, priority: Priority = Priority.ACTION
    ) -> list[Answer]:
        """Extractive question answering."""
        return await self._call(
            Task.QUESTION_ANSWERING,
            lambda engine: engine.answer(question, context, model=model, top_k=top_k, priority=priority),
        )

    async def fill_mask(
        self, text: str, *, model: str, top_k: int = 5, priority: Priority = Priority.ACTION
    ) -> list[Fill]:
        """Candidates for the mask."""
        return await self._call(
            Task.FILL_MASK, lambda engine: engine.fill_mask(text, model=model, top_k=top_k, priority=priority)
        )

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
        return await self._call(
            Task.SUMMARIZATION,
            lambda engine: engine.summarize(
                text, model=model, max_sentences=max_sentences, max_tokens=max_tokens, priority=priority
            ),
        )

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """Translation."""
        return await self._call(
            Task.TRANSLATION,
            lambda engine: engine.translate(text, model=model, source=source, target=target, priority=priority),
        )

    async def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
    ) -> Rendered:
        """Here, whatever the routes say: a template needs the model's files and no model."""
        return await self._local.render_chat(
            messages, model=model, tools=tools, add_generation_prompt=add_generation_prompt
        )

    async def weights(self, model: str, task: str) -> str:
        """Of this machine's files, or the remote's name and address and what the model is called there; asks nobody."""
        remote = self._remote(task)
        if remote is None:
            return await self._local.weights(model, task)
        try:
            base = Address.of(remote.name, remote.settings).base
        except InklingError:  # it may hold a password, and nobody is asked there
            return ""
        return f"{remote.name} {base} {remote.settings.name_of(model)}"

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation."""
        remote = self._remote(Task.TEXT_GENERATION)
        try:
            engine: Engine = self._local if remote is None else await remote.engine()
            async with aclosing(engine.generate(request)) as chunks:
                async for chunk in chunks:
                    if remote is not None:
                        remote.note(None)
                    yield chunk
        except InklingError as error:
            if remote is not None and error.reason in _DOWN:
                remote.note(error)
            raise

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Load here; ask there."""
        return await self._call(task, lambda engine: engine.load(model, task, quantization=quantization))

    async def status(self) -> EngineStatus:
        """This machine's engine and `extra["remotes"]`. Raises `engine-down` when it is used and does not run.

        Where nothing runs here, it raises a remote's error when none of them answers.
        """
        if self._uses_local:
            status = await self._local.status()
        else:
            errors = [remote.error for remote in self._remotes.values()]
            if errors and errors[0] is not None and all(errors):
                raise errors[0]
            status = EngineStatus(__version__, 0, "remote")
        return replace(status, extra={**status.extra, "remotes": self.remotes()})

    def remotes(self) -> list[dict[str, Any]]:
        """What is known of each remote that a route leads to; asks nobody."""
        return [remote.state() for remote in self._remotes.values()]

    # EngineConnection

    def _telling(self, name: str) -> Callable[[str], None]:
        def tell(message: str) -> None:
            if self._starting and not self._uses_local:
                return  # `start` raises it
            kind = "remote-failed" if message else "remote-ready" if self._uses_local else "started"
            for listener in self._listeners:
                listener.put_nowait(EngineEvent(kind, message=message or f"{name} answers"))

        return tell

    async def events(self) -> AsyncGenerator[EngineEvent, None]:
        """This machine's events, and `remote-failed` and `remote-ready` when a remote's state changes.

        Where nothing runs here, a remote that answers again is what `started` is for an engine of this machine.
        """
        listener: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._listeners.add(listener)
        pump = asyncio.create_task(self._pump(listener)) if self._uses_local else None
        try:
            while (event := await listener.get()) is not None:
                yield event
        finally:
            self._listeners.discard(listener)
            if pump is not None:
                pump.cancel()
                with suppress(asyncio.CancelledError):
                    await pump

    async def _pump(self, listener: asyncio.Queue[EngineEvent | None]) -> None:
        async with aclosing(self._local.events()) as events:
            async for event in events:
                listener.put_nowait(event)

    async def start(self) -> None:
        """Start this machine's engine if a task needs it, and ask every remote.

        A remote that does not answer is told as an event; where nothing runs here, it is this call's error.
        """
        self._starting = True
        checks = [asyncio.ensure_future(remote.check()) for remote in self._remotes.values()]
        try:
            if self._uses_local:
                await self._local.start()
        finally:
            checked = await asyncio.gather(*checks)
            self._starting = False
        if not self._uses_local:
            for result in checked:
                if result.error is not None:
                    raise result.error

    async def restart(self) -> None:
        """A fresh engine here, fresh connections (and tokens) there."""
        await asyncio.gather(*(remote.close() for remote in self._remotes.values()))
        if self._uses_local:
            await self._local.restart()
        await self.start()

    async def close(self) -> None:
        """Give the lease back, close all connections, end every `events()`."""
        for remote in self._remotes.values():
            with suppress(Exception):
                await remote.close()
        await self._local.close()
        for listener in self._listeners:
            listener.put_nowait(None)
