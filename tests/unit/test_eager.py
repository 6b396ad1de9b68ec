"""What is begun at once is a task like any other."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from inkling.eager import begin, together
from inkling.lsp.protocol import Call, Protocol

place: ContextVar[str] = ContextVar("place", default="outside")


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    async def work() -> str:
        place.set("inside")
        return place.get()

    assert begin(work()).done()
    assert await begin(work()) == "inside"
    assert place.get() == "outside"


async def test_what_waits_goes_on_later() -> None:
    steps: list[int] = []
    gate = asyncio.Event()

    async def work() -> None:
        steps.append(1)
        await gate.wait()
        steps.append(2)

    task = begin(work())
    assert steps == [1] and not task.done()
    gate.set()
    await task
    assert steps == [1, 2]


async def test_an_exception_stays_in_its_task() -> None:
    async def work() -> None:
        raise ValueError("wrong")

    task = begin(work())
    assert task.done()
    with pytest.raises(ValueError, match="wrong"):
        await task


async def test_the_new_task_is_the_current_one_and_a_timeout_is_its_own() -> None:
    outer = asyncio.current_task()

    async def work() -> asyncio.Task[None] | None:
        mine: asyncio.Task[None] | None = asyncio.current_task()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        assert asyncio.current_task() is mine
        return mine

    task = begin(work())
    assert asyncio.current_task() is outer
    assert await task is task
    assert task.uncancel() == 0


async def test_begun_within_one_that_is_begun() -> None:
    async def inner() -> asyncio.Task[None] | None:
        return asyncio.current_task()

    async def outer() -> bool:
        mine = asyncio.current_task()
        return begin(inner()).result() is not mine and asyncio.current_task() is mine

    assert begin(outer()).result()
    assert await asyncio.create_task(outer())


async def test_cancelling_all_of_them_reaches_each() -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    task = begin(together(work(number) for number in range(3)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [0, 1, 2]


async def test_results_come_in_order() -> None:
    async def work(number: int) -> int:
        if number % 2:
            await asyncio.sleep(0)
        return number

    assert await together(work(number) for number in range(4)) == [0, 1, 2, 3]


async def test_a_request_begins_after_a_notification_of_the_same_chunk() -> None:
    """Whose work has waited for its turn; alone, the request begins at once."""
    protocol = Protocol.__new__(Protocol)
    protocol.caught_up, protocol._waiting, protocol._background = (lambda: True), 0, set()
    protocol._done = lambda call, task: None  # type: ignore[method-assign]
    protocol.deadline = lambda method: 60.0
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)
        await asyncio.sleep(60)

    def start(name: str) -> Call:
        call = Call(name, name)
        protocol._start(call, work(name))
        return call

    alone = start("alone")
    assert begun == ["alone"]
    told = protocol.in_background(work("told"), "told")
    asked = start("asked")
    await asyncio.sleep(0)
    assert begun == ["alone", "told", "asked"]
    after = start("after")
    assert begun[-1] == "after"
    for task in (told, *(call.task for call in (alone, asked, after))):
        assert task is not None
        task.cancel()
    for call in (alone, asked, after):
        assert call.timer is not None
        call.timer.cancel()
