"""One replica of a model's deployment: a scheduler of its own with the one model, which it loads before it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from inkling.engine.cluster.metrics import Metrics, counters_as_samples
from inkling.engine.cluster.replies import Call, CannotServe, Failed, Numbers, Piece
from inkling.engine.cluster.settings import ModelSpec
from inkling.engine.events import EventHub
from inkling.engine.protocol import GenerateRequest, ModelState, Priority
from inkling.engine.scheduler import Scheduler
from inkling.engine.serve import backend_factory
from inkling.engine.settings import EngineSettings
from inkling.engine.worker import as_inkling_error
from inkling.errors import InklingError

_CONCURRENT_BATCHES = 4
"""So that a batch may gather while one is computed; the model's own queue merges what fits together."""


class ModelReplica:
    """Ray Serve makes it, on a node that has the room, and calls its methods on one event loop."""

    async def __init__(self, spec: ModelSpec) -> None:  # type: ignore[misc]
        from ray import serve

        self.spec = spec
        threads = max(1, int(spec.cpus))
        settings = EngineSettings(
            threads=threads, unload_seconds=float("inf"), queue_limit=4 * spec.max_ongoing_requests
        )
        self._scheduler = Scheduler(backend_factory(settings), settings, EventHub())
        self._batched = serve.batch(
            max_batch_size=spec.batch_size,
            batch_wait_timeout_s=spec.batch_wait_ms / 1000,
            max_concurrent_batches=_CONCURRENT_BATCHES,
        )(self._run_batch)
        try:
            for task in spec.tasks:
                await self._scheduler.load(spec.id, str(task), spec.quantization)
        except InklingError as error:
            raise CannotServe(str(error)) from None

    async def run(self, call: Call) -> list[Any] | Failed:
        """One result per input."""
        waiting = _Waiting(call)
        try:
            answer: list[Any] | Failed = await self._batched(waiting)
            return answer
        except asyncio.CancelledError:
            waiting.cancel()
            raise

    async def _run_batch(self, batch: list[_Waiting]) -> list[list[Any] | Failed]:
        """Calls that came within the wait, given to the model's queue at once, which sorts them by length."""
        return await asyncio.gather(*(waiting.answer(self._scheduler, self.spec) for waiting in batch))

    async def generate(self, request: GenerateRequest, client: str) -> AsyncGenerator[Piece | Failed, None]:
        """The pieces of a generation; closing it stops the model."""
        usage: dict[str, int] = {}
        try:
            request = replace(request, quantization=self.spec.quantization)
            async with aclosing(self._scheduler.generate(request, client=client, usage=usage)) as chunks:
                async for chunk in chunks:
                    yield Piece(chunk, usage.get("prompt_tokens", 0))
        except Exception as error:
            yield Failed.of(as_inkling_error(error, self.spec.id))

    async def state(self, task: str) -> ModelState | Failed:
        """Of the model for one of its tasks."""
        try:
            return await self._scheduler.load(self.spec.id, task, self.spec.quantization)
        except InklingError as error:
            return Failed.of(error)

    async def numbers(self) -> Numbers:
        """For the metrics page and the status."""
        from ray import serve

        status = self._scheduler.status()
        counters = {key: int(value) for key, value in self._scheduler.pool.counters().items()}
        metrics = Metrics()
        metrics.gauge("inkling_model_requests_in_progress", status.active_requests)
        metrics.gauge("inkling_model_queue", status.queued_requests)
        metrics.gauge("inkling_resident_bytes", status.resident_bytes)
        metrics.add("inkling_model_cancelled_total", status.cancelled_requests)
        return Numbers(
            replica=str(serve.get_replica_context().replica_id.unique_id),
            samples=[*metrics.samples(), *counters_as_samples(counters)],
            states=status.models,
            device=status.device,
            active=status.active_requests,
            queued=status.queued_requests,
            cancelled=status.cancelled_requests,
            counters=counters,
            bytes=status.resident_bytes,
        )

    async def check_health(self) -> None:
        """Raises when a model's thread has ended: Ray then replaces this replica."""
        failed = [state.error for state in self._scheduler.pool.states() if state.state == "failed"]
        if failed:
            raise RuntimeError(failed[0])


class _Waiting:
    """A call that waits for its batch, and can be cancelled within it without ending the others."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._task: asyncio.Task[list[Any]] | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """The client has gone."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def answer(self, scheduler: Scheduler, spec: ModelSpec) -> list[Any] | Failed:
        """Never raises: the other calls of the batch would fail with it."""
        call = self._call
        if self._cancelled:
            return Failed("cancelled", "The request was cancelled.")
        self._task = asyncio.ensure_future(
            scheduler.run(
                call.task,
                spec.id,
                call.inputs,
                call.parameters,
                priority=Priority(call.priority),
                client=call.client,
                quantization=spec.quantization,
                deadline_s=call.deadline_s,
            )
        )
        try:
            return await self._task
        except asyncio.CancelledError:
            return Failed("cancelled", "The request was cancelled.")
        except Exception as error:
            return Failed.of(as_inkling_error(error, spec.id))
