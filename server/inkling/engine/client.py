"""The server's end of the wire: every method of `Engine` as a call to the engine's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import quote

from inkling.engine import replies
from inkling.engine.link import EngineLink
from inkling.engine.openai_format import chunk_from, generate_body
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
    Rendered,
    Summary,
    Task,
)
from inkling.engine.remote.settings import LOCAL
from inkling.engine.settings import EngineSettings, route
from inkling.engine.wire import FEW_VECTORS, engine_status, model_state
from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.models.weights import Weights

__all__ = ["EngineClient", "EngineSettings", "connect"]

_T = TypeVar("_T")

_SLACK_S = 5.0
"""How much longer than a generation's own deadline its stream may be silent."""


def connect(settings: EngineSettings | None = None) -> EngineConnection:
    """A connection to the per-user engine, and to remotes where routes lead to some. Starts nothing."""
    settings = settings or EngineSettings()
    local = EngineClient(settings)
    if all(route(settings, task) == LOCAL for task in Task):
        return local
    from inkling.engine.remote.router import Router

    return Router(settings, local)


class Link(Protocol):
    """What carries a client's calls: to this machine's engine (`EngineLink`) or to one elsewhere."""

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """A unary call: the JSON that answers."""
        ...

    def stream(
        self, path: str, body: Mapping[str, Any], *, silence_s: float | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The payloads of a stream, up to its end."""
        ...

    async def ask_running(self, path: str) -> Any:
        """A GET that starts nothing."""
        ...

    def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Events from now on."""
        ...

    async def join(self) -> object:
        """Start or join the engine."""
        ...

    async def restart(self) -> None:
        """Replace it by a fresh one."""
        ...

    async def close(self) -> None:
        """Let it go."""
        ...


class EngineClient:
    """Satisfies `EngineConnection`. Belongs to one event loop."""

    def __init__(self, settings: EngineSettings | None = None, link: Link | None = None) -> None:
        self._link = link or EngineLink(settings or EngineSettings())
        self._weights: Weights | None = None

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
        items = await self._link.post(
            f"/models/{quote(model, safe='')}/pipeline/{task}",
            {"inputs": list(inputs), "parameters": given, "inkling": {"priority": int(priority)}},
        )
        if not isinstance(items, list) or len(items) != len(inputs):
            raise InklingError("bad-output", "The engine's reply has not one result per input.")
        if task is Task.FEATURE_EXTRACTION and len(items) > FEW_VECTORS:
            return await asyncio.to_thread(lambda: [convert(item) for item in items])
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
        given = {"candidate_labels": list(labels), "hypothesis_template": template, "multi_label": multi_label or None}
        return await self._run(Task.ZERO_SHOT_CLASSIFICATION, model, texts, replies.labels, priority, **given)

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

    async def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
    ) -> Rendered:
        """A conversation through a chat template."""
        body = {
            "model": model,
            "messages": list(messages),
            "tools": list(tools),
            "add_generation_prompt": add_generation_prompt,
        }
        return replies.rendered(await self._link.post("/inkling/chat-template", body))

    async def weights(self, model: str, task: str) -> str:
        """Of the files on this machine, which are the engine's too; asks no engine."""
        if self._weights is None:
            from inkling.engine.models.weights import Weights

            self._weights = Weights()
        return await self._weights.of(model)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation. Retried once if the engine goes away before the first piece, never after it."""
        path = "/v1/chat/completions" if request.messages else "/v1/completions"
        silence_s = request.deadline_s + _SLACK_S if request.deadline_s else None
        async with aclosing(self._link.stream(path, generate_body(request), silence_s=silence_s)) as pieces:
            async for data in pieces:
                if (chunk := chunk_from(data)) is not None:
                    yield chunk
                    if chunk.finish:
                        return
        raise InklingError("engine-crashed", "The engine's stream ended early.", "Try again.")

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Load a model now."""
        body = {"model": model, "task": str(task), "quantization": quantization}
        return model_state(await self._link.post("/inkling/load", body))

    async def status(self) -> EngineStatus:
        """The engine's state; starts none."""
        return engine_status(await self._link.ask_running("/inkling/status"))

    def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Events from now on; joins an engine that already runs, and starts none."""
        return self._link.events()

    async def start(self) -> None:
        """Start or join the engine."""
        await self._link.join()

    async def restart(self) -> None:
        """Stop the engine, for all windows that share it, and start a fresh one."""
        await self._link.restart()

    async def close(self) -> None:
        """Give the lease back and end every `events()`."""
        await self._link.close()
