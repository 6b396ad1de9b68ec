"""What `inkling bench load` puts load on: the shared engine, or whatever speaks the engine's protocol at a URL."""

from __future__ import annotations

import ipaddress
import json
import os
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from inkling.engine.client import EngineClient
from inkling.engine.openai_format import chunk_from, generate_body
from inkling.engine.protocol import Chunk, EngineStatus, GenerateRequest, Task
from inkling.engine.settings import EngineSettings
from inkling.engine.wire import CLIENT_HEADER, dumps, engine_status, error_from
from inkling.errors import InklingError

_JSON = {"content-type": "application/json"}
_SILENCE_S = 30.0


class Target(Protocol):
    """One developer's connection. Both methods raise `InklingError`."""

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a completion; closing it cancels it."""
        ...

    async def classify(self, texts: Sequence[str], model: str) -> None:
        """Diagnostics of these texts."""
        ...

    async def status(self) -> EngineStatus | None:
        """None where the other side has no such thing."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class SharedEngine:
    """The per-user engine, as one more window of it."""

    def __init__(self) -> None:
        self._client = EngineClient(EngineSettings())

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """As the server does it."""
        return self._client.generate(request)

    async def classify(self, texts: Sequence[str], model: str) -> None:
        """As the server does it."""
        await self._client.classify(texts, model=model)

    async def status(self) -> EngineStatus | None:
        """The engine's."""
        return await self._client.status()

    async def close(self) -> None:
        """Give the lease back."""
        await self._client.close()


class AtUrl:
    """A cluster, an engine behind TCP, or an OpenAI-compatible server. No request is sent twice: a loss is counted."""

    def __init__(self, url: str, token: str) -> None:
        import httpx2

        self._transport_error: type[Exception] = httpx2.TransportError
        headers = {CLIENT_HEADER: uuid.uuid4().hex} | ({"authorization": f"Bearer {token}"} if token else {})
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=_SILENCE_S)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a completion."""
        try:
            async with self._http.stream(
                "POST", "/v1/completions", content=dumps(generate_body(request)), headers=_JSON
            ) as response:
                if response.status_code != 200:
                    raise _refused(await response.aread(), response.status_code)
                async with aclosing(_payloads(response)) as events:
                    async for data in events:
                        if "error" in data:
                            raise error_from(data, 500)
                        if (chunk := chunk_from(data)) is not None:
                            yield chunk
                            if chunk.finish:
                                return
        except self._transport_error as error:
            raise InklingError("connection-lost", f"The connection broke ({type(error).__name__}).") from None
        raise InklingError("stream-cut", "The stream ended before the text did.")

    async def classify(self, texts: Sequence[str], model: str) -> None:
        """Diagnostics, in Hugging Face's inference format."""
        path = f"/models/{quote(model, safe='')}/pipeline/{Task.TEXT_CLASSIFICATION}"
        try:
            response = await self._http.post(path, content=dumps({"inputs": list(texts)}), headers=_JSON)
        except self._transport_error as error:
            raise InklingError("connection-lost", f"The connection broke ({type(error).__name__}).") from None
        if response.status_code != 200:  # a redirect to a log-in page is no answer either
            raise _refused(response.content, response.status_code)

    async def status(self) -> EngineStatus | None:
        """Of an engine or a cluster of ours."""
        try:
            response = await self._http.get("/inkling/status")
            return engine_status(response.json()) if response.status_code == 200 else None
        except (self._transport_error, ValueError, TypeError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _payloads(response: Any) -> AsyncGenerator[dict[str, Any], None]:
    import httpx2

    source: Any = aiter(httpx2.EventSource(response, max_event_size=None))
    async with aclosing(source) as events:
        async for event in events:
            if event.data == "[DONE]":
                return
            with suppress(ValueError):
                data = json.loads(event.data)
                if isinstance(data, dict):
                    yield data


def _refused(content: bytes, status: int) -> InklingError:
    try:
        data: Any = json.loads(content)
    except ValueError:
        data = None
    return error_from(data, status)


def checked_url(url: str, *, mine: bool) -> str:
    """Raises `InklingError("not-yours")` for another machine that the user did not call their own."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InklingError("bad-url", f"{url} is no http address.", "For example http://127.0.0.1:8000")
    try:
        here = ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        here = parts.hostname == "localhost"
    if not here and not mine:
        raise InklingError(
            "not-yours",
            f"{parts.hostname} is another machine, and this is load.",
            "With --mine you say that it is yours to load.",
        )
    return url.rstrip("/").removesuffix("/v1")


def token_from(variable: str) -> str:
    """The token in an environment variable; none is fine."""
    return os.environ.get(variable, "").strip()
