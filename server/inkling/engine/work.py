"""What the routes need of whoever does the work: the scheduler of this process, or a cluster's gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from inkling.engine.events import EventHub
from inkling.engine.protocol import Chunk, GenerateRequest, ModelState, Priority


class Models(Protocol):
    """The models that are served."""

    def states(self) -> tuple[ModelState, ...]:
        """One per model and task."""
        ...


class Work(Protocol):
    """Used on the event loop only. Every method raises `InklingError` when it cannot."""

    @property
    def hub(self) -> EventHub:
        """Where events are published."""
        ...

    @property
    def pool(self) -> Models:
        """The models."""
        ...

    async def run(
        self,
        task: str,
        model: str,
        inputs: Sequence[Any],
        parameters: Mapping[str, Any],
        *,
        priority: Priority = Priority.DIAGNOSTICS,
        client: str = "",
        quantization: str = "auto",
        deadline_s: float | None = None,
    ) -> list[Any]:
        """One result per input, in Hugging Face's inference format. Cancelling stops it at the next batch."""
        ...

    def generate(
        self, request: GenerateRequest, *, client: str = "", usage: dict[str, int] | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Stream a generation; closing it stops the model at its next token. `usage` gets `prompt_tokens`."""
        ...

    async def load(self, model: str, task: str, quantization: str = "auto") -> ModelState:
        """Returns when the model is ready."""
        ...
