"""A gateway's side of each request: find the deployment, retry what may be retried, say plainly what broke."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any, Protocol

from inkling import __version__
from inkling.engine.cluster.metrics import Metrics, page
from inkling.engine.cluster.replies import Call, Failed, Numbers, Piece, ReplicaGone
from inkling.engine.cluster.routing import affinity_key
from inkling.engine.cluster.settings import ClusterSettings, deployment_names
from inkling.engine.events import EventHub
from inkling.engine.protocol import Chunk, EngineStatus, GenerateRequest, ModelState, Priority, Task
from inkling.errors import InklingError

GATEWAY = "gateway"
_ATTEMPTS = 4
"""A request outlives the loss of this many replicas less one."""

_GRACE_S = 0.5


class Replicas(Protocol):
    """The deployments' replicas. Methods raise `ReplicaGone`, or `Busy` when too many wait."""

    async def call(self, deployment: str, method: str, *arguments: Any, key: str = "") -> Any:
        """One answer from one replica; with a `key`, from the one that the key belongs to."""
        ...

    def stream(self, deployment: str, method: str, *arguments: Any, key: str = "") -> AsyncGenerator[Any, None]:
        """Answers as one replica yields them. Closing it cancels the replica's work."""
        ...

    async def broadcast(self, deployment: str, method: str) -> list[Any]:
        """An answer from each replica that lives; empty when there is none."""
        ...


class ClusterWork:
    """Satisfies `inkling.engine.work.Work` with replicas elsewhere. Also the `pool` of itself: it knows the models."""

    def __init__(self, settings: ClusterSettings, replicas: Replicas) -> None:
        self.hub = EventHub()
        self.metrics = Metrics()
        self._settings = settings
        self._replicas = replicas
        self._names = deployment_names(settings)
        self._deployments = {
            (model.id, str(task)): name
            for model, name in zip(settings.models, self._names, strict=True)
            for task in model.tasks
        }
        self._running: Counter[str] = Counter()

    @property
    def pool(self) -> ClusterWork:
        """The models that are served."""
        return self

    def states(self) -> tuple[ModelState, ...]:
        """As configured: whether a replica is up, only `overview` knows."""
        return tuple(ModelState(model, task, "ready", 1.0) for model, task in self._deployments)

    def _deployment(self, model: str, task: str) -> str:
        try:
            return self._deployments[model, task]
        except KeyError:
            fitting = sorted({id_ for id_, other in self._deployments if other == task})
            hint = f"For {task} it has {', '.join(fitting)}." if fitting else f"It has no model for {task}."
            raise InklingError("model-not-found", f"This cluster does not serve {model} for {task}.", hint) from None

    @contextmanager
    def _counted(self, task: str) -> Iterator[None]:
        started = time.monotonic()
        status = "ok"
        self._running[task] += 1
        try:
            yield
        except InklingError as error:
            status = error.reason
            raise
        except (asyncio.CancelledError, GeneratorExit):
            status = "cancelled"
            raise
        except BaseException:
            status = "internal"
            raise
        finally:
            self._running[task] -= 1
            self.metrics.add("inkling_requests_total", task=task, status=status)
            if status == "ok":
                self.metrics.observe("inkling_request_seconds", time.monotonic() - started, task=task)

    async def _call(self, deployment: str, method: str, *arguments: Any) -> Any:
        """Inference changes nothing, so what a lost replica did not answer is asked of another."""
        for attempt in range(_ATTEMPTS):
            try:
                answer = await self._replicas.call(deployment, method, *arguments)
            except ReplicaGone:
                if attempt == _ATTEMPTS - 1:
                    break
                self.metrics.add("inkling_retries_total", deployment=deployment)
                await asyncio.sleep(0.05 * attempt)
                continue
            if isinstance(answer, Failed):
                raise answer.error()
            return answer
        raise InklingError("engine-crashed", f"Replicas of {deployment} end one after the other.", "See their logs.")

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
        """One result per input. The deployment's own quantization holds."""
        if not inputs:
            return []
        limit = deadline_s or self._settings.request_seconds
        with self._counted(str(task)):
            name = self._deployment(model, str(task))
            call = Call(str(task), inputs, parameters, int(priority), client, deadline_s)
            try:
                async with asyncio.timeout(limit + _GRACE_S):
                    results: list[Any] = await self._call(name, "run", call)
                    return results
            except TimeoutError:
                raise InklingError("timeout", f"{model} did not answer within {limit:g} s.") from None

    async def generate(
        self, request: GenerateRequest, *, client: str = "", usage: dict[str, int] | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Stream a generation. Tried again on another replica until the first piece, never after it."""
        task = str(Task.TEXT_GENERATION)
        with self._counted(task):
            name = self._deployment(request.model, task)
            key = affinity_key(client, request)
            # Two people's documents may have the same name: on a replica that both use, each has a slot of its own.
            request = replace(request, cache_key=key if request.cache_key else "")
            began = time.monotonic()
            started = False
            for attempt in range(_ATTEMPTS):
                if request.deadline_s is not None:
                    left = request.deadline_s - (time.monotonic() - began)
                    request = replace(request, deadline_s=max(0.01, left))
                try:
                    async with aclosing(self._pieces(name, request, client, key)) as pieces:
                        async for piece in pieces:
                            if not started:
                                started = True
                                self.metrics.observe("inkling_first_piece_seconds", time.monotonic() - began)
                            if usage is not None:
                                usage["prompt_tokens"] = piece.prompt_tokens
                            yield piece.chunk
                            if piece.chunk.finish:
                                return
                except ReplicaGone:
                    pass
                if started:
                    self.metrics.add("inkling_broken_streams_total", deployment=name)
                    raise InklingError(
                        "engine-crashed", "The replica ended before this text was finished.", "Ask again."
                    )
                self.metrics.add("inkling_retries_total", deployment=name)
                await asyncio.sleep(0.05 * attempt)
            raise InklingError("engine-crashed", f"Replicas of {name} end one after the other.", "See their logs.")

    async def _pieces(self, name: str, request: GenerateRequest, client: str, key: str) -> AsyncGenerator[Piece, None]:
        """Bounded in silence: a replica whose node has gone may say nothing at all."""
        bounded = request.deadline_s is not None
        limit = (request.deadline_s or self._settings.request_seconds) + _GRACE_S
        until = asyncio.get_running_loop().time() + limit
        any_yet = False
        async with aclosing(self._replicas.stream(name, "generate", request, client, key=key)) as answers:
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        answer = await anext(answers, None)
                except TimeoutError:
                    if not bounded:
                        raise InklingError("timeout", f"{request.model} was silent for {limit:g} s.") from None
                    notices = () if any_yet else ("model-loading",)
                    yield Piece(Chunk("", 0, 0.0, "deadline", notices), 0)
                    return
                if answer is None:
                    return
                if isinstance(answer, Failed):
                    raise answer.error()
                any_yet = True
                yield answer
                if not bounded:
                    until = asyncio.get_running_loop().time() + limit

    async def load(self, model: str, task: str, quantization: str = "auto") -> ModelState:
        """The state of a replica's model, which it loaded when it started."""
        state: ModelState = await self._call(self._deployment(model, task), "state", task)
        return state

    def numbers(self, replica: str) -> Numbers:
        """Of this gateway."""
        for task, count in self._running.items():
            self.metrics.gauge("inkling_requests_in_progress", count, task=task)
        return Numbers(replica, self.metrics.samples(), active=self._running.total())

    async def _everyone(self) -> dict[str, list[Numbers]]:
        names = (GATEWAY, *self._names)
        answers = await asyncio.gather(*(self._replicas.broadcast(name, "numbers") for name in names))
        return dict(zip(names, answers, strict=True))

    async def page(self) -> str:
        """Every gateway's and replica's metrics, for Prometheus: whichever gateway is asked, the page is the same."""
        everyone = await self._everyone()
        replicas = Metrics()
        for name, found in everyone.items():
            replicas.gauge("inkling_replicas", len(found), deployment=name)
        sources: list[tuple[dict[str, str], Sequence[Any]]] = [({}, replicas.samples())]
        sources += [
            ({"deployment": name, "replica": one.replica}, one.samples)
            for name, found in everyone.items()
            for one in found
        ]
        return page(sources)

    async def overview(self) -> EngineStatus:
        """The whole cluster as one engine; `extra` says how many replicas each deployment has."""
        everyone = await self._everyone()
        gateways = everyone.pop(GATEWAY)
        states: list[ModelState] = []
        total: Counter[str] = Counter()
        for (model, task), name in self._deployments.items():
            mine = [state for one in everyone[name] for state in one.states if state.task == task]
            ready = next((state for state in mine if state.state == "ready"), None)
            states.append(ready or (mine[0] if mine else ModelState(model, task, "absent")))
        models = [one for found in everyone.values() for one in found]
        for one in models:
            total.update(one.counters or {})
        return EngineStatus(
            version=__version__,
            pid=0,
            device=", ".join(sorted({one.device for one in models if one.device})) or "none",
            models=tuple(states),
            active_requests=sum(one.active for one in gateways),
            queued_requests=sum(one.queued for one in models),
            generated_tokens=total["generated_tokens"],
            prefill_tokens=total["prefill_tokens"],
            cancelled_requests=sum(one.cancelled for one in models),
            resident_bytes=sum(one.bytes for one in models),
            extra={
                "gateways": len(gateways),
                "replicas": {name: len(found) for name, found in everyone.items()},
                "reused_tokens": total["reused_tokens"],
            },
        )
