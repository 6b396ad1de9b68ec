"""What the engines of all formats share: model names, and a reason for each task that a format has no word for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from inkling.engine.protocol import (
    Answer,
    Chunk,
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
from inkling.engine.remote.transport import Transport
from inkling.errors import InklingError


class RemoteEngine:
    """Satisfies `Engine`; every task raises `remote-task` until a subclass serves it."""

    kind = ""
    serves: frozenset[Task] = frozenset()
    """The tasks that the format has words for."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def model(self, name: str) -> str:
        """The remote's name for a model."""
        return self.transport.remote.name_of(name)

    async def listed(self) -> list[str]:
        """The models over there, as far as it tells; asking also shows that it answers. Raises `InklingError`."""
        raise NotImplementedError

    def lacks(self, task: Task) -> InklingError:
        """The error for a task that this format does not serve."""
        return InklingError(
            "remote-task",
            f"{self.transport.address} speaks {self.kind}, which has no {task}.",
            f'Set "{task}" = "local" in [engine.routes], or name another remote there.',
        )

    async def classify(
        self,
        texts: Sequence[str],
        *,
        model: str,
        top_k: int | None = None,
        priority: Priority = Priority.DIAGNOSTICS,
    ) -> list[list[Label]]:
        """Text classification."""
        raise self.lacks(Task.TEXT_CLASSIFICATION)

    async def classify_tokens(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Entity]]:
        """Token classification."""
        raise self.lacks(Task.TOKEN_CLASSIFICATION)

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
        raise self.lacks(Task.ZERO_SHOT_CLASSIFICATION)

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """Feature extraction."""
        raise self.lacks(Task.FEATURE_EXTRACTION)

    async def answer(
        self, question: str, context: str, *, model: str, top_k: int = 3, priority: Priority = Priority.ACTION
    ) -> list[Answer]:
        """Extractive question answering."""
        raise self.lacks(Task.QUESTION_ANSWERING)

    async def fill_mask(
        self, text: str, *, model: str, top_k: int = 5, priority: Priority = Priority.ACTION
    ) -> list[Fill]:
        """Candidates for the mask."""
        raise self.lacks(Task.FILL_MASK)

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
        raise self.lacks(Task.SUMMARIZATION)

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """Translation."""
        raise self.lacks(Task.TRANSLATION)

    async def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
    ) -> Rendered:
        """Templates are rendered where the model's files are."""
        raise InklingError("remote-task", f"{self.transport.address} renders no chat templates.")

    async def weights(self, model: str, task: str) -> str:
        """What a remote loads it does not tell: its address and the model's id. Asks nobody."""
        return f"{self.transport.address.shown} {model}"

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Text generation."""
        raise self.lacks(Task.TEXT_GENERATION)

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """The remote loads what it likes; this asks whether it is there."""
        name = await self.model(model)
        return ModelState(name, task, "ready", 1.0, quantization_why=f"on {self.transport.address}")

    async def status(self) -> EngineStatus:
        """What a remote tells of itself: its models."""
        models = tuple(ModelState(name, "", "ready", 1.0) for name in await self.listed())
        return EngineStatus(self.kind, 0, str(self.transport.address), models)


async def vectors_of(items: Any, count: int, transport: Transport) -> list[list[float]]:
    """Embeddings of unit length, one per input. A matrix, one row per token, becomes the mean of its rows.

    Computed in a thread: a hundred vectors are a hundred thousand numbers.
    """
    from inkling.engine.remote import failures

    if not isinstance(items, list) or len(items) != count:
        raise failures.bad_output(transport.address, "not one result per input")
    try:
        return await asyncio.to_thread(lambda: [_unit(_pooled(item)) for item in items])
    except (TypeError, ValueError, IndexError):
        raise failures.bad_output(transport.address, "vectors of an unknown shape") from None


def _pooled(item: Any) -> list[float]:
    while item and isinstance(item[0], list) and len(item) == 1:
        item = item[0]
    if item and isinstance(item[0], list):
        return [sum(map(float, column)) / len(item) for column in zip(*item, strict=True)]
    return [float(number) for number in item]


def _unit(vector: list[float]) -> list[float]:
    import math

    length = math.hypot(*vector)
    if not math.isfinite(length) or length == 0:
        raise ValueError("no direction")
    return [number / length for number in vector]
