"""What breaks under load, and what its users see. Real Ray, real HAProxy, scripted models."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import httpx2
import pytest
from bench.cluster_load import CLASSIFY, ENCODER, LM, MODELS, Load
from bench.ray_pool import FAKE, PORT, TOKEN, Pool, running

from inkling.engine.protocol import GenerateRequest
from inkling.engine.remote.connection import Remote
from inkling.engine.remote.inkling import InklingEngine
from inkling.engine.remote.settings import RemoteSettings
from inkling.errors import InklingError

Say = Callable[[str], None]

SCALED = {
    "id": "busy?item_s=0.05", "tasks": ["text-classification"], "max_replicas": 2, "cpus": 0.1,
    "target_ongoing_requests": 1, "upscale_seconds": 0, "downscale_seconds": 2,
}  # fmt: skip


async def replicas(http: httpx2.AsyncClient, count: int, models: Sequence[str] = (LM, ENCODER)) -> None:
    """Wait until each of the models has `count` replicas."""
    wanted = dict.fromkeys((re.sub("[^a-z0-9]+", "-", model) for model in models), count)
    async with asyncio.timeout(180):
        while True:
            there = (await http.get("/inkling/status")).json()["extra"]["replicas"]
            if {name: there[name] for name in wanted} == wanted:
                return
            await asyncio.sleep(0.5)


TOLD = {"finished", "said it broke"}
"""How a stream may end: none may just stop."""


async def killed_under_load(pool: Pool, http: httpx2.AsyncClient, part: str, say: Say, *, retry: bool) -> None:
    """One replica whose process has `part` in its name."""
    load = Load(http, retry=retry)
    await load.until(50, 5)
    victims = pool.processes(part)[:1]
    for victim in victims:
        victim.kill()
    await asyncio.sleep(4)
    await load.until(100, 10)
    outcome = await load.stop()
    say(f"kill -9 of a replica of {part.rpartition(':')[2]}, under load\n          {outcome}")
    assert len(victims) == 1
    assert set(outcome.unary) == {"answered"}
    assert set(outcome.streams) <= TOLD


async def test_one_node(tmp_path: Path, say: Say) -> None:
    """One node: two replicas of each model, two gateways."""
    table = {"min_gateways": 2, "drain_seconds": 15, "models": [*MODELS, SCALED]}
    async with running(tmp_path, table) as pool, pool.client() as http:
        # Nobody enters without the token, on any road: not by the gateways' own ports either.
        async with pool.client(token="a-token-of-somebody-else") as stranger:
            assert (await stranger.post(CLASSIFY, json={"inputs": "x"})).status_code == 401
        ports = {
            connection.laddr.port
            for process in pool.processes("ServeReplica:inkling:gateway")
            for connection in process.net_connections("tcp")
            if connection.status == "LISTEN" and connection.laddr.port >= 30000
        }
        for port in ports:
            async with httpx2.AsyncClient(timeout=5) as direct:
                try:
                    assert (await direct.get(f"http://127.0.0.1:{port}/v1/models")).status_code == 401
                except httpx2.TransportError:
                    continue  # one of Ray's own ports, which speak no HTTP

        say(f"serves: {await counts(http)}; 401 with another token, at every port")

        await as_an_editors_remote(pool)

        # One document's requests share a replica; many documents use both.
        generated = [await counters(http, "generated_tokens")]
        for _ in range(6):
            await complete(http, "one document")
        generated.append(await counters(http, "generated_tokens"))
        assert len(changed(*generated)) == 1
        for number in range(12):
            await complete(http, f"document {number}")
        assert len(changed(generated[-1], await counters(http, "generated_tokens"))) == 2
        say("six completions in one document: one replica; one in each of twelve documents: both")

        await computed_together(http)
        await scaled(http, say)

        await killed_under_load(pool, http, "ServeReplica:inkling:enc", say, retry=False)
        await replicas(http, 2)
        await killed_under_load(pool, http, "ServeReplica:inkling:lm", say, retry=False)
        await replicas(http, 2)
        await killed_under_load(pool, http, "ServeReplica:inkling:gateway", say, retry=True)
        await replicas(http, 2)

        shown, refused = (status_as(pool, token) for token in (TOKEN, "a-token-of-somebody-else"))
        assert shown.returncode == 0, shown.stderr
        assert LM in shown.stdout
        assert ENCODER in shown.stdout
        assert (refused.returncode, "The token is wrong" in refused.stderr) == (1, True), refused.stderr

        # Told to stop in the middle of a stream, it finishes the stream.
        body = {"model": LM, "prompt": "p", "max_tokens": 300, "stream": True}
        words = 0
        async with http.stream("POST", "/v1/completions", json=body) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("data: {"):
                    words += bool(json.loads(line[6:])["choices"][0]["text"])
                    if words == 20:
                        assert pool.up is not None
                        pool.up.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(pool.up.wait, 240)
        say(f"SIGTERM to `up` after 20 of a stream's 300 tokens: {words} arrive, then it ends with status {status}")
        assert (words, status) == (300, 0)
        assert pool.processes("ray::") == []


def status_as(pool: Pool, token: str) -> subprocess.CompletedProcess[str]:
    """`inkling cluster status` of somebody with this token."""
    return subprocess.run(
        [sys.executable, "-m", "inkling", "cluster", "status", "-f", str(pool.file)],
        env={**pool.environment, "INKLING_CLUSTER_TOKEN": token}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


async def as_an_editors_remote(pool: Pool) -> None:
    """`[engine.remotes.NAME]` finds out by itself what the pool speaks."""
    os.environ["POOL_TOKEN"] = pool.environment["INKLING_CLUSTER_TOKEN"]
    remote = Remote("pool", RemoteSettings(url=f"http://127.0.0.1:{PORT}", token_env="POOL_TOKEN"))
    engine = await remote.engine()
    assert isinstance(engine, InklingEngine)
    try:
        assert [labels[0].label for labels in await engine.classify(["bad", "fine"], model=ENCODER)] == ["bad", "good"]
        async with aclosing(engine.generate(GenerateRequest(LM, "p", max_tokens=3))) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "w0 w1 w2 "
        assert await engine.listed() == [LM, ENCODER, SCALED["id"]]
        with pytest.raises(InklingError) as raised:
            await engine.classify(["x"], model="another")
        assert raised.value.reason == "model-not-found"
    finally:
        await engine.transport.close()


async def computed_together(http: httpx2.AsyncClient) -> None:
    """Requests that come at the same time share batches."""
    before = sum(map(float, (await counters(http, "computed_batches")).values()))
    replies = await asyncio.gather(*(http.post(CLASSIFY, json={"inputs": [f"bad {n}"]}) for n in range(32)))
    assert [reply.json()[0][0]["label"] for reply in replies] == ["bad"] * 32
    assert sum(map(float, (await counters(http, "computed_batches")).values())) - before < 32


async def scaled(http: httpx2.AsyncClient, say: Say) -> None:
    """A busy model gets another replica and loses it when it is quiet again; every request has its answer."""
    model = str(SCALED["id"])
    path = f"/models/{model.replace('?', '%3F')}/pipeline/text-classification"
    statuses = set()
    enough = asyncio.Event()

    async def ask() -> None:
        while not enough.is_set():
            statuses.add((await http.post(path, json={"inputs": ["x"]})).status_code)

    await replicas(http, 1, [model])
    asking = [asyncio.create_task(ask()) for _ in range(6)]
    await replicas(http, 2, [model])
    say(f"six clients that never pause: {model} has two replicas")
    enough.set()
    await asyncio.gather(*asking)
    await replicas(http, 1, [model])
    say("they have gone: it has one again")
    assert statuses == {200}


async def complete(http: httpx2.AsyncClient, document: str) -> None:
    body = {"model": LM, "prompt": document, "max_tokens": 2, "inkling": {"cache_key": document}}
    assert (await http.post("/v1/completions", json=body)).status_code == 200


async def counters(http: httpx2.AsyncClient, name: str) -> dict[str, str]:
    """A counter of the metrics page, by replica."""
    lines = (await http.get("/metrics")).text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith(f"inkling_{name}_total{{"))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name, value in after.items() if before.get(name) != value}


async def test_up_on_a_ray_of_others_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither when a model cannot be loaded, which it says, nor when it is told to stop while one is being loaded."""
    table = {"port": PORT, "models": [{**MODELS[0], "id": "lm?load_fault=model-not-found"}]}
    pool = Pool(tmp_path, table, {"INKLING_ENGINE_BACKEND": FAKE})
    try:
        await asyncio.to_thread(pool.start_ray)
        assert await asyncio.to_thread(pool.up_on().wait, 240) == 1
        told = next(line for line in pool.log().splitlines() if line.startswith("inkling cluster: "))
        assert "was told to fail" in told or "lm-load-fault-model-not-found" in told
        assert await asyncio.to_thread(pool.applications) == []

        pool.file.write_text(pool.file.read_text().replace("load_fault=model-not-found", "load_s=600"))
        up = pool.up_on()
        async with asyncio.timeout(180):
            while not pool.processes("ray::ServeReplica:inkling:lm"):
                await asyncio.sleep(0.2)
        up.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(up.wait, 240) == 0
        assert await asyncio.to_thread(pool.applications) == []
        assert pool.processes("ray::ServeReplica") == []
        assert pool.processes("raylet") != []
    finally:
        pool.stop()


async def test_the_head_is_lost(tmp_path: Path, say: Say) -> None:
    """The head is killed under load: nothing is left that could answer."""
    async with running(tmp_path, {"min_gateways": 1, "models": MODELS}) as pool, pool.client() as http:
        load = Load(http, 2, retry=True)
        await load.until(20, 2)
        pool.processes("gcs_server")[0].kill()
        say("kill -9 of the head's process, under load")
        assert pool.up is not None
        status = await asyncio.to_thread(pool.up.wait, 240)
        outcome = await load.stop()
        say(f"every request has ended, `up` with status {status}\n          {outcome}")
        assert status != 0
        assert "cut short silently" not in outcome.streams
        assert "wrong" not in outcome.unary
        pool.stop()
        pool.start_here()
        await pool.until_ready()
        await complete(http, "a document")
        say("`up` again: it serves")


async def test_a_node_is_lost(tmp_path: Path, say: Say) -> None:
    """Two nodes, each in a network namespace of its own, joined by a veth pair."""
    async with running(tmp_path, {"min_gateways": 2, "models": MODELS}, nodes=2) as pool, pool.client() as http:
        say(f"two nodes serve: {await counts(http)}")
        load = Load(http, retry=True)
        await load.until(50, 5)
        there = [" ".join(process.cmdline()) for process in pool.on_worker()]
        held = sorted(
            re.split("[:.]", line)[4].strip() for line in there if line.startswith("ray::ServeReplica:inkling:")
        )
        say(f"the second node holds {', '.join(held) or 'no replica'}")
        assert held
        say(f"kill -9 of all {pool.kill_worker()} processes of the second node, under load")
        await replicas(http, 2)
        say(f"all replicas are back, on the first node: {await counts(http)}")
        await asyncio.sleep(3)
        outcome = await load.stop()
        say(str(outcome))
        say(f"slowest unary call {max(outcome.ms) / 1000:.1f} s")
        assert set(outcome.unary) == {"answered"}
        assert set(outcome.streams) <= TOLD


async def counts(http: httpx2.AsyncClient) -> str:
    extra = (await http.get("/inkling/status")).json()["extra"]
    return ", ".join(f"{name} {count}" for name, count in {"gateway": extra["gateways"], **extra["replicas"]}.items())
