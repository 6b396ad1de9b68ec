"""Inkling's own protocol to an engine elsewhere: the same app, behind HTTP(S) and a token."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from inkling.engine.client import EngineClient
from inkling.engine.protocol import Chunk, EngineEvent, GenerateRequest, ModelState, Priority, Task
from inkling.engine.remote import failures
from inkling.engine.remote.transport import DONE, Transport
from inkling.engine.wire import CLIENT_HEADER
from inkling.errors import InklingError

_T = TypeVar("_T")


def client_headers() -> dict[str, str]:
    """A name for this window, so that the engine can be fair between windows and keep to its prefix cache."""
    return {CLIENT_HEADER: uuid.uuid4().hex}


class RemoteLink:
    """What `EngineLink` is to the engine of this machine. Nothing is started, nor kept alive, by it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A unary call."""
        return await self._transport.post(path, body)

    async def stream(
        self, path: str, body: Mapping[str, Any], *, silence_s: float | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """A stream's payloads; one that ends before it is done raises `remote-cut`."""
        stream = self._transport.stream(path, body)
        try:
            while (payload := await self._next(stream, silence_s)) is not DONE:
                if payload is None:
                    raise failures.cut_short(self._transport.address)
                yield payload
        finally:
            await stream.aclose()

    async def _next(self, stream: AsyncGenerator[dict[str, Any], None], silence_s: float | None) -> Any:
        try:
            async with asyncio.timeout(silence_s):
                return await anext(stream, None)
        except TimeoutError as error:
            raise failures.no_reply(self._transport.address, error) from None

    async def ask_running(self, path: str) -> Any:
        """A GET."""
        return await self._transport.get(path, timeout_s=10.0)

    async def events(self) -> AsyncGenerator[EngineEvent, None]:
        """None: a pool's events are its operators' business."""
        nothing: tuple[EngineEvent, ...] = ()
        for event in nothing:
            yield event

    async def join(self) -> None:
        """Whether it answers."""
        await self.ask_running("/health")

    async def restart(self) -> None:
        """Another machine's engine is not ours to restart."""
        raise InklingError(
            "remote-task", f"{self._transport.address} cannot be restarted from here.", "Ask whoever runs it."
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


class InklingEngine(EngineClient):
    """Every task, with Inkling's own extras: priorities, prefix-cache slots, healing."""

    kind = "inkling"

    def __init__(self, transport: Transport) -> None:
        super().__init__(None, RemoteLink(transport))
        transport.ours = True
        self.transport = transport

    async def _run(
        self,
        task: Task,
        model: str,
        inputs: Sequence[Any],
        convert: Callable[[Any], _T],
        priority: Priority,
        **parameters: Any,
    ) -> list[_T]:
        return await super()._run(task, self.transport.remote.name_of(model), inputs, convert, priority, **parameters)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation by the pool's name for the model."""
        async with aclosing(
            super().generate(replace(request, model=self.transport.remote.name_of(request.model)))
        ) as chunks:
            async for chunk in chunks:
                yield chunk

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Load a model there now."""
        return await super().load(self.transport.remote.name_of(model), task, quantization=quantization)

    async def listed(self) -> list[str]:
        """The models in its memory."""
        return [model.id for model in (await self.status()).models if model.state == "ready"]
