"""Start a coroutine at once instead of at the event loop's next turn.

Most of what an editor asks is answered without waiting for anything, and then the turns of the event loop between one
task and the next are most of the answer's time. A task begun here has taken its first step when `begin` returns: up to
its first real wait, or to its end. From Python 3.12 on that is asyncio's own `eager_start`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def begin(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that has taken its first step, in a copy of the present context; it may be done already."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return _begin(loop, work)


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """As `asyncio.gather`, but each is begun at once, and nothing is waited for where nothing has to be."""
    tasks = [begin(one) for one in work]
    if not all(task.done() for task in tasks):
        await asyncio.gather(*tasks)
    return [task.result() for task in tasks]


def _begin(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """For Python 3.11: take the first step out of the loop's hands, and do it as the loop would.

    While it is done, the new task is the current one, as `asyncio.timeout` and its like need it to be.
    """
    steps: list[tuple[Callable[[], object], Context]] = []

    def catch(step: Callable[[], object], *, context: Context) -> None:
        steps.append((step, context))

    try:
        loop.call_soon = catch  # type: ignore[method-assign, assignment]
    except AttributeError:  # a loop that is not asyncio's own
        return loop.create_task(work)
    try:
        task = asyncio.Task(work, loop=loop)
    finally:
        del loop.call_soon
    outer = asyncio.current_task(loop)
    if outer is not None:
        asyncio.tasks._leave_task(loop, outer)
    try:
        for step, context in steps:
            context.run(step)
    finally:
        if outer is not None:
            asyncio.tasks._enter_task(loop, outer)
    return task
