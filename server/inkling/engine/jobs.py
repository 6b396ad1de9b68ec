"""Work that waits for one model, and the order in which it gets its turn.

The order: by priority, then by client (the one that has used the model least), then by arrival. A job stays in the
queue until it is finished, so whoever takes the next turn is simply the best job in the queue at that moment: a long
generation or a large batch is preempted between two steps, never in the middle of one.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from inkling.engine.backend import Stop
from inkling.engine.protocol import Chunk, GenerateRequest, Priority
from inkling.engine.wire import dumps, length_of
from inkling.errors import InklingError

_arrivals = itertools.count()

SLICE_ITEMS = 32
"""The most inputs in one call of a model."""

SLICE_CHARACTERS = 16_384
"""The most characters in one call, padding to the longest input included."""


class Job:
    """One request. `deliver` hands results to the event loop; the job is over once `done` is set."""

    def __init__(self, *, priority: Priority, client: str, stop: Stop) -> None:
        self.priority = priority
        self.client = client
        self.stop = stop
        self.arrival = next(_arrivals)
        self.started = False
        self.done = False
        self._loop = asyncio.get_running_loop()

    def _post(self, callback: Callable[..., Any], *arguments: Any) -> None:
        # The loop may have closed under a worker that is just finishing: then nobody waits for the result.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)

    def fail(self, error: InklingError) -> None:
        """End the job with an error. From any thread."""
        raise NotImplementedError


class BatchJob(Job):
    """Inputs for any task but generation; `future` gets one result per input, in order."""

    def __init__(
        self, inputs: Sequence[Any], parameters: Mapping[str, Any], *, priority: Priority, client: str, stop: Stop
    ) -> None:
        super().__init__(priority=priority, client=client, stop=stop)
        self.inputs = inputs
        self.parameters = parameters
        self.merge_key = dumps(sorted(parameters.items()))
        self.results: list[Any] = [None] * len(inputs)
        self.lengths = [length_of(item) for item in inputs]
        self.pending = sorted(range(len(inputs)), key=self.lengths.__getitem__)
        self.future: asyncio.Future[list[Any]] = self._loop.create_future()

    def settle(self) -> bool:
        """Whether the last result has just come; then the job is over, and `hand_over` is due."""
        if self.pending or self.done:
            return False
        self.done = True
        return True

    def hand_over(self) -> None:
        """Give the results to whoever waits for them."""
        self._post(_set_result, self.future, self.results)

    def fail(self, error: InklingError) -> None:
        """End the job with an error."""
        if not self.done:
            self.done = True
            self._post(_set_exception, self.future, error)


class GenerateJob(Job):
    """A generation; its chunks, and an error if one ends it, arrive in `chunks`."""

    def __init__(self, request: GenerateRequest, *, client: str, stop: Stop) -> None:
        super().__init__(priority=request.priority, client=client, stop=stop)
        self.request = request
        self.steps: Iterator[Chunk] | None = None
        self.prompt_tokens = 0
        self.prompt_read = False
        self.chunks: asyncio.Queue[Chunk | InklingError] = asyncio.Queue()

    def deliver(self, chunk: Chunk) -> None:
        """Pass a chunk on; one with a finish ends the job."""
        self.done = self.done or bool(chunk.finish)
        self._post(self.chunks.put_nowait, chunk)

    def fail(self, error: InklingError) -> None:
        """End the job with an error."""
        if not self.done:
            self.done = True
            self._post(self.chunks.put_nowait, error)


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class JobQueue:
    """Unfinished jobs of one model. Not thread-safe: the worker guards it with its lock.

    `charge` counts what each client used; a client that comes back starts level with the least-used one, so that
    having been away gives no right to a long run.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._share = max(1, limit // 4)
        self._jobs: list[Job] = []
        self._used: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def push(self, job: Job, *, seconds_per_job: float = 1.0) -> None:
        """Raises `Busy` when the queue, or the client's share of it, is full."""
        mine = sum(other.client == job.client for other in self._jobs)
        if len(self._jobs) >= self._limit or mine >= self._share:
            waiting = len(self._jobs) if mine < self._share else mine
            raise Busy(waiting, seconds_per_job)
        if not mine:
            present = [self._used.get(other.client, 0.0) for other in self._jobs]
            self._used[job.client] = max(self._used.get(job.client, 0.0), min(present, default=0.0))
        self._jobs.append(job)

    def discard(self, job: Job) -> None:
        """Take a finished job out."""
        if job in self._jobs:
            self._jobs.remove(job)
        if not self._jobs:
            self._used.clear()

    def best(self) -> Job | None:
        """Whose turn it is."""
        return min(self._jobs, key=self._rank, default=None)

    def charge(self, client: str, seconds: float) -> None:
        """Count model time against a client."""
        self._used[client] = self._used.get(client, 0.0) + seconds

    def _rank(self, job: Job) -> tuple[int, float, int]:
        return (job.priority, self._used.get(job.client, 0.0), job.arrival)

    def more_urgent(self, than: Job) -> bool:
        """True when a job of higher priority waits."""
        return any(job.priority < than.priority for job in self._jobs)

    def next_slice(self, first: BatchJob) -> list[tuple[BatchJob, int]]:
        """Inputs to compute together: those of `first`, then of other jobs with equal parameters, of similar length.

        The jobs' `pending` lists are shortened by what is returned.
        """
        chosen: list[tuple[BatchJob, int]] = []
        longest = 0
        others = (job for job in self._jobs if isinstance(job, BatchJob) and job is not first)
        alike = sorted((job for job in others if job.merge_key == first.merge_key), key=self._rank)
        for job in (first, *alike):
            while job.pending and len(chosen) < SLICE_ITEMS:
                length = job.lengths[job.pending[-1]]
                if chosen and (
                    max(longest, length) * (len(chosen) + 1) > SLICE_CHARACTERS or length > 2 * longest + 16
                ):
                    break
                longest = max(longest, length)
                chosen.append((job, job.pending.pop()))
        return chosen


class Busy(InklingError):
    """The queue is full. `retry_after_s` is a guess at when a place will be free."""

    def __init__(self, waiting: int, seconds_per_job: float) -> None:
        self.retry_after_s = max(1, math.ceil(waiting * seconds_per_job / 4))
        super().__init__(
            "engine-busy",
            f"The engine is busy: {waiting} requests wait for this model.",
            f"Try again in {self.retry_after_s} s.",
        )
