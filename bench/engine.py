"""What sharing the engine costs: overhead per request and token, a second window, forty windows, a crash, a cancel.

The model side is scripted (`inkling.engine.fake_backend`), so that the figures are those of the serving alone; memory
is measured with real weights. The peers of the overhead rows are a bare Starlette app on a Unix socket of this machine,
asked as the engine is and by a general HTTP client (`httpx2`): what a request costs when nothing is done with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx2
import psutil

from bench.row import Row, row
from inkling.engine.client import EngineClient, EngineSettings
from inkling.engine.local_http import LocalHttp, events_of
from inkling.engine.protocol import GenerateRequest, Priority
from inkling.engine.runtime import BACKEND_VARIABLE, Info

BARE = """
import json, sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

async def unary(request):
    await request.json()
    return JSONResponse([[{"label": "good", "score": 0.8}, {"label": "bad", "score": 0.2}]])

async def stream(request):
    count = (await request.json())["max_tokens"]
    async def pieces():
        for n in range(count):
            yield "data: " + json.dumps({"choices": [{"index": 0, "text": f"w{n} ", "finish_reason": None}]}) + "\\n\\n"
    return StreamingResponse(pieces(), media_type="text/event-stream")

routes = [Route("/unary", unary, methods=["POST"]), Route("/stream", stream, methods=["POST"])]
uvicorn.run(Starlette(routes=routes), uds=sys.argv[1], log_level="warning")
"""


def rows(quick: bool = False) -> list[Row]:
    """All rows of the area."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o700)
        os.environ |= {
            "XDG_RUNTIME_DIR": folder,
            "XDG_STATE_HOME": folder,
            BACKEND_VARIABLE: "inkling.engine.fake_backend:create_backend",
        }
        return asyncio.run(_rows(Path(folder), 40 if quick else 400))


async def _rows(folder: Path, repeats: int) -> list[Row]:
    return [
        *await _overhead(folder, repeats),
        await _second_window(repeats // 20),
        await _second_copy(),
        await _many_windows(max(2, repeats // 20)),
        await _crash(repeats // 40),
        await _cancel(repeats // 20),
    ]


@asynccontextmanager
async def _client() -> AsyncGenerator[EngineClient, None]:
    client = EngineClient(EngineSettings(idle_seconds=1.0))
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _bare(folder: Path) -> AsyncGenerator[tuple[LocalHttp, httpx2.AsyncClient], None]:
    path = folder / "bare"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BARE, str(path))
    try:
        async with httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(path)), base_url="http://bare", timeout=30
        ) as http:
            while not _listens(path):  # noqa: ASYNC110 - another process has no event of ours
                await asyncio.sleep(0.05)
            local = LocalHttp(Info("bare", process.pid, 0.0, socket=str(path)))
            yield local, http
            local.close()
    finally:
        process.terminate()
        await process.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


async def _medians_ms(repeats: int, *asks: Callable[[], Awaitable[object]]) -> list[float]:
    """Median times, measured in turns, so that whatever else the machine does hits all alike."""
    times: list[list[float]] = [[] for _ in asks]
    for turn in range(repeats + 1):
        for ask, kept in zip(asks, times, strict=True):
            began = time.perf_counter()
            await ask()
            if turn:  # the first turn loads and connects
                kept.append(time.perf_counter() - began)
    return [1000 * statistics.median(kept) for kept in times]


async def _text(client: EngineClient, request: GenerateRequest) -> int:
    async with aclosing(client.generate(request)) as chunks:
        return sum([chunk.tokens async for chunk in chunks])


async def _overhead(folder: Path, repeats: int) -> list[Row]:
    tokens = 500
    async with _bare(folder) as (local, http), _client() as client:

        async def by_local(path: str, body: object) -> int:
            async with local.stream("POST", path, json.dumps(body).encode()) as response:
                if path == "/unary":
                    return len(json.loads(await response.read()))
                async with aclosing(events_of(response)) as events:
                    return sum([bool(json.loads(data)["choices"]) async for data in events])

        async def by_httpx2(path: str, body: object) -> int:
            if path == "/unary":
                return len((await http.post(path, json=body)).json())
            async with http.stream("POST", path, json=body) as response:
                return sum([bool(json.loads(event.data)["choices"]) async for event in httpx2.EventSource(response)])

        request = GenerateRequest("fake", "p", max_tokens=tokens, priority=Priority.COMPLETION)
        sentence, stream = {"inputs": ["a sentence"]}, {"max_tokens": tokens}
        unary_ms = await _medians_ms(
            repeats,
            lambda: client.classify(["a sentence"], model="fake"),
            lambda: by_local("/unary", sentence),
            lambda: by_httpx2("/unary", sentence),
        )
        stream_ms = await _medians_ms(
            max(3, repeats // 20),
            lambda: _text(client, request),
            lambda: by_local("/stream", stream),
            lambda: by_httpx2("/stream", stream),
        )
    peers = {"": "bare Starlette, asked the same way", ", beside httpx2": "bare Starlette, asked by httpx2"}
    return [
        row(
            f"engine/overhead per {what}{beside}", ours / share, "ms", better="less", peer=peer, peer_value=bare / share
        )
        for what, share, (ours, *bares) in (("request", 1, unary_ms), ("token", tokens, stream_ms))
        for (beside, peer), bare in zip(peers.items(), bares, strict=True)
    ]


async def _second_window(repeats: int) -> Row:
    """From nothing to the last token of its first completion, beside the same completion of a window already there."""
    request = GenerateRequest("fake?token_s=0.005", "p", max_tokens=20, cache_key="doc")
    async with _client() as first:

        async def opened() -> None:
            async with _client() as second:
                await _text(second, request)

        warm, second = await _medians_ms(max(3, repeats), lambda: _text(first, request), opened)
    name = "engine/second window, start to its first completion of 20 tokens"
    return row(name, second, "ms", better="less", peer="the same on a warm window", peer_value=warm)


async def _second_copy() -> Row:
    """What a second window adds to the memory of all engines, with real weights."""
    scripted = os.environ.pop(BACKEND_VARIABLE)
    request = GenerateRequest("starter:code", "def main(", max_tokens=8)
    try:
        async with _client() as first, _client() as second:
            await _text(first, request)
            await _text(first, request)
            alone = await _memory_mib(first)
            await _text(second, request)
            more = await _memory_mib(first, second) - alone
    finally:
        os.environ[BACKEND_VARIABLE] = scripted
    name = "engine/second window with starter:code: extra memory"
    return row(name, more, "MiB", better="less", peer="an engine per window", peer_value=alone)


async def _memory_mib(*clients: EngineClient) -> float:
    """Of all engines that these windows have, what is theirs alone."""
    engines = {(await client.status()).pid for client in clients}
    return sum(psutil.Process(pid).memory_full_info().uss for pid in engines) / 2**20


async def _many_windows(rounds: int) -> Row:
    """The most engines of any round, each from nothing; every window must be answered, and one copy of the model."""
    most = 0
    for _ in range(rounds):
        clients = [EngineClient(EngineSettings(idle_seconds=0.1, device="cpu")) for _ in range(40)]
        answers = await asyncio.gather(*(client.classify(["x"], model="fake") for client in clients))
        states = [await client.status() for client in clients]
        engines = {state.pid for state in states}
        await asyncio.gather(*(client.close() for client in clients))
        assert len(answers) == 40
        assert {len(state.models) for state in states} == {1}
        most = max(most, len(engines))
        while any(psutil.pid_exists(pid) for pid in engines):  # noqa: ASYNC110 - the next round starts from nothing
            await asyncio.sleep(0.05)
    name = f"engine/engines after 40 windows start together, most of {rounds} rounds"
    return row(name, most, "processes", better="less", peer="an engine per window", peer_value=40)


async def _crash(repeats: int) -> Row:
    """From SIGKILL to the server's event."""
    times = []
    settings = EngineSettings(idle_seconds=1.0, crash_limit=1000)
    client = EngineClient(settings)
    async with aclosing(client.events()) as events:
        for _ in range(max(3, repeats)):
            await client.start()
            victim = (await client.status()).pid
            began = time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            async for event in events:
                if event.kind == "crashed":
                    break
            times.append(time.perf_counter() - began)
            client._link._pause_s = 0.0  # the back-off is not what is measured
    await client.close()
    return row("engine/killed: the server notices", 1000 * statistics.median(times), "ms", better="less")


async def _cancel(repeats: int) -> Row:
    """Tokens that the model still generates after its client has gone, at 10 ms a token."""
    request = GenerateRequest("fake?token_s=0.01", "p", max_tokens=10_000)
    extra: list[int] = []
    async with _client() as client:
        for _ in range(max(3, repeats)):
            before = await client.status() if extra else None
            seen = 0
            async with aclosing(client.generate(request)) as chunks:
                async for _chunk in chunks:
                    seen += 1
                    if seen == 10:
                        break
            while (await client.status()).active_requests:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            await asyncio.sleep(0.03)
            after = await client.status()
            extra.append(after.generated_tokens - (before.generated_tokens if before else 0) - seen)
    name = "engine/tokens generated after a cancel"
    return row(name, statistics.mean(extra), "tokens", better="less")
