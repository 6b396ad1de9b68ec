"""The larger sample plugin: an engine task, a progress, a command."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from inkling.api import InklingError, Position, Range, Snapshot
from inkling.engine.fake import FakeEngine

SOURCE = Path(__file__).parents[3] / "examples" / "plugins" / "similar_functions" / "similar_functions.py"
HERE = "import os\n\n\ndef add(a, b):\n    return a + b\n\n\ndef other():\n    pass\n"


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("similar_functions", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look up annotations
    spec.loader.exec_module(module)
    return module.SimilarFunctions


def at(line: int) -> Range:
    return Range(Position(line, 4), Position(line, 4))


@pytest.mark.parametrize(("line", "offered"), [(4, 1), (0, 0), (8, 1)])
async def test_offered_in_functions(started: Any, sample: Any, line: int, offered: int) -> None:
    plugin = await started(sample)
    snapshot = Snapshot.of(HERE, uri="file:///w/a.py", language="python")
    assert len([action async for action in plugin.offer(snapshot, at(line))]) == offered
    assert plugin.engine.calls == []


async def test_the_nearest_comes_first(started: Any, sample: Any) -> None:
    twin = Snapshot.of("x = 1\n\ndef add(a, b):\n    return a + b\n", uri="file:///w/b.py", language="python")
    plugin = await started(sample, FakeEngine(), [twin], most=2)
    snapshot = Snapshot.of(HERE, uri="file:///w/a.py", language="python")
    first, second = (await plugin.show(snapshot, at(4))).splitlines()
    assert first == "* 1.00 `def add(a, b):` file:///w/b.py#L3"
    assert second.endswith("`def other():` file:///w/a.py#L8")
    assert plugin.engine.calls[0].arguments["model"] == "starter:encoder"
    assert len(plugin.engine.calls[0].arguments["texts"]) == 3
    assert plugin.editor.texts[0][0] == "Similar functions"


async def test_outside_a_function_it_says_so(started: Any, sample: Any) -> None:
    plugin = await started(sample)
    with pytest.raises(InklingError, match="not in a function"):
        await plugin.show(Snapshot.of(HERE, language="python"), at(0))
    with pytest.raises(InklingError, match="not in a function"):
        await plugin.show(None, None)
