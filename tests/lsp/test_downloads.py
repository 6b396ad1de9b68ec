"""A model fetched from within an editor: asked for with its size, shown while it comes, stopped. The hub is ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.lsp.editor import Editor, session_with
from tests.unit.hub import Hub, classifier, serve

from inkling.engine.models import catalog


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub whose weights take a while, and an empty cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    good = classifier(30_000_000)
    pickle = {"config.json": good["config.json"], "pytorch_model.bin": b"never wanted"}
    with serve(Hub({"org/good": good, "org/pickle": pickle}, slow={"model.safetensors"})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def answer(editor: Editor, chosen: str | None) -> list[str]:
    """Let the user press a button; returns what they are asked, as it comes."""
    asked: list[str] = []

    def press(message: Any) -> Any:
        asked.append(message["params"]["message"])
        return chosen and {"title": chosen}

    editor.answers["window/showMessageRequest"] = press
    return asked


def shown(editor: Editor) -> list[dict[str, Any]]:
    """What the progress said."""
    return [params["value"] for params in editor.told("$/progress")]


async def begin(editor: Editor, model: str = "org/good") -> None:
    await editor.initialize()
    await editor.ask("workspace/executeCommand", {"command": "inkling.downloadModel", "arguments": [{"model": model}]})


async def test_it_asks_then_shows_how_far_it_is_then_says_what_the_model_is_for(hub: Hub) -> None:
    hub.pause_s = 0.3
    async with session_with() as (editor, _):
        asked = answer(editor, "Download")
        await begin(editor)
        [said] = await editor.until(lambda: editor.messages, 60)
        assert asked == [f"Download 30.0 MB in 5 files from {hub.url} (org/good, licence: apache-2.0)?"]
        assert "org/good is here and whole: 30.0 MB, for text-classification." in said
        steps = shown(editor)
        assert (steps[0]["kind"], steps[0]["title"], steps[0]["cancellable"]) == ("begin", "Downloading org/good", True)
        percents = [step["percentage"] for step in steps if step.get("percentage") is not None]
        assert percents == sorted(percents) and any(0 < percent < 100 for percent in percents), steps
        assert steps[-1]["kind"] == "end"
    assert catalog.verify("org/good").bytes > 30_000_000


@pytest.mark.parametrize("chosen", ["Not now", None])
async def test_nothing_comes_without_a_yes(chosen: str | None, hub: Hub) -> None:
    others = set(psutil.Process().children())  # of tests before this one
    async with session_with() as (editor, _):
        asked = answer(editor, chosen)
        await begin(editor)
        await editor.until(lambda: asked and others.issuperset(psutil.Process().children()), 60)
        assert hub.fetched("model.safetensors") == 0 and editor.messages == []


async def test_it_is_stopped(hub: Hub) -> None:
    hub.pause_s = 0.8  # seconds are left when it is stopped
    async with session_with() as (editor, _):
        answer(editor, "Download")
        await begin(editor)
        await editor.until(lambda: any(step.get("percentage") for step in shown(editor)), 60)
        editor.notify("window/workDoneProgress/cancel", {"token": editor.told("$/progress")[0]["token"]})
        [said] = await editor.until(lambda: editor.messages)
        assert "was stopped" in said and shown(editor)[-1]["kind"] == "end"


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("org/pickle", "pytorch_model.bin only"),
        ("org/none", "has no public model org/none"),
        ("../x", "is not a hub id"),
    ],
)
async def test_what_it_refuses_is_said(model: str, says: str, hub: Hub) -> None:
    async with session_with() as (editor, _):
        asked = answer(editor, "Download")
        await begin(editor, model)
        [said] = await editor.until(lambda: editor.messages, 60)
        assert says in said and said.startswith("Inkling: ") and asked == []
