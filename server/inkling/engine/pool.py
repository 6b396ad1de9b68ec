"""The models in memory: loaded on first use, once however many ask; unloaded when idle or when room is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psutil

from inkling.engine.backend import Backend, LoadedModel
from inkling.engine.events import EventHub
from inkling.engine.models.memory import available_bytes
from inkling.engine.models.weights import Weights
from inkling.engine.protocol import EngineEvent, ModelState
from inkling.engine.settings import EngineSettings
from inkling.engine.worker import ModelWorker, Yielding, as_inkling_error
from inkling.errors import InklingError

log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_PROGRESS_STEP = 0.02
_FAILED_KEPT = 32
_LEAVE_S = 0.2
_SHORT = 0.04
"""Of the machine's memory: with less than this available, an idle model is unloaded."""

Key = tuple[str, str, str]


@dataclass(eq=False)
class _Slot:
    key: Key
    state: ModelState
    bytes: int = 0
    worker: ModelWorker | None = None
    ready: asyncio.Task[ModelWorker] | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    weights: str = ""
    """What the id meant when it was loaded, see `models/weights.py`."""


class ModelPool:
    """Used on the event loop only. `create_backend` runs on a thread of its own, since it imports torch.

    `weights_of` tells which weights an id means now: a model that was trained or pulled anew is loaded anew.
    """

    def __init__(
        self,
        create_backend: Callable[[], Backend],
        settings: EngineSettings,
        hub: EventHub,
        weights_of: Callable[[str], Awaitable[str]] | None = None,
    ) -> None:
        self._create_backend = create_backend
        self._settings = settings
        self._hub = hub
        self._backend: asyncio.Task[Backend] | None = None
        self._slots: dict[Key, _Slot] = {}
        self._failed: dict[Key, tuple[InklingError, float, ModelState]] = {}
        self._loading = asyncio.Lock()
        self._yielding = Yielding()
        self._weights_of = weights_of or Weights().of
        self._leaving: set[_Slot] = set()
        """Models that get no more requests, until they are out of memory."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: Counter[str] = Counter()
        self._budget = settings.memory_budget_mb * _MIB or int(0.7 * available_bytes())

    def warm(self) -> asyncio.Task[Backend]:
        """Start importing the model side now; the task is shared by all loads."""
        if self._backend is None or (self._backend.done() and self._backend.exception() is not None):
            self._backend = asyncio.create_task(asyncio.to_thread(self._create_backend))
        return self._backend

    async def worker(self, model: str, task: str, quantization: str) -> ModelWorker:
        """The worker of a loaded model, loaded now if need be. Cancelling the caller leaves the load running."""
        slot = self._find(model, task, quantization)
        if slot is not None and slot.state.state == "ready" and await self._weights_of(model) != slot.weights:
            self._replace(slot)
            slot = self._find(model, task, quantization)
        if slot is None:
            key = (model, task, quantization)
            if key in self._failed:
                error, until, _ = self._failed[key]
                if time.monotonic() < until:
                    raise error
            slot = _Slot(key, ModelState(model, task, "loading"))
            self._slots[key] = slot
            slot.ready = asyncio.create_task(self._load(slot))
            slot.ready.add_done_callback(_retrieve)
        assert slot.ready is not None
        return slot.ready.result() if slot.ready.done() else await asyncio.shield(slot.ready)

    def _find(self, model: str, task: str, quantization: str) -> _Slot | None:
        exact = self._slots.get((model, task, quantization))
        if exact is not None:
            return exact
        for (other_model, other_task, _), slot in self._slots.items():
            if (other_model, other_task, slot.state.quantization) == (model, task, quantization):
                return slot
        return None

    def _replace(self, slot: _Slot) -> None:
        """Let its requests end and the next ones have the weights that are there now."""
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
            self._leaving.add(slot)
            task = asyncio.create_task(self._leave(slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _leave(self, slot: _Slot) -> None:
        while not await self._unload(slot):  # noqa: ASYNC110 - a worker's thread has no event for "idle"
            await asyncio.sleep(_LEAVE_S)

    async def _load(self, slot: _Slot) -> ModelWorker:
        model, task, quantization = slot.key
        started = time.monotonic()
        self._announce(slot, slot.state)
        try:
            slot.weights = await self._weights_of(model)
            backend = await asyncio.shield(self.warm())
            async with self._loading:
                need = await asyncio.to_thread(backend.estimate_bytes, model, task, quantization=quantization)
                on_gpu = str(getattr(backend, "device", self._settings.device)).startswith("cuda")
                if self._settings.memory_budget_mb or not on_gpu:
                    await self._make_room(backend, slot, need)
                slot.bytes = need
                loaded = await self._start_or_make_room(backend, slot)
        except asyncio.CancelledError:  # the engine is leaving
            self._slots.pop(slot.key, None)
            raise
        except BaseException as raised:
            error = as_inkling_error(raised, f"loading {model}")
            self._slots.pop(slot.key, None)
            # A failure that took long is not repeated at every keystroke; a quick one may be, so that a repair shows.
            until = time.monotonic() + min(30.0, 5 * (time.monotonic() - started))
            state = replace(slot.state, state="failed", error=str(error))
            self._failed[slot.key] = (error, until, state)
            while len(self._failed) > _FAILED_KEPT:
                self._failed.pop(next(iter(self._failed)))
            self._announce(slot, state)
            raise error from None
        self._failed.pop(slot.key, None)
        why = loaded.quantization_why
        self._announce(slot, ModelState(model, task, "ready", 1.0, loaded.quantization, why, _bytes(slot)))
        log.info("loaded %s for %s in %.1f s", model, task, time.monotonic() - started)
        assert slot.worker is not None
        return slot.worker

    async def _start_or_make_room(self, backend: Backend, slot: _Slot) -> LoadedModel:
        """What a GPU has left is known only by running out of it: then idle models leave, and the load is repeated."""
        while True:
            try:
                return await self._start_worker(backend, slot)
            except InklingError as error:
                if error.reason != "out-of-memory" or not await self._unload_least_recent():
                    raise

    async def _start_worker(self, backend: Backend, slot: _Slot) -> LoadedModel:
        model, task, quantization = slot.key
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[LoadedModel] = loop.create_future()

        def post(callback: Callable[..., None], *arguments: object) -> None:
            with suppress(RuntimeError):  # the loop closed: the engine is leaving
                loop.call_soon_threadsafe(callback, *arguments)

        def progress(fraction: float) -> None:
            post(self._progress, slot, fraction)

        def settle(result: LoadedModel | InklingError) -> None:
            if loaded.cancelled():
                return
            if isinstance(result, InklingError):
                loaded.set_exception(result)
            else:
                loaded.set_result(result)

        slot.worker = ModelWorker(
            model,
            lambda: backend.load(model, task, quantization=quantization, on_progress=progress),
            queue_limit=self._settings.queue_limit,
            yielding=self._yielding,
            on_loaded=lambda result: post(settle, result),
            on_closed=lambda counters: post(self._closed, slot, counters),
        )
        slot.worker.start()
        return await loaded

    def _progress(self, slot: _Slot, fraction: float) -> None:
        fraction = min(1.0, max(0.0, fraction))
        if slot.state.state == "loading" and fraction - slot.state.progress >= _PROGRESS_STEP:
            self._announce(slot, replace(slot.state, progress=fraction))

    def _announce(self, slot: _Slot, state: ModelState) -> None:
        slot.state = state
        self._hub.publish(EngineEvent("model", state))

    def _closed(self, slot: _Slot, counters: Mapping[str, int]) -> None:
        self._retired.update(counters)
        slot.closed.set()
        self._leaving.discard(slot)
        if slot.key in self._slots:  # another has taken its place
            return
        self._announce(slot, replace(slot.state, state="absent", progress=0.0, bytes=0))

    # Memory

    def _free(self) -> int:
        """Bytes that a new model may take."""
        free = self._budget - self.resident_bytes
        return free if self._settings.memory_budget_mb else min(free, int(0.9 * available_bytes()))

    async def _make_room(self, backend: Backend, slot: _Slot, need: int) -> None:
        while need > (free := self._free()):
            if not await self._unload_least_recent():
                raise await self._too_big(backend, slot.key, need, free)

    async def _too_big(self, backend: Backend, key: Key, need: int, free: int) -> InklingError:
        model, task, quantization = key
        ways = ["choose a smaller model", "raise engine.memory_budget_mb", "close other programs"]
        for smaller in ("int8", "nf4"):
            if quantization in ("none", "auto"):
                with suppress(InklingError):
                    bytes_ = await asyncio.to_thread(backend.estimate_bytes, model, task, quantization=smaller)
                    if bytes_ <= free:
                        ways.insert(0, f'set quantization = "{smaller}" ({bytes_ // _MIB} MiB)')
                        break
        return InklingError(
            "out-of-memory",
            f"{model} needs {need // _MIB} MiB and {max(0, free) // _MIB} MiB are free for models.",
            f"Either {', or '.join(ways)}.",
        )

    async def _unload_least_recent(self) -> bool:
        idle = [slot for slot in self._slots.values() if slot.state.state == "ready" and slot.worker is not None]
        for slot in sorted(idle, key=lambda slot: slot.worker.last_used if slot.worker else 0.0):
            if await self._unload(slot):
                return True
        return False

    async def _unload(self, slot: _Slot) -> bool:
        """Unload unless it is in use."""
        if slot.worker is None or not slot.worker.close(if_idle=True):
            return False
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
        self._leaving.add(slot)
        await slot.closed.wait()
        log.info("unloaded %s", slot.key[0])
        return True

    async def sweep(self) -> None:
        """Unload what has been idle for long, and one model when the machine's memory runs short."""
        now = time.monotonic()
        for slot in list(self._slots.values()):
            worker = slot.worker
            if slot.state.state == "ready" and worker and now - worker.last_used > self._settings.unload_seconds:
                await self._unload(slot)
        if available_bytes() < _SHORT * psutil.virtual_memory().total:
            await self._unload_least_recent()

    async def close(self, wait_s: float = 2.0) -> None:
        """Stop all work and unload; a model in the middle of a long step is left to die with the process."""
        slots = [*self._slots.values(), *self._leaving]
        self._slots.clear()
        for task in self._tasks:
            task.cancel()
        for slot in slots:
            if slot.worker is not None:
                slot.worker.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                for slot in slots:
                    if slot.state.state == "ready":
                        await slot.closed.wait()
        for slot in slots:
            if slot.ready is not None:
                slot.ready.cancel()

    # What it looks like from outside

    @property
    def resident_bytes(self) -> int:
        """Bytes of all models that are loaded or being loaded."""
        return sum(_bytes(slot) for slot in (*self._slots.values(), *self._leaving))

    @property
    def device(self) -> str:
        """Where the loaded models run, else the setting."""
        for slot in self._slots.values():
            if slot.worker is not None and slot.worker.model is not None:
                return slot.worker.model.device
        return self._settings.device

    def states(self) -> tuple[ModelState, ...]:
        """Loaded and loading models, then those that last failed."""
        failed = (state for key, (_, _, state) in self._failed.items() if key not in self._slots)
        present = (
            replace(slot.state, bytes=_bytes(slot)) if slot.state.state == "ready" else slot.state
            for slot in self._slots.values()
        )
        return (*present, *failed)

    def counters(self) -> Counter[str]:
        """The models' counters summed, unloaded ones included: they only grow."""
        total = Counter(self._retired)
        for slot in (*self._slots.values(), *self._leaving):
            if slot.worker is not None:
                total.update(slot.worker.counters())
        return total

    def queued(self) -> int:
        """Requests that wait for their first turn."""
        return sum(slot.worker.queued() for slot in self._slots.values() if slot.worker is not None)


def _bytes(slot: _Slot) -> int:
    """What the model takes; while it is loading, what it is expected to take."""
    return (slot.worker.bytes if slot.worker is not None else 0) or slot.bytes


def _retrieve(task: asyncio.Task[ModelWorker]) -> None:
    """Whoever waited got the error; that nobody waits any more is no reason for a warning."""
    if not task.cancelled():
        task.exception()
