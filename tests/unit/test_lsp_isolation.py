"""A bad plugin loses only its own result, and is disabled after three failures with the reason shown once."""

from __future__ import annotations

import asyncio
import math
import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from tests.lsp.editor import QUIET, Editor, probe_points, session_with

from inkling import api
from inkling.api import CodeLens, Diagnostic, Hover, Plugin, Position, Range, Snapshot
from inkling.lsp.session import Session
from inkling.plugins.entry import GROUP

URI = "file:///home/a.txt"
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
        told = disabled or way == "inkling-error"  # a model that is missing is the user's to pull
        assert len(editor.messages) == told, "shown once"
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


class Shapes(Plugin):
    """Gives what `given` holds, and leaves the process where `leaves` says."""

    name = "shapes"
    given: Any = None
    leaves = ""

    async def start(self) -> None:
        if self.leaves == "start":
            sys.exit(3)

    def stop(self) -> None:  # type: ignore[override]  # a plain function is what is tested
        if self.leaves == "stop":
            sys.exit(3)

    @api.hover
    async def about(self, snapshot: Snapshot, position: Position) -> Any:
        if self.leaves == "hover":
            sys.exit(3)
        return self.given

    @api.diagnostics
    async def found(self, snapshot: Snapshot) -> Any:
        return self.given

    @api.code_lenses
    async def lens(self, snapshot: Snapshot) -> Any:
        return self.given


def with_shapes(session: Session, given: Any = None, leaves: str = "") -> None:
    """Let the second plugin be a `Shapes`."""
    session.plugin_points = [*probe_points("words=Words"), EntryPoint("shapes", f"{__name__}:Shapes", GROUP)]
    Shapes.given, Shapes.leaves = given, leaves


SPAN = Range(Position(0, 0), Position(0, 4))
ON_WIRE = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 4}}


@pytest.mark.parametrize(
    ("method", "given", "shown"),
    [
        ("diagnostic", Diagnostic(SPAN, "x", data={"x": object()}), False),  # type: ignore[dict-item]
        ("diagnostic", Diagnostic(SPAN, "x", data={"x": math.nan}), False),
        ("diagnostic", Diagnostic(SPAN, "x", data={3: 4}), False),  # type: ignore[dict-item]
        ("diagnostic", Diagnostic(((0, 0), (0, math.nan)), "x"), False),  # type: ignore[arg-type]
        ("diagnostic", Diagnostic(((0, 0), (0, 4)), "x"), True),  # type: ignore[arg-type]
        ("hover", Hover("x", ((0, 0), (0, 4))), True),  # type: ignore[arg-type]
        ("codeLens", CodeLens(SPAN, "x", "count", {"factor": math.inf}), False),
        ("codeLens", CodeLens(((0, 0), (0, 4)), "x", "count"), True),  # type: ignore[arg-type]
    ],
)
async def test_results_are_checked_to_the_bottom(method: str, given: Any, shown: bool) -> None:
    async with session_with() as (editor, session):
        with_shapes(session, given)
        await editor.initialize()
        editor.open(URI, "some bad words")
        found = await editor.ask(f"textDocument/{method}", editor.at(URI))
        if method == "hover":
            assert found["contents"]["value"] == "word some\n\n---\n\nx" and found["range"] == ON_WIRE
            return
        items = found["items"] if method == "diagnostic" else found
        assert [item["range"] == ON_WIRE for item in items[1:]] == [True] * shown, "the other plugin's is the first"
        assert len(items) == 1 + shown


@pytest.mark.parametrize("leaves", ["start", "hover", "stop", ""])
async def test_a_plugin_ends_neither_the_process_nor_the_end(leaves: str) -> None:
    ended: list[str] = []
    async with session_with() as (editor, session):
        with_shapes(session, None, leaves)
        await editor.initialize()
        editor.open(URI, "some words")
        session.at_end(lambda: ended.append("cleaned up"))
        for _ in range(3):
            assert (await hover(editor))["contents"]["value"] == "word some"
        assert session.host.entries[1].ready == (leaves not in ("start", "hover"))
    assert ended == ["cleaned up"]


async def test_one_failing_step_does_not_keep_the_session_from_ending() -> None:
    ended: list[str] = []
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()

        def fail() -> None:
            raise RuntimeError

        session.ghosts.stop_all = fail  # type: ignore[method-assign]
        session.at_end(lambda: ended.append("cleaned up"))
    assert ended == ["cleaned up"]


async def test_no_invalid_json_is_sent() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        session.server.feature("inkling/nan")(lambda params: math.nan)
        assert await editor.refusal("inkling/nan") == -32603
