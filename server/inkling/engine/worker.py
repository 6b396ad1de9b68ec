"""One loaded model and the one thread that uses it, from loading to unloading."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from inkling.engine.backend import LoadedModel, Stop
from inkling.engine.jobs import BatchJob, GenerateJob, Job, JobQueue
from inkling.engine.protocol import Chunk
from inkling.errors import InklingError

log = logging.getLogger(__name__)

_TURN_S = 0.25
"""A generation that others of its priority wait for keeps its turn this long."""

_GIVE_WAY_S = 0.5
"""Work waits at most this long for more urgent work on another model, before each of its turns."""

_MEASURE_S = 1.0
"""A model's size is asked for this often: caches of prefixes grow and shrink."""


class _AllStop(Stop):
    """Set when every request that shares a slice has stopped."""

    def __init__(self, stops: list[Stop]) -> None:
        super().__init__()
        self._stops = stops

    @property
    def is_set(self) -> bool:
        return all(stop.is_set for stop in self._stops)

    @property
    def is_late(self) -> bool:
        return all(stop.is_late for stop in self._stops)


def as_inkling_error(error: BaseException, what: str) -> InklingError:
    """An error fit for the user; a defect is logged by its type and frames alone, since its words may hold text."""
    if isinstance(error, InklingError):
        return error
    if isinstance(error, MemoryError):
        return InklingError(
            "out-of-memory",
            f"Memory ran out in {what}.",
            "Choose a smaller model or a stronger quantization, or close other programs.",
        )
    frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    log.error("%s in %s\n%s", type(error).__name__, what, frames)
    return InklingError(
        "internal", f"An internal error ({type(error).__name__}) in {what}.", "See `inkling engine logs`."
    )


class Yielding:
    """Lets models give way to each other: work of low priority waits a moment while urgent work runs elsewhere."""

    def __init__(self) -> None:
        self._running: Counter[int] = Counter()
        self._changed = threading.Condition()

    def enter(self, priority: int) -> None:
        """Urgent work begins."""
        with self._changed:
            self._running[priority] += 1

    def leave(self, priority: int) -> None:
        """It ends."""
        with self._changed:
            self._running[priority] -= 1
            self._changed.notify_all()

    def give_way(self, priority: int) -> None:
        """Wait until nothing more urgent runs on another model; bounded, so that nothing starves."""

        def free() -> bool:
            return not any(count for other, count in self._running.items() if other < priority)

        with self._changed:
            self._changed.wait_for(free, _GIVE_WAY_S)


class ModelWorker:
    """Owns a model on a persistent thread; `submit`, `cancel` and `close` may be called from any.

    `bytes` is the model's size, caches included, as of a second ago at most.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], LoadedModel],
        *,
        queue_limit: int,
        yielding: Yielding,
        on_loaded: Callable[[LoadedModel | InklingError], None],
        on_closed: Callable[[Mapping[str, int]], None],
    ) -> None:
        self.name = name
        self.last_used = time.monotonic()
        self._load = load
        self._queue = JobQueue(queue_limit)
        self._changed = threading.Condition()
        self._yielding = yielding
        self._on_loaded = on_loaded
        self._on_closed = on_closed
        self._closing = False
        self._seconds_per_job = 0.1
        self.model: LoadedModel | None = None
        self._counted: Mapping[str, int] = {}
        """What the model had counted when it was unloaded."""
        self.bytes = 0
        self._measured = 0.0
        self.thread = threading.Thread(target=self._main, name=f"model {name}", daemon=True)

    def start(self) -> None:
        """Start the thread, which loads the model first."""
        self.thread.start()

    @property
    def busy(self) -> bool:
        """True while a job is unfinished."""
        return len(self._queue) > 0

    def queued(self) -> int:
        """Jobs that have not had a turn yet."""
        with self._changed:
            return sum(not job.started for job in self._queue)

    def counters(self) -> Mapping[str, int]:
        """The model's counters; while it is being unloaded, and until `on_closed` has been heard, its last."""
        model = self.model
        return model.counters() if model is not None else self._counted

    def submit(self, job: Job) -> None:
        """Raises `InklingError` (`engine-busy`, or `unloaded` when the model is just being unloaded)."""
        with self._changed:
            if self._closing:
                raise InklingError("unloaded", f"{self.name} is being unloaded.")
            self._queue.push(job, seconds_per_job=self._seconds_per_job)
            self.last_used = time.monotonic()
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """The client went away: stop at the next token or slice."""
        job.stop.set()
        with self._changed:
            self._changed.notify()

    def close(self, *, if_idle: bool = False) -> bool:
        """Unload once the current step ends; with `if_idle`, only when no job is unfinished. False when it did not."""
        with self._changed:
            if if_idle and len(self._queue):
                return False
            self._closing = True
            for job in self._queue:
                job.stop.set()
            self._changed.notify()
        return True

    def _main(self) -> None:
        try:
            self.model = self._load()
        except BaseException as error:
            self._on_loaded(as_inkling_error(error, f"loading {self.name}"))
            return
        self.bytes = self.model.bytes
        self._on_loaded(self.model)
        while (job := self._next()) is not None:
            self._turn(job)
        self._counted = dict(self.model.counters())
        try:
            self.model.close()
        except BaseException as error:
            as_inkling_error(error, f"unloading {self.name}")
        self.model = None
        self._on_closed(self._counted)

    def _next(self) -> Job | None:
        """The job whose turn it is; None once the model is to be unloaded."""
        with self._changed:
            while True:
                for job in list(self._queue):
                    if self._closing or job.stop.is_set or job.stop.is_late:
                        self._drop(job)
                if self._closing:
                    return None
                if (job_or_none := self._queue.best()) is not None:
                    return job_or_none
                self._changed.wait()

    def _drop(self, job: Job) -> None:
        if isinstance(job, GenerateJob):
            _close(job)
            if job.stop.is_late:
                job.deliver(Chunk("", 0, 0.0, "deadline"))
        job.fail(
            InklingError("timeout", f"{self.name} did not answer in time.")
            if job.stop.is_late
            else InklingError("cancelled", "The request was cancelled.")
        )
        self._queue.discard(job)

    def _turn(self, job: Job) -> None:
        self._yielding.give_way(job.priority)
        self._yielding.enter(job.priority)
        started = time.monotonic()
        job.started = True
        clients = {job.client}
        settled: list[BatchJob] = []
        try:
            if isinstance(job, GenerateJob):
                self._generate(job, started)
            elif isinstance(job, BatchJob):
                jobs = self._compute(job)
                clients = {job.client for job in jobs}
                settled = [job for job in jobs if job.settle()]
        except BaseException as error:
            job.fail(as_inkling_error(error, self.name))
        finally:
            self._yielding.leave(job.priority)
            seconds = time.monotonic() - started
            with self._changed:
                self._seconds_per_job = 0.9 * self._seconds_per_job + 0.1 * seconds
                for client in clients:
                    self._queue.charge(client, seconds / len(clients))
                for other in [other for other in self._queue if other.done]:
                    self._queue.discard(other)
                self.last_used = time.monotonic()
            # Only now: whoever gets a result asks for the next, and should not meet a lock that this thread holds.
            for finished in settled:
                finished.hand_over()
            if job.done and isinstance(job, GenerateJob):
                _close(job)
            if self.last_used - self._measured > _MEASURE_S and self.model is not None:
                self._measured = self.last_used
                self.bytes = self.model.bytes

    def _generate(self, job: GenerateJob, started: float) -> None:
        assert self.model is not None
        if job.steps is None:
            job.steps = iter(self.model.generate(job.request, job.stop))
        while True:
            if job.prompt_read:
                chunk = next(job.steps, None)
            else:
                before = _prompt_tokens(self.model)
                chunk = next(job.steps, None)
                job.prompt_tokens += _prompt_tokens(self.model) - before
                job.prompt_read = chunk is not None and chunk.tokens > 0
            if job.stop.is_set:
                return  # `_next` drops it
            if chunk is None:
                chunk = Chunk("", 0, 0.0, "deadline" if job.stop.is_late else "stop")
            if chunk.text or chunk.finish or chunk.notices:
                job.deliver(chunk)
            if job.done:
                return
            with self._changed:
                if self._closing or self._queue.more_urgent(job):
                    return
                if time.monotonic() - started > _TURN_S and len(self._queue) > 1:
                    return

    def _compute(self, first: BatchJob) -> list[BatchJob]:
        """One slice, for `first` and those whose inputs fit beside it; returns the jobs it served."""
        assert self.model is not None
        with self._changed:
            chosen = self._queue.next_slice(first)
        try:
            self._run(chosen)
        except BaseException as error:
            jobs = {id(job): job for job, _ in chosen}
            if len(jobs) == 1:
                first.fail(as_inkling_error(error, self.name))
            else:
                # One request's bad input must not fail the others that happened to share its slice.
                for job in jobs.values():
                    try:
                        self._run([(owner, index) for owner, index in chosen if owner is job])
                    except BaseException as own:
                        job.fail(as_inkling_error(own, self.name))
        return list({id(job): job for job, _ in chosen}.values())

    def _run(self, chosen: list[tuple[BatchJob, int]]) -> None:
        assert self.model is not None
        stop = _AllStop([job.stop for job, _ in chosen])
        results: list[Any] = self.model.run([job.inputs[index] for job, index in chosen], chosen[0][0].parameters, stop)
        if len(results) < len(chosen) and not (stop.is_set or stop.is_late):
            raise InklingError("internal", f"{self.name} gave {len(results)} results for {len(chosen)} inputs.")
        for (job, index), result in zip(chosen, results, strict=False):
            job.results[index] = result
        for job, index in chosen[len(results) :]:  # stopped half-way: `_next` drops these jobs
            job.pending.append(index)


def _prompt_tokens(model: LoadedModel) -> int:
    counters = model.counters()
    return counters.get("prefill_tokens", 0) + counters.get("reused_tokens", 0)


def _close(job: GenerateJob) -> None:
    close = getattr(job.steps, "close", None)
    if close is None:
        return
    try:
        close()
    except BaseException as error:
        as_inkling_error(error, "ending a generation")
