"""What plugins are given as engine and tokenizers: made on first use, never imported at start."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.api import Engine, GenerateRequest, Snapshot, Tokens, TokenSpan
from inkling.engine.protocol import Chunk

if TYPE_CHECKING:
    from inkling.text.tokens import TokenService


class EngineHandle:
    """The engine as one plugin sees it; satisfies `Engine`. Knows whether the plugin is waiting for it."""

    def __init__(self, engine: Callable[[], Engine]) -> None:
        self._engine = engine
        self._waiting = 0

    @property
    def waiting(self) -> bool:
        """Whether a call is under way."""
        return self._waiting > 0

    def __getattr__(self, name: str) -> Any:
        """`classify`, `embed` and the other methods that answer once."""
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*arguments: Any, **keywords: Any) -> Any:
            with self._busy():
                return await getattr(self._engine(), name)(*arguments, **keywords)

        return call

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation; closing this closes the engine's stream."""
        async with contextlib.aclosing(self._engine().generate(request)) as stream:
            while True:
                with self._busy():
                    chunk = await anext(stream, None)
                if chunk is None:
                    return
                yield chunk

    @contextlib.contextmanager
    def _busy(self) -> Generator[None, None, None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


class LazyTokens:
    """The token service, imported when the first plugin counts; satisfies `Tokens`."""

    def __init__(self) -> None:
        self._service: TokenService | None = None

    def close(self) -> None:
        """The session is over: counts under way end unfinished."""
        if self._service is not None:
            self._service.close()

    def _get(self) -> Tokens:
        if self._service is None:
            from inkling.text.tokens import TokenService

            self._service = TokenService(_model_folder)
        return self._service

    async def count(self, snapshot: Snapshot, model: str) -> int:
        """Tokens of the whole document."""
        return await self._get().count(snapshot, model)

    async def count_text(self, text: str, model: str) -> int:
        """Tokens of a text by itself."""
        return await self._get().count_text(text, model)

    async def count_part(self, snapshot: Snapshot, start: int, end: int, model: str) -> int:
        """As `inkling.api.Tokens`."""
        return await self._get().count_part(snapshot, start, end, model)

    async def at(self, snapshot: Snapshot, offset: int, model: str) -> TokenSpan | None:
        """The token that covers a character."""
        return await self._get().at(snapshot, offset, model)

    async def spans(self, snapshot: Snapshot, start: int, end: int, model: str) -> Sequence[TokenSpan]:
        """The tokens of a stretch."""
        return await self._get().spans(snapshot, start, end, model)

    async def context_window(self, model: str) -> int | None:
        """How many tokens the model can read."""
        return await self._get().context_window(model)


def _model_folder(model: str) -> Path:
    from inkling.engine.models.catalog import resolve

    source = resolve(model)
    encoder = source.config.get("encoder")  # a starter's head reads with its encoder's tokenizer
    return resolve(encoder).path if isinstance(encoder, str) else source.path
