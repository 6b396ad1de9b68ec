"""Takes requests on the event loop, gives them to the models' threads, and knows when their clients have gone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from inkling import __version__
from inkling.engine.backend import Backend, Stop
from inkling.engine.events import EventHub
from inkling.engine.jobs import BatchJob, GenerateJob, Job
from inkling.engine.pool import ModelPool
from inkling.engine.protocol import Chunk, EngineStatus, GenerateRequest, ModelState, Priority, Task
from inkling.engine.settings import EngineSettings
from inkling.engine.worker import ModelWorker
from inkling.errors import InklingError

_JobT = TypeVar("_JobT", bound=Job)

_GRACE_S = 0.5
"""How much longer than its deadline a request may take, for the model to end it in its own words."""


@dataclass(eq=False)
class _Ticket:
    """A request in progress."""

    stop: Stop
    job: Job | None = None
    worker: ModelWorker | None = None
    superseded: bool = False
    finished: bool = False

    def end(self) -> None:
        self.stop.set()
        if self.worker is not None and self.job is not None:
            self.worker.cancel(self.job)


class Scheduler:
    """Everything that the engine does for a request. Used on the event loop only."""

    def __init__(self, create_backend: Callable[[], Backend], settings: EngineSettings, hub: EventHub) -> None:
        self.hub = hub
        self.pool = ModelPool(create_backend, settings, hub)
        self._active: set[_Ticket] = set()
        self._latest: dict[tuple[str, str, str], _Ticket] = {}
        self._cancelled = 0
        self._served = 0
        self._started = time.monotonic()
        self.last_request = time.monotonic()

    @property
    def active(self) -> int:
        """Requests in progress."""
        return len(self._active)

    @contextmanager
    def _request(self, stop: Stop) -> Iterator[_Ticket]:
        ticket = _Ticket(stop)
        self._active.add(ticket)
        try:
            yield ticket
        except (asyncio.CancelledError, GeneratorExit):
            self._cancelled += not ticket.finished
            raise
        finally:
            if ticket.job is None or not ticket.job.done:
                ticket.end()
            self._active.discard(ticket)
            self._served += 1
            self.last_request = time.monotonic()

    async def _submit(
        self, ticket: _Ticket, model: str, task: str, quantization: str, make: Callable[[], _JobT]
    ) -> _JobT:
        while True:
            worker = await self.pool.worker(model, task, quantization)
            if ticket.superseded:
                raise _superseded()
            job = make()
            try:
                worker.submit(job)
            except InklingError as error:
                if error.reason != "unloaded":
                    raise
                await asyncio.sleep(0.01)  # the model was just being unloaded: load it again
                continue
            ticket.job, ticket.worker = job, worker
            return job

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
        if not inputs:
            return []
        stop = Stop(deadline_s)

        def make() -> BatchJob:
            return BatchJob(inputs, parameters, priority=priority, client=client, stop=stop)

        with self._request(stop) as ticket:
            try:
                async with asyncio.timeout(deadline_s and deadline_s + _GRACE_S):
                    job = await self._submit(ticket, model, task, quantization, make)
                    return await job.future
            except TimeoutError:
                raise InklingError("timeout", f"{model} did not answer within {deadline_s:g} s.") from None

    async def generate(
        self, request: GenerateRequest, *, client: str = "", usage: dict[str, int] | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Stream a generation; closing it stops the model at its next token. `usage` gets `prompt_tokens`.

        One whose deadline passes before the model is in memory ends with the notice `model-loading`.

        A completion supersedes the unfinished one with the same client, model and cache key.
        """
        stop = Stop(request.deadline_s)
        loop = asyncio.get_running_loop()
        until = None if request.deadline_s is None else loop.time() + request.deadline_s + _GRACE_S

        def make() -> GenerateJob:
            return GenerateJob(request, client=client, stop=stop)

        with self._request(stop) as ticket:
            key = (client, request.model, request.cache_key)
            if request.cache_key and request.priority is Priority.COMPLETION:
                self._supersede(key, ticket)
            try:
                async with asyncio.timeout_at(until):
                    job = await self._submit(ticket, request.model, Task.TEXT_GENERATION, request.quantization, make)
                while True:
                    if job.chunks.empty():
                        async with asyncio.timeout_at(until):
                            chunk = await job.chunks.get()
                    else:
                        chunk = job.chunks.get_nowait()
                    if isinstance(chunk, InklingError):
                        raise chunk
                    if usage is not None:
                        usage["prompt_tokens"] = job.prompt_tokens
                    ticket.finished = bool(chunk.finish)
                    yield chunk
                    if ticket.finished:
                        return
            except TimeoutError:
                yield Chunk("", 0, 0.0, "deadline", () if ticket.job is not None else ("model-loading",))
            finally:
                if self._latest.get(key) is ticket:
                    del self._latest[key]

    def _supersede(self, key: tuple[str, str, str], ticket: _Ticket) -> None:
        older = self._latest.get(key)
        if older is not None:
            older.superseded = True
            if older.job is not None:
                older.job.fail(_superseded())
            older.end()
            self._cancelled += 1
        self._latest[key] = ticket

    async def load(self, model: str, task: str, quantization: str = "auto") -> ModelState:
        """Load now; returns when it is ready."""
        worker = await self.pool.worker(model, task, quantization)
        loaded = worker.model
        if loaded is None:
            raise InklingError("unloaded", f"{model} was unloaded at once: there is too little memory.")
        why = loaded.quantization_why
        labels = tuple(getattr(loaded, "labels", ()))
        return ModelState(model, task, "ready", 1.0, loaded.quantization, why, loaded.bytes, labels=labels)

    def status(self, **extra: Any) -> EngineStatus:
        """State and counters."""
        counters = self.pool.counters()
        known = ("generated_tokens", "prefill_tokens")
        return EngineStatus(
            version=__version__,
            pid=os.getpid(),
            device=self.pool.device,
            models=self.pool.states(),
            active_requests=self.active,
            queued_requests=self.pool.queued(),
            generated_tokens=counters["generated_tokens"],
            prefill_tokens=counters["prefill_tokens"],
            cancelled_requests=self._cancelled,
            resident_bytes=self.pool.resident_bytes,
            extra={
                "leases": self.hub.leases,
                "served_requests": self._served,
                "uptime_s": round(time.monotonic() - self._started, 3),
                **{name: count for name, count in counters.items() if name not in known},
                **extra,
            },
        )

    async def close(self) -> None:
        """Stop everything."""
        for ticket in list(self._active):
            ticket.end()
        await self.pool.close()


def _superseded() -> InklingError:
    return InklingError("superseded", "A newer request for the same place took over.")
