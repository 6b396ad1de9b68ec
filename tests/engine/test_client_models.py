"""The client, the process and a real model together: streaming, cancelling, crashing, restarting."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from inkling.engine.client import EngineClient, EngineSettings
from inkling.engine.protocol import GenerateRequest
from inkling.errors import InklingError

pytestmark = pytest.mark.timeout(300)  # each engine imports the model side anew, seconds of CPU each time

PROMPT = "def function_7(value, other=7):\n"


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[EngineClient, None]:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    client = EngineClient(EngineSettings(private=True, threads=1, device="cpu"))
    yield client
    await client.close()


async def test_a_real_model_streams_stops_and_comes_back(client: EngineClient, tiny_lm: Callable[[str], Path]) -> None:
    model = str(tiny_lm("llama"))
    request = GenerateRequest(model, PROMPT, max_tokens=400, cache_key="doc", quantization="none")
    state = await client.load(model, "text-generation", quantization="none")
    assert (state.state, state.quantization) == ("ready", "none")
    assert state.bytes > 0

    # A stream: the first piece is here while the engine is still at work.
    async with aclosing(client.generate(request)) as chunks:
        await anext(chunks)
        assert (await client.status()).active_requests == 1
        rest = [chunk async for chunk in chunks]
    assert rest[-1].finish in ("length", "stop")
    whole = (await client.status()).generated_tokens
    assert whole > 20

    # A cancel: the engine's own counter stands still long before it would have been done.
    async with aclosing(client.generate(request)) as chunks:
        await anext(chunks)
    async with asyncio.timeout(10):
        while (await client.status()).active_requests:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    stopped = await client.status()
    await asyncio.sleep(0.1)
    assert (await client.status()).generated_tokens == stopped.generated_tokens < 2 * whole
    assert stopped.cancelled_requests == 1
    assert stopped.extra["reused_tokens"] > 0

    # A crash: the stream says so, and the next request is served by a fresh engine after one load.
    async with aclosing(client.generate(request)) as chunks:
        await anext(chunks)
        os.kill(stopped.pid, signal.SIGKILL)
        with pytest.raises(InklingError) as caught:
            async for _ in chunks:
                pass
    assert caught.value.reason == "engine-crashed"
    async with aclosing(client.generate(request)) as chunks:
        assert [chunk async for chunk in chunks][-1].finish == rest[-1].finish
    assert (await client.status()).pid != stopped.pid


async def test_what_cannot_be_loaded_is_named_and_the_rest_works(client: EngineClient) -> None:
    async def generate() -> None:
        async with aclosing(client.generate(GenerateRequest("no/such-model", "x"))) as chunks:
            await anext(chunks)

    for attempt in (generate(), client.classify(["x"], model="no/such-model")):
        with pytest.raises(InklingError, match="no/such-model is not on this machine") as caught:
            await attempt
        assert caught.value.reason == "model-not-found"
        assert caught.value.hint
    (vector,) = await client.embed(["still here"], model="starter:encoder")
    assert sum(number * number for number in vector) == pytest.approx(1.0, abs=1e-4)
