"""A bad plugin loses only its own result, and is disabled after three failures with the reason shown once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.lsp.editor import QUIET, Editor, session_with

URI = "file:///work/a.txt"
FAST = {"server": {"start_engine": False, "timeouts": {"hover": 0.05, "diagnostics": 0.05, "command": 0.05}}}


async def hover(editor: Editor) -> Any:
    return await editor.ask("textDocument/hover", editor.at(URI, 3))


@pytest.mark.parametrize(
    ("way", "disabled"),
    [
        ("raise", True),
        ("start", True),
        ("hang", True),
        ("ignore-cancel", True),
        ("type", True),
        ("item-type", True),
        ("block", True),
        ("inkling-error", False),
        ("nothing", False),
    ],
)
async def test_others_results_stay(way: str, disabled: bool) -> None:
    async with session_with("bad=Bad", "words=Words") as (editor, session):
        await editor.initialize(initializationOptions=FAST | {"bad": {"way": way}})
        editor.open(URI, "some words")
        for _ in range(4):
            assert (await hover(editor))["contents"]["value"] == "word some"
        bad = session.host.entries[0]
        assert (bad.state, bad.reason) == (("disabled", "failing") if disabled else ("ready", ""))
        assert len(editor.messages) == disabled, "shown once"
        assert "secret" not in str(editor.notifications) + str(editor.replies)
        status = await editor.ask("inkling/status")
        assert status["plugins"][0]["state"] == bad.state
        if disabled:
            enable = {"command": "inkling.enablePlugin", "arguments": [{"name": "bad"}]}
            assert await editor.ask("workspace/executeCommand", enable) is True
            assert bad.ready
        else:
            assert {kept.plugin for kept in session.reasons.of(URI, "hover")} == {"bad"}


@pytest.mark.parametrize(
    ("way", "reason"),
    [("raise", "raised"), ("hang", "timed-out"), ("type", "wrong-type"), ("inkling-error", "model-not-found")],
)
async def test_reason_when_alone(way: str, reason: str) -> None:
    async with session_with("bad=Bad") as (editor, session):
        await editor.initialize(initializationOptions=FAST | {"bad": {"way": way}})
        editor.open(URI, "some words")
        assert await hover(editor) is None
        assert [kept.reason for kept in session.reasons.of(URI, "hover")] == [reason]
        report = await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        assert report["items"] == []


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("raise", "bad failed; the server's log says where."),
        ("hang", "bad gave no result within 0.05 s."),
        ("inkling-error", "The model x/y is not on this machine. Pull it."),
    ],
)
async def test_command_says_why(way: str, words: str) -> None:
    async with session_with("bad=Bad") as (editor, _):
        await editor.initialize(initializationOptions=FAST | {"bad": {"way": way}})
        reply = await editor.reply(editor.request("workspace/executeCommand", {"command": "inkling.fail"}))
        assert (reply["error"]["code"], reply["error"]["message"]) == (-32803, words)


async def test_success_in_between_resets_the_count() -> None:
    async with session_with("bad=Bad") as (editor, session):
        await editor.initialize(initializationOptions=QUIET | {"bad": {"way": "raise"}})
        editor.open(URI, "some words")
        for way in ("raise", "raise", "nothing", "raise", "raise"):
            settings = {"settings": {"inkling": QUIET | {"bad": {"way": way}}}}
            editor.notify("workspace/didChangeConfiguration", settings)
            await editor.until(lambda way=way: session.host.entries[0].plugin.settings.way == way, 5)
            await hover(editor)
        assert session.host.entries[0].ready


async def test_engine_time_is_not_held_against_a_plugin() -> None:
    from inkling.engine.fake import FakeEngine

    async with session_with("model=Model", engine=FakeEngine(delay_s=30)) as (editor, session):
        await editor.initialize(initializationOptions=FAST)
        editor.open(URI, "some words")
        for _ in range(4):
            await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        assert session.host.entries[0].ready
        assert session.reasons.of(URI, "diagnostics")[-1].reason == "engine-slow"


async def test_two_of_one_name() -> None:
    async with session_with("words=Words", "words=Bad") as (editor, session):
        await editor.initialize()
        assert [(entry.state, entry.reason) for entry in session.host.entries] == [
            ("ready", ""),
            ("disabled", "name-taken"),
        ]


async def test_missing_module() -> None:
    async with session_with("words=Words", "gone=Gone") as (editor, session):
        await editor.initialize()
        await asyncio.sleep(0)
        assert session.host.entries[1].reason == "import-failed"
        assert editor.messages == ["Inkling: gone disabled: It does not load: AttributeError."]
        editor.open(URI, "some words")
        assert await hover(editor)
