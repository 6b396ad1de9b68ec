"""Faults 6, 7 and 17 to 20 as the editor sees them, with a scripted engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.lsp.editor import PUSH_ONLY, session_with

from inkling.engine.fake import FakeEngine
from inkling.engine.protocol import EngineEvent, Label, ModelState
from inkling.errors import InklingError

URI = "file:///home/a.txt"
START: dict[str, Any] = {}


async def test_it_starts_in_the_background_and_can_be_asked_before() -> None:
    engine = FakeEngine(labels={"words": [Label("x", 0.9)]})
    async with session_with("model=Model", engine=engine) as (editor, _):
        await editor.initialize(initializationOptions=START)
        editor.open(URI, "some words")
        report = await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        assert [item["message"] for item in report["items"]] == ["x"]
        assert (await editor.ask("inkling/status"))["engine"]["state"] == "ready"
        assert engine.running


async def test_a_model_that_loads_shows_its_progress() -> None:
    engine = FakeEngine()
    async with session_with("model=Model", engine=engine) as (editor, _):
        await editor.initialize(initializationOptions=START)
        await editor.until(lambda: engine._listeners)
        for state, progress in (("loading", 0.0), ("loading", 0.5), ("loading", 0.5), ("ready", 1.0)):
            model = ModelState("starter:tone", "text-classification", state, progress)
            engine.emit(EngineEvent("model", model))
        await editor.until(lambda: len(editor.told("$/progress")) == 4)
        values = [report["value"] for report in editor.told("$/progress")]
        assert [(value["kind"], value.get("message"), value.get("percentage")) for value in values] == [
            ("begin", None, None),
            ("report", "starter:tone", None),
            ("report", "starter:tone", 50),
            ("end", None, None),
        ]


async def test_17_a_crash_is_said_and_the_progress_ends() -> None:
    engine = FakeEngine()
    async with session_with("model=Model", engine=engine) as (editor, session):
        await editor.initialize(initializationOptions=START)
        await editor.until(lambda: engine._listeners)
        engine.emit(EngineEvent("model", ModelState("starter:tone", "text-classification", "loading")))
        engine.emit(EngineEvent("crashed", message="The engine crashed and is being restarted."))
        await editor.until(lambda: editor.messages)
        assert session.engine.state == "crashed"
        assert editor.told("$/progress")[-1]["value"]["kind"] == "end"
        engine.emit(EngineEvent("started"))
        await editor.until(lambda: session.engine.state == "ready")
        assert editor.messages == ["Inkling: The engine crashed and is being restarted."]
        assert [told["engine"] for told in editor.told("inkling/statusChanged")][-2:] == ["crashed", "ready"]


@pytest.mark.parametrize(("pressed", "restarted"), [("Restart", True), (None, False)])
async def test_17_after_too_many_crashes_the_user_decides(pressed: str | None, restarted: bool) -> None:
    engine = FakeEngine()
    restarts: list[bool] = []

    async def restart() -> None:
        restarts.append(True)

    engine.restart = restart  # type: ignore[method-assign]
    async with session_with("model=Model", engine=engine) as (editor, session):
        editor.answers["window/showMessageRequest"] = lambda message: pressed and {"title": pressed}
        await editor.initialize(initializationOptions=START)
        await editor.until(lambda: engine._listeners)
        engine.emit(EngineEvent("gave-up", message="The engine crashed five times in three minutes."))
        request = await editor.until(
            lambda: [message for message in editor.requests if message["method"] == "window/showMessageRequest"]
        )
        assert [action["title"] for action in request[0]["params"]["actions"]] == ["Restart", "Show log"]
        await asyncio.sleep(0.05)
        assert bool(restarts) == restarted
        assert session.engine.state == ("ready" if restarted else "failed")


@pytest.mark.parametrize(
    "error",
    [
        InklingError("weights-corrupt", "starter:tone is damaged.", "Reinstall Inkling."),
        InklingError("remote-code", "org/x needs code of its own, which Inkling never runs.", "Choose another."),
        InklingError("out-of-memory", "org/x needs 9 GB, 2 GB are free.", "Choose starter:code."),
    ],
)
async def test_18_to_20_the_reason_reaches_the_user_and_other_plugins_work(error: InklingError) -> None:
    engine = FakeEngine(faults={"classify": error})
    async with session_with("model=Model", "words=Words", engine=engine) as (editor, session):
        await editor.initialize(initializationOptions=START)
        editor.open(URI, "some bad words")
        for _ in range(5):
            report = await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
            assert [item["source"] for item in report["items"]] == ["inkling: words"]
        assert session.host.entries[0].ready, "a model's trouble is not the plugin's"
        reasons = (await editor.ask("inkling/status"))["reasons"]
        assert (reasons[-1]["reason"], reasons[-1]["detail"]) == (error.reason, str(error))


async def test_an_engine_that_does_not_start() -> None:
    engine = FakeEngine()

    async def start() -> None:
        raise InklingError("engine-down", "The engine did not start.", "Run `inkling doctor`.")

    engine.start = start  # type: ignore[method-assign]
    async with session_with("model=Model", "words=Words", engine=engine) as (editor, _):
        await editor.initialize(initializationOptions=START)
        await editor.until(lambda: editor.messages)
        assert editor.messages == ["Inkling: The engine did not start. Run `inkling doctor`."]
        editor.open(URI, "some words")
        assert await editor.ask("textDocument/hover", editor.at(URI))


async def test_diagnostics_come_by_themselves_once_the_model_is_there() -> None:
    engine = FakeEngine(faults={"classify": InklingError("engine-starting", "The engine is starting.")})
    async with session_with("model=Model", engine=engine) as (editor, _):
        await editor.initialize(initializationOptions=START)
        editor.open(URI, "some words")
        report = await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        assert report["items"] == []
        before = len(editor.requests)
        engine.faults.clear()
        engine.emit(EngineEvent("model", ModelState("starter:tone", "text-classification", "ready", 1.0)))
        await editor.until(
            lambda: [r for r in editor.requests[before:] if r["method"] == "workspace/diagnostic/refresh"]
        )
        report = await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        assert len(report["items"]) == 1


async def test_pushed_diagnostics_come_by_themselves_too() -> None:
    engine = FakeEngine(faults={"classify": InklingError("engine-starting", "The engine is starting.")})
    async with session_with("model=Model", engine=engine) as (editor, session):
        await editor.initialize(initializationOptions=START, capabilities=PUSH_ONLY)
        editor.open(URI, "some words")
        await editor.until(lambda: editor.told("textDocument/publishDiagnostics"))
        engine.faults.clear()
        engine.emit(EngineEvent("model", ModelState("starter:tone", "text-classification", "ready", 1.0)))
        await editor.until(lambda: editor.told("textDocument/publishDiagnostics")[-1]["diagnostics"])
        assert session.protocol.running == 0


@pytest.mark.parametrize("way", ["cancel", "edit", "close", "newer", "hang up"])
async def test_6_and_7_whatever_ends_a_suggestion_ends_its_stream(way: str) -> None:
    engine = FakeEngine(texts=["x"] * 10_000, delay_s=0.01)
    async with session_with("model=Model", engine=engine) as (editor, _):
        await editor.initialize(initializationOptions=START)
        editor.open(URI, "some words")
        context = {"context": {"triggerKind": 1}, "partialResultToken": "t"}
        asked = editor.request("textDocument/inlineCompletion", editor.at(URI, 4, **context))
        await editor.until(lambda: len(editor.told("$/progress")) > 2)
        if way == "cancel":
            editor.cancel(asked)
        elif way == "edit":
            editor.edit(URI, 4, 4, "x")
        elif way == "close":
            editor.close(URI)
        elif way == "newer":
            editor.cancel(editor.request("textDocument/inlineCompletion", editor.at(URI, 5, **context)))
        else:
            await editor.ask("shutdown")
        assert (await editor.reply(asked))["error"]["code"] in (-32800, -32801)
        await asyncio.sleep(0.01)
        shown = len(editor.told("$/progress"))
        first = engine.calls_to("generate")[0]
        assert (first.outcome, first.chunks) == ("cancelled", first.chunks)
        await asyncio.sleep(0.05)
        assert len(editor.told("$/progress")) == shown
