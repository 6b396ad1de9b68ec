"""What serves a request, against a client that goes away."""

from __future__ import annotations

import asyncio

import pytest

from inkling.engine.asgi import while_connected


async def _ends() -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "ended by itself"
    raise AssertionError("nobody cancelled it")


async def _fails() -> str:
    try:
        await asyncio.sleep(60)
    finally:
        raise ValueError("while it cleaned up")


async def _stops() -> str:
    await asyncio.sleep(60)
    raise AssertionError("nobody cancelled it")


async def _result() -> str:
    return "done"


@pytest.mark.parametrize("work", [_ends, _fails, _stops])
async def test_a_client_that_has_gone_is_told_nothing(work: object) -> None:
    async def receive() -> dict[str, str]:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def serve() -> int:
        assert await while_connected(work(), receive) is None  # type: ignore[operator]
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.wait_for(asyncio.create_task(serve()), 10) == 0


async def test_a_client_that_stays_gets_the_result_or_the_error() -> None:
    async def receive() -> dict[str, str]:
        await asyncio.sleep(60)
        raise AssertionError("the client went away")

    async def broken() -> str:
        raise ValueError("a defect")

    assert await while_connected(_result(), receive) == "done"
    with pytest.raises(ValueError, match="a defect"):
        await while_connected(broken(), receive)
