"""One call of one plugin method: what came, what did not come and why, and how long the event loop was held."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from inkling.api import InklingError, Nothing
from inkling.plugins.entry import Entry, Method

T = TypeVar("T")
TURN = 500
"""Results taken before other work gets a turn."""


@dataclass
class Outcome(Generic[T]):
    """What one method gave: accepted results, and reasons for what is missing. `failure` is empty or a slug."""

    plugin: str
    items: list[T] = field(default_factory=list)
    reasons: list[Nothing] = field(default_factory=list)
    failure: str = ""
    held_s: float = 0.0
    """The longest time that the plugin kept the event loop to itself."""
    error: InklingError | None = None
    """Set when the plugin said so with an exception, which a command passes on to its caller."""


class WrongTypeError(TypeError):
    """A plugin returned something that its surface does not take."""


async def drive(
    entry: Entry,
    method: Method,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    accept: Callable[[Any], T],
    outcome: Outcome[T],
    on_item: Callable[[T], None] | None,
) -> None:
    """Run the method to its end, filling `outcome`; each item goes through `accept`, which may raise."""
    await _started(entry)

    def take(item: Any) -> None:
        if isinstance(item, Nothing):
            outcome.reasons.append(item)
        elif item is not None:
            try:
                accepted = accept(item)
            except Exception as error:
                raise WrongTypeError(f"a result of the wrong type for {method.surface.kind}") from error
            outcome.items.append(accepted)
            if on_item is not None:
                on_item(accepted)

    async def collect() -> None:
        result = method.call(*arguments, **keywords)
        if inspect.isasyncgen(result):
            async with contextlib.aclosing(result):
                while (item := await _Watched(anext(result, _END), outcome)) is not _END:
                    take(item)
            return
        result = await _Watched(result, outcome)
        if isinstance(result, Iterable) and not isinstance(result, str | bytes | Mapping):
            for number, item in enumerate(result):
                take(item)
                if number % TURN == TURN - 1:
                    await asyncio.sleep(0)  # a document's tokens are many
        else:
            take(result)

    await contained(collect)


async def contained(call: Callable[[], Any]) -> None:
    """Call a plugin's function, a plain one too; that it would end the process is a failure like any other."""
    try:
        result = call()
        if inspect.isawaitable(result):
            await result
    except SystemExit as error:
        raise RuntimeError("a plugin would end the process") from error


async def _started(entry: Entry) -> None:
    """Call the plugin's `start` once; when it fails, again for the next request."""
    assert entry.plugin is not None
    if entry.start is None:
        entry.start = asyncio.create_task(contained(entry.plugin.start))
    start = entry.start
    if start.done() and not start.cancelled() and start.exception() is None:
        return
    try:
        await asyncio.shield(start)
    except BaseException:
        if start.done() and entry.start is start:
            entry.start = None
        raise


class _Watched:
    """Awaits for someone else, and notes how long each step kept the event loop."""

    def __init__(self, awaitable: Awaitable[Any], outcome: Outcome[Any]) -> None:
        self._awaitable = awaitable
        self._outcome = outcome

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        step: Callable[[], Any] = functools.partial(next, inner)
        while True:
            began = time.perf_counter()
            try:
                future = step()
            except StopIteration as stop:
                return stop.value
            finally:
                self._outcome.held_s = max(self._outcome.held_s, time.perf_counter() - began)
            try:
                value = yield future
            except BaseException as error:
                step = functools.partial(inner.throw, error)
            else:
                step = functools.partial(inner.send, value)


_END = object()
