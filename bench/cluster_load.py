"""Load on a cluster while something breaks, and what became of each request."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx2

LM, ENCODER = "lm?token_s=0.01", "enc?item_s=0.005"
CLASSIFY = f"/models/{ENCODER.replace('?', '%3F')}/pipeline/text-classification"
TOKENS = 40
MODELS = [
    {"id": LM, "tasks": ["text-generation"], "min_replicas": 2, "max_replicas": 2, "cpus": 0.2},
    {"id": ENCODER, "tasks": ["text-classification"], "min_replicas": 2, "max_replicas": 2, "cpus": 0.2},
]


@dataclass
class Outcome:
    """`unary` and `streams` count what became of requests; `ms` holds the time of each unary one that was answered."""

    unary: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)
    retried: int = 0

    def __str__(self) -> str:
        unary, streams = (", ".join(f"{n} {what}" for what, n in c.items()) for c in (self.unary, self.streams))
        return f"unary calls: {unary} ({self.retried} asked twice) · streams: {streams}"


class Load:
    """`workers` clients of each kind, one request after the other, until `stop`. With `retry`, a unary call whose
    connection broke is sent once more, as Inkling's own client does; a stream never is."""

    def __init__(self, http: httpx2.AsyncClient, workers: int = 4, *, retry: bool = False) -> None:
        self.outcome = Outcome()
        self._http = http
        self._retry = retry
        self._stop = asyncio.Event()
        self._numbers = itertools.count()
        kinds = (self._unary, self._stream)
        self._tasks = [asyncio.create_task(kind(n)) for kind in kinds for n in range(workers)]

    async def until(self, answered: int, finished: int) -> None:
        """So many unary calls answered and streams finished, on a machine of whatever speed."""
        async with asyncio.timeout(60):
            while self.outcome.unary["answered"] < answered or self.outcome.streams["finished"] < finished:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def stop(self) -> Outcome:
        """Let what runs finish."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        return self.outcome

    async def _unary(self, worker: int) -> None:
        while not self._stop.is_set():
            number = next(self._numbers)
            began = time.perf_counter()
            for again in (False, True):
                what = await self._ask(f"bad {number}")
                if what == "answered" or again or not self._retry:
                    break
                self.outcome.retried += 1
                await asyncio.sleep(0.2)
            if what == "answered":
                self.outcome.ms.append(1000 * (time.perf_counter() - began))
            self.outcome.unary[what] += 1

    async def _ask(self, text: str) -> str:
        try:
            reply = await self._http.post(CLASSIFY, json={"inputs": [text]})
        except httpx2.TransportError as error:
            return f"lost ({type(error).__name__})"
        if reply.status_code != 200:
            return f"refused ({reply.status_code})"
        return "answered" if reply.json()[0][0]["label"] == "bad" else "wrong"

    async def _stream(self, worker: int) -> None:
        while not self._stop.is_set():
            self.outcome.streams[await self._read(f"document {worker}")] += 1
            await asyncio.sleep(0.01)

    async def _read(self, key: str) -> str:
        """`finished` with all its tokens and its end; `said it broke`; or, what must never be, `cut short silently`."""
        body = {"model": LM, "prompt": key, "max_tokens": TOKENS, "stream": True, "inkling": {"cache_key": key}}
        words, done, error = 0, False, False
        try:
            async with self._http.stream("POST", "/v1/completions", json=body) as reply:
                if reply.status_code != 200:
                    return f"refused ({reply.status_code})"
                async for line in reply.aiter_lines():
                    done = done or line == "data: [DONE]"
                    if line.startswith("data: {"):
                        with suppress(ValueError):
                            event = json.loads(line[6:])
                            error = error or "error" in event
                            words += bool(event.get("choices") and event["choices"][0]["text"])
        except httpx2.TransportError:
            return "said it broke"
        if error:
            return "said it broke"
        return "finished" if done and words == TOKENS else "cut short silently"
