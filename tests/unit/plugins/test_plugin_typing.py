"""A user types a known text, with detours, beside a model that knows it too.

Such a model is the reference: whatever is shown, from memory or from a stream, must be what the text goes on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.api import GenerateRequest, GhostText, Snapshot
from inkling.engine.fake import FakeEngine
from inkling_plugins.complete import Complete

TARGET = """import math


def area(radius):
    if radius < 0:
        raise ValueError("negative", radius)
    return math.pi * radius**2


class Circle(Shape):
    def __init__(self, radius, colour):
        self.radius = radius
        self.colour = colour

    def describe(self, verbose=False):
        for name, value in sorted(vars(self).items()):
            print(name, value, [name, (value, verbose)])
        return f"{self.colour} circle of {area(self.radius):.2f}"
"""


class NoEditor:
    def documents(self) -> list[Snapshot]:
        return []


def knows(text: str) -> FakeEngine:
    """A model that continues any beginning of `text` correctly, three characters a token, up to its stop strings."""

    def answer(request: GenerateRequest) -> Iterable[str]:
        assert text.startswith(request.prompt)
        rest = text[len(request.prompt) :]
        ends = [rest.find(stop) for stop in request.stop if stop in rest]
        rest = rest[: min(ends, default=len(rest))]
        return [rest[i : i + 3] for i in range(0, len(rest), 3)] or [""]

    return FakeEngine(texts=answer)


def new_plugin(engine: Any) -> Complete:
    plugin = Complete()
    plugin.settings = Complete.Settings(
        copy=False, min_confidence=0.0, debounce_min_ms=0, debounce_max_ms=0, context_chunks=0
    )
    plugin.engine = engine
    plugin.editor = NoEditor()  # type: ignore[assignment]
    return plugin


async def shown_at(plugin: Complete, text: str, version: int) -> str:
    snapshot = Snapshot.of(text, uri="file:///a.py", language="python", version=version)
    items = [item async for item in plugin.suggest(snapshot, snapshot.position(len(text)), True)]
    return items[-1].text if isinstance(items[-1], GhostText) else ""


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(TARGET)), min_size=1, max_size=12))
def test_what_is_shown_is_what_comes_next(lengths: list[int]) -> None:
    async def type_along() -> None:
        plugin = new_plugin(knows(TARGET))
        await plugin.start()
        for version, length in enumerate(lengths):
            shown = await shown_at(plugin, TARGET[:length], version)
            assert TARGET[length:].startswith(shown), (TARGET[:length][-20:], shown)
        await plugin.stop()

    asyncio.run(type_along())


def test_typing_the_whole_text_costs_few_requests() -> None:
    """Wherever something follows on the line, something is shown; a line costs at most one request."""

    async def type_all() -> tuple[int, int]:
        engine = knows(TARGET)
        plugin = new_plugin(engine)
        await plugin.start()
        silent = 0
        for length in range(len(TARGET)):
            shown = await shown_at(plugin, TARGET[:length], length)
            assert TARGET[length:].startswith(shown)
            silent += not shown and len(TARGET[length:].partition("\n")[0].strip()) > 1
        await plugin.stop()
        return len(engine.calls), silent

    requests, silent = asyncio.run(type_all())
    assert requests <= len(TARGET.splitlines())
    assert silent == 0
