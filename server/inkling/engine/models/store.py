"""The real `Backend`: finds a model's files, judges them, and gives the class that runs its task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from inkling.engine.backend import Backend, LoadedModel
from inkling.engine.models import memory
from inkling.engine.models.catalog import ModelSource, encoder_folder, resolve_for
from inkling.engine.models.device import EXACT, pick_device, pick_dtype, set_threads
from inkling.engine.models.load import Weights, load
from inkling.engine.protocol import Task
from inkling.engine.tasks import task_class


def create_backend(*, device: str = "auto", threads: int = 0) -> Backend:
    """The backend of this process; `device` and `threads` as in `EngineSettings`. Raises InklingError `bad-device`."""
    set_threads(threads)
    return Store(pick_device(device))


class Store:
    """Satisfies `inkling.engine.backend.Backend`. Keeps no model itself: the caller owns what `load` returns.

    The one thing shared is the starter encoder, under every starter classifier and its own tasks: it stays for the
    life of the process, and the first model that needed it carries its bytes.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._encoder_is_counted = False

    def estimate_bytes(self, model: str, task: str, *, quantization: str) -> int:
        """Memory that loading would need, from the files' headers."""
        source = resolve_for(model, task)
        if _is_on_encoder(source):
            own = source.bytes if source.is_adapter else 0
            return memory.OVERHEAD_BYTES + own + (0 if self._encoder_is_counted else memory.encoder_bytes())
        return memory.estimate_bytes(source, task, quantization=quantization, device=self.device)

    def load(self, model: str, task: str, *, quantization: str, on_progress: Callable[[float], None]) -> LoadedModel:
        """Load from disk; raises `InklingError` with what is wrong and what to do."""
        source = resolve_for(model, task)
        if task == Task.TEXT_GENERATION:
            from inkling.engine.generation.text_generator import TextGenerator

            return TextGenerator(
                model, source.path, quantization=quantization, device=self.device, on_progress=on_progress
            )
        if _is_on_encoder(source):
            return self._on_encoder(source, task, on_progress)
        return self._task(source, task, quantization, on_progress)

    def _task(
        self, source: ModelSource, task: str, quantization: str, on_progress: Callable[[float], None]
    ) -> LoadedModel:
        if task in (Task.SUMMARIZATION, Task.TRANSLATION) and Task.TEXT_GENERATION in source.tasks:
            from inkling.engine.generation.text_generator import TextGenerator
            from inkling.engine.tasks.chat import ChatTask

            generator = TextGenerator(
                source.id, source.path, quantization=quantization, device=self.device, on_progress=on_progress
            )
            return ChatTask(generator, task)
        dtype, name, why = pick_dtype(self.device, quantization)
        loading = functools.partial(load, device=self.device, dtype=dtype, quantization=name, why=why)
        model: LoadedModel = task_class(source, task)(loading(source, task, on_progress=on_progress))
        return model

    def _on_encoder(self, source: ModelSource, task: str, on_progress: Callable[[float], None]) -> LoadedModel:
        from inkling.engine.models.encoder import load_encoder
        from inkling.engine.models.encoder_head import clone_sharing_matrices
        from inkling.engine.tasks.starter_heads import StarterHead

        on_progress(0.1)
        encoder, tokenizer = load_encoder()
        if source.is_adapter:
            model: Any = StarterHead(source)
        else:
            weights = Weights(source.id, clone_sharing_matrices(encoder), tokenizer, "cpu", source.path, "none", EXACT)
            model = task_class(source, task)(weights)
        model.bytes = (source.bytes if source.is_adapter else 0) + (
            0 if self._encoder_is_counted else memory.encoder_bytes()
        )
        self._encoder_is_counted = True
        on_progress(1.0)
        loaded: LoadedModel = model
        return loaded


def _is_on_encoder(source: ModelSource) -> bool:
    return source.is_adapter or (source.starter and source.path == encoder_folder())
