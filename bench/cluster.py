"""A real Ray Serve cluster on this machine: the cost of a request, two replicas against one, a replica killed.

Run by `make bench-cluster`, in a network of its own. Throughput is measured twice: with a scripted model that only
waits, which shows what the serving allows where cores do not limit it, and with a starter's encoder, where they do.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from bench.cluster_load import MODELS, Load
from bench.ray_pool import Pool, running, why_not
from bench.row import Row, row
from inkling.errors import InklingError

CORES = f"{os.cpu_count()} cores"
SENTENCE = "This part of the parser is a hack that we must rewrite before the release, it breaks on tabs."
NOTHING, ONE, TWO = "enc?item_s=0", "one?item_s=0.02", "two?item_s=0.02"


def rows(quick: bool = False) -> list[Row]:
    """All rows of the area."""
    if reason := why_not():
        raise InklingError("no-cluster", f"No cluster can be measured here: {reason}.")
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_rows(Path(folder), quick))


def _encoder(model: str, replicas: int, **more: Any) -> dict[str, Any]:
    counts = {"min_replicas": replicas, "max_replicas": replicas}
    return {"id": model, "tasks": ["text-classification"], "cpus": 0.2, "max_ongoing_requests": 64, **counts, **more}


async def _rows(folder: Path, quick: bool) -> list[Row]:
    seconds = 4 if quick else 15
    scripted = [_encoder(NOTHING, 1, batch_wait_ms=0), _encoder(ONE, 1), _encoder(TWO, 2), *MODELS]
    found: list[Row] = []
    async with running(_new(folder, "haproxy"), {"models": scripted}) as pool:
        direct = await _p50_ms(pool, "/health", seconds)
        through = await _p50_ms(pool, NOTHING, seconds)
        one, two = await _throughput(pool, ONE, seconds), await _throughput(pool, TWO, seconds)
        killed = await _replica_killed(pool, seconds)
    async with running(_new(folder, "ray"), {"models": scripted, "haproxy": False}) as pool:
        health = await _p50_ms(pool, "/health", seconds)
        plain = await _p50_ms(pool, NOTHING, seconds)
    found.append(_less("p50 through HAProxy to a gateway", direct, "ms", "Ray's own proxy", health))
    found.append(_less("p50 through HAProxy to a model's replica and back", through, "ms", "Ray's own proxy", plain))
    found.append(_more("encoder throughput, two replicas, a model that only waits", two, "inputs/s", "one", one))
    found += killed
    one, two = [await _starter(folder, replicas, seconds) for replicas in (1, 2)]
    found.append(_more(f"encoder throughput, two replicas, a starter on {CORES}", two, "inputs/s", "one", one))
    return found


async def _starter(folder: Path, replicas: int, seconds: float) -> float:
    """A starter's throughput in a cluster of its own, so that nothing but the number of replicas differs."""
    models = [_encoder("starter:tone", replicas, cpus=0.9)]  # a thread each, and what two cores leave for the gateway
    async with running(_new(folder, f"starter-{replicas}"), {"models": models}, environment={}) as pool:
        return await _throughput(pool, "starter:tone", seconds)


def _new(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _less(name: str, value: float, unit: str, peer: str, peer_value: float | None) -> Row:
    return row(f"cluster/{name}", value, unit, better="less", peer=peer, peer_value=peer_value)


def _more(name: str, value: float, unit: str, peer: str, peer_value: float | None) -> Row:
    return row(f"cluster/{name}", value, unit, better="more", peer=peer, peer_value=peer_value)


def _path(model: str) -> str:
    return f"/models/{quote(model, safe='')}/pipeline/text-classification"


async def _p50_ms(pool: Pool, what: str, seconds: float) -> float:
    """One client, one request after the other."""
    times: list[float] = []
    async with pool.client() as http:
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(times) < 50:
            began = time.perf_counter()
            ask = http.get(what) if what.startswith("/") else http.post(_path(what), json={"inputs": ["x"]})
            (await ask).raise_for_status()
            times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[10:])


async def _throughput(pool: Pool, model: str, seconds: float) -> float:
    """Inputs per second with 24 clients that never pause, four inputs a request."""
    done = 0
    until = 0.0

    async def client(http: httpx2.AsyncClient) -> None:
        nonlocal done
        while time.monotonic() < until:
            reply = await http.post(_path(model), json={"inputs": [SENTENCE] * 4})
            reply.raise_for_status()
            done += 4

    async with pool.client() as http:
        for warming in (True, False):
            done = 0
            began = time.monotonic()
            until = began + (2 if warming else seconds)
            await asyncio.gather(*(client(http) for _ in range(24)))
    return done / (time.monotonic() - began)


async def _replica_killed(pool: Pool, seconds: float) -> list[Row]:
    """One replica of each deployment, one after the other, under load; clients that retry nothing."""
    async with pool.client() as http:
        load = Load(http)
        for part in ("ServeReplica:inkling:enc-item-s-0-005", "ServeReplica:inkling:lm"):
            await asyncio.sleep(seconds / 2)
            pool.processes(part)[0].kill()
        await asyncio.sleep(seconds)
        outcome = await load.stop()
    lost = outcome.unary.total() - outcome.unary["answered"]
    total = f"of {outcome.unary.total()} sent"
    streams = f"of {outcome.streams.total()}, {outcome.streams['said it broke']} of which said that they broke"
    return [
        _less("replicas killed: unary calls not answered", lost, "calls", total, None),
        _less(
            "replicas killed: streams cut short silently",
            outcome.streams["cut short silently"],
            "streams",
            streams,
            None,
        ),
    ]
