"""The HTTP that a window speaks with the engine on its machine, against a server that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest

from inkling.engine.local_http import LocalHttp, events_of
from inkling.engine.runtime import Info

from .elsewhere import SECRET, Elsewhere, Reply, elsewhere, events, hang, hang_up, reply


@asynccontextmanager
async def engine(*replies: Reply, silence_s: float = 5.0) -> AsyncGenerator[tuple[LocalHttp, Elsewhere], None]:
    """What is asked at `/x` gets these replies, one after the other, the last one for ever."""
    async with elsewhere() as there:
        there.on("/x", *replies)
        info = Info("test", 0, 0.0, port=there.port, token=SECRET)
        http = LocalHttp(info, silence_s=silence_s, headers={"x-window": "7"})
        yield http, there
        http.close()


async def test_a_request_carries_the_token_and_what_the_window_says_of_itself() -> None:
    async with engine(reply(418, {"a": "ü"})) as (http, there):
        assert await http.ask("POST", "/x", b'{"b": 1}') == (418, b'{"a": "\\u00fc"}')
        asked = there.asked[0]
        assert (asked.method, asked.body) == ("POST", {"b": 1})
        assert asked.headers["authorization"] == f"Bearer {SECRET}"
        assert (asked.headers["host"], asked.headers["x-window"]) == (f"127.0.0.1:{there.port}", "7")


@pytest.mark.parametrize("sent", [reply(200, "x" * 3_000_000), events({"n": 1}), reply(500, "")])
async def test_a_connection_whose_reply_was_read_is_used_again(sent: Reply) -> None:
    async with engine(sent) as (http, there):
        for _ in range(5):
            await http.ask("GET", "/x")
        await asyncio.gather(*(http.ask("GET", "/x") for _ in range(3)))
        assert (len(there.to("/x")), there.connections) == (8, 3)


async def test_one_that_the_engine_closed_meanwhile_is_not() -> None:
    async with engine(reply(200, "a", connection="close"), reply(200, "b")) as (http, there):
        assert [(await http.ask("GET", "/x"))[1] for _ in range(2)] == [b"a", b"b"]
        there.hang_up_on_all()
        await asyncio.sleep(0.05)
        assert (await http.ask("GET", "/x"))[1] == b"b"
        assert there.connections == 3


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (hang_up, ConnectionError),
        (events({"n": 1}, cut=True), ConnectionError),
        (hang, TimeoutError),
        (events({"n": 1}, {"n": 2}, pause_s=1.0), TimeoutError),
    ],
)
async def test_a_reply_that_does_not_come_to_its_end_is_no_reply(sent: Reply, error: type[OSError]) -> None:
    async with engine(sent, silence_s=0.3) as (http, _):
        with pytest.raises(error):
            await http.ask("GET", "/x")


async def test_nobody_there() -> None:
    with pytest.raises(ConnectionError):
        await LocalHttp(Info("test", 0, 0.0, port=1)).ask("GET", "/x")
    with pytest.raises(OSError, match="No such file"):
        await LocalHttp(Info("test", 0, 0.0, socket="/nowhere/socket")).ask("GET", "/x")


async def test_leaving_a_stream_closes_its_connection_unless_its_end_has_come() -> None:
    long = events(*({"n": n} for n in range(500)), pause_s=0.01)
    async with engine(events({"n": 1}), long) as (http, there):
        for _ in range(2):
            async with http.stream("GET", "/x") as answer, aclosing(events_of(answer)) as stream:
                assert (await anext(stream)).startswith(b'{"n"')
                await asyncio.sleep(0.05)
        await asyncio.wait_for(there.hung_up.wait(), 5)
        assert there.connections == 1


@pytest.mark.parametrize("sent", [hang, events({"n": 1}, {"n": 2}, pause_s=60.0)])
async def test_closing_ends_what_is_being_waited_for(sent: Reply) -> None:
    """Of an engine that hangs: its lease is missed after seconds, its reply only after minutes."""
    async with engine(sent, silence_s=60.0) as (http, there):
        asked = asyncio.create_task(http.ask("GET", "/x"))
        while not there.to("/x"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        http.close()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(asked, 5)
        with pytest.raises(ConnectionError):
            await http.ask("GET", "/x")
