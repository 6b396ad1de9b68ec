"""`inkling bench load --url`: the same requests over HTTP, each loss counted under its own name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import httpx2
import pytest

from inkling.cli.load_target import AtUrl
from inkling.engine.protocol import GenerateRequest
from inkling.errors import InklingError

from .serving import serving

TOKEN = "a-token-of-some-length"


@asynccontextmanager
async def at_url(token: str = TOKEN) -> AsyncGenerator[AtUrl, None]:
    async with serving(token=TOKEN, hosts=frozenset({"127.0.0.1"})) as engine:
        target = AtUrl("http://127.0.0.1", token)
        headers = target._http.headers
        await target._http.aclose()
        target._http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=engine.app), base_url="http://127.0.0.1", headers=headers
        )
        yield target
        await target.close()


async def words(target: AtUrl, model: str) -> str:
    async with aclosing(target.generate(GenerateRequest(model, "p", max_tokens=3))) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_it_asks_as_the_server_does() -> None:
    async with at_url() as target:
        assert await words(target, "fake") == "w0 w1 w2 "
        await target.classify(["bad", "x"], "fake")
        status = await target.status()
        assert status is not None
        assert status.generated_tokens == 3


@pytest.mark.parametrize(
    ("model", "reason"), [("fake?load_fault=model-not-found", "model-not-found"), ("fake?poison=p", "internal")]
)
async def test_errors_keep_their_names(model: str, reason: str) -> None:
    async with at_url() as target:
        with pytest.raises(InklingError) as raised:
            await words(target, model)
        assert raised.value.reason == reason
        with pytest.raises(InklingError) as raised:
            await target.classify(["p"], model)
        assert raised.value.reason == reason


async def test_a_wrong_token() -> None:
    async with at_url("another") as target:
        with pytest.raises(InklingError, match="The token is wrong"):
            await words(target, "fake")
        assert await target.status() is None


async def test_nobody_there() -> None:
    target = AtUrl("http://127.0.0.1:9", TOKEN)
    with pytest.raises(InklingError, match="connection broke"):
        await words(target, "fake")
    with pytest.raises(InklingError, match="connection broke"):
        await target.classify(["p"], "fake")
    assert await target.status() is None
    await target.close()
