"""The wall between the engine's serving side (app, scheduler) and its model side (models, tasks, generation).

The serving side never imports torch; it calls these two protocols on worker threads. `inkling.engine.models.store`
holds the real `Backend`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from inkling.engine.protocol import Chunk, GenerateRequest


class Stop:
    """One request's stop flag, never shared: set when its client went away or its deadline passed. Thread-safe."""

    def __init__(self, deadline_s: float | None = None) -> None:
        self._is_set = False  # nobody waits for it, so it needs no lock
        self._deadline = None if deadline_s is None else time.monotonic() + deadline_s

    def set(self) -> None:
        """Ask the work to end at its next token, prefill chunk or batch."""
        self._is_set = True

    @property
    def is_set(self) -> bool:
        """True once the client went away."""
        return self._is_set

    @property
    def is_late(self) -> bool:
        """True once the deadline has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline


class LoadedModel(Protocol):
    """A model in memory. Used by one thread at a time.

    `run` serves every task but generation: `inputs` is a batch in Hugging Face's inference format for the task, the
    result has one item per input, JSON-able, in the same format. `generate` yields as it goes; the scheduler may pause
    it between chunks to let a more urgent request run on the same model, so state is kept per `request.cache_key`, not
    in locals of the model.
    """

    id: str
    task: str
    device: str
    quantization: str
    quantization_why: str

    @property
    def bytes(self) -> int:
        """Memory that it holds now."""
        ...

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """Compute a batch; checks `stop` between sub-batches and returns what it has when set."""
        ...

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        """Stream a generation; after `stop` is set it ends at the next token or prefill chunk.

        A chunk without text and tokens says that a part of the prompt has been read: a place to pause, not to send.
        """
        ...

    def counters(self) -> Mapping[str, int]:
        """Counters that only grow: `{generated,prefill,reused,drafted,accepted}_tokens`."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...


class Backend(Protocol):
    """Loads models."""

    def load(self, model: str, task: str, *, quantization: str, on_progress: Callable[[float], None]) -> LoadedModel:
        """Load from disk; raises `InklingError` with what is wrong and what to do. Never touches the network."""
        ...

    def estimate_bytes(self, model: str, task: str, *, quantization: str) -> int:
        """Memory that loading would need, in bytes, from the files' headers alone."""
        ...
