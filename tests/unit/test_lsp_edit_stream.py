"""Text that grows in the user's document while they type elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.lsp.editor import CAPABILITIES, QUIET, Editor, session_with

from inkling.api import Position
from inkling.lsp.edit_stream import GrowingText

URI = "file:///home/a.txt"


def write(editor: Editor, offset: int, pieces: int = 3, pause: float = 0.0) -> Any:
    argument = {**editor.at(URI, offset), "uri": URI, "pieces": pieces, "pause": pause}
    del argument["textDocument"]
    return editor.request("workspace/executeCommand", {"command": "inkling.write", "arguments": [argument]})


@pytest.mark.parametrize("documents", [True, False])
async def test_grows(documents: bool) -> None:
    capabilities = CAPABILITIES | {
        "workspace": CAPABILITIES["workspace"] | {"workspaceEdit": {"documentChanges": documents}}
    }
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=capabilities)
        editor.open(URI, "before  after\n")
        assert await editor.result(write(editor, 7)) is None
        assert editor.texts[URI] == "before <0><1>\n<2> after\n"


async def test_the_user_types_before_and_behind() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        editor.open(URI, "before  after\n")
        asked = write(editor, 7, pieces=6, pause=0.02)
        for number in range(8):
            await asyncio.sleep(0.01)
            editor.edit(URI, 0, 0, f"{number}é😀\n")
            editor.edit(URI, len(editor.texts[URI]), len(editor.texts[URI]), "z")
        assert await editor.result(asked) is None
        typed = "".join(f"{number}é😀\n" for number in reversed(range(8)))
        assert editor.texts[URI] == typed + "before <0><1>\n<2><3>\n<4><5>\n after\n" + "z" * 8
        snapshot = session.documents.snapshot(URI)
        assert snapshot is not None and snapshot.text == editor.texts[URI]


@pytest.mark.parametrize("where", [7, 8, 10])
async def test_the_user_types_there(where: int) -> None:
    """At its start, inside, or at its end: the stream ends politely and nothing of the user's is lost."""
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, "before  after\n")
        asked = write(editor, 7, pieces=50, pause=0.02)
        await editor.until(lambda: "<0>" in editor.texts[URI])
        end = editor.texts[URI].index(" after")
        editor.edit(URI, min(where, end) if where != 10 else end, min(where, end) if where != 10 else end, "MINE")
        reply = await editor.reply(asked)
        if where == 7:  # typing before the first written character moves the text, as before a word
            assert reply["result"] is None
            assert editor.texts[URI].startswith("before MINE<0><1>\n")
        else:
            assert reply["error"]["data"] == {"reason": "document-changed"}
            assert editor.texts[URI].replace("MINE", "").startswith("before <0>")
        assert editor.texts[URI].endswith(" after\n")


async def test_a_refused_piece_is_tried_on_the_next_version() -> None:
    async with session_with("words=Words") as (editor, _):
        refusals = 0

        def apply(message: Any) -> Any:
            nonlocal refusals
            if refusals < 3:  # the user was faster: an edit that the server has not seen yet
                refusals += 1
                editor.edit(URI, 0, 0, "u")
                return {"applied": False}
            return {"applied": editor.apply(message["params"]["edit"])}

        editor.answers["workspace/applyEdit"] = apply
        await editor.initialize()
        editor.open(URI, "before  after\n")
        assert await editor.result(write(editor, 7)) is None
        assert editor.texts[URI] == "uuubefore <0><1>\n<2> after\n"


async def test_an_editor_that_refuses_everything() -> None:
    async with session_with("words=Words") as (editor, _):
        editor.answers["workspace/applyEdit"] = lambda message: {"applied": False}
        await editor.initialize()
        editor.open(URI, "text\n")
        reply = await editor.reply(write(editor, 0))
        assert reply["error"]["data"] == {"reason": "document-changed"}


async def test_an_editor_that_takes_no_edits() -> None:
    workspace = CAPABILITIES["workspace"] | {"applyEdit": False}
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=CAPABILITIES | {"workspace": workspace})
        editor.open(URI, "text\n")
        reply = await editor.reply(write(editor, 0))
        assert reply["error"]["data"] == {"reason": "edit-refused"}


async def test_closing_the_document_ends_it() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, "text\n")
        asked = write(editor, 0, pieces=1000, pause=0.01)
        await editor.until(lambda: "<0>" in editor.texts[URI])
        editor.close(URI)
        reply = await editor.reply(asked)
        assert reply["error"]["data"] == {"reason": "document-changed"}


async def test_cancel_stops_the_writing() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(initializationOptions=QUIET)
        editor.open(URI, "text\n")
        asked = write(editor, 0, pieces=1000, pause=0.01)
        await editor.until(lambda: "<1>" in editor.texts[URI])
        editor.cancel(asked)
        assert (await editor.reply(asked))["error"]["code"] == -32800
        await asyncio.sleep(0.02)
        written = editor.texts[URI]
        await asyncio.sleep(0.1)
        assert editor.texts[URI] == written


async def test_an_editor_that_reports_the_insertion_elsewhere() -> None:
    """Comparing texts, an editor may place an insertion among equal characters; the text is what counts."""
    async with session_with("words=Words") as (editor, _):

        def apply(message: Any) -> Any:
            old = editor.texts[URI]
            edit = message["params"]["edit"]["documentChanges"][0]["edits"][0]
            new = edit["newText"]
            place = edit["range"]["start"]["character"] if edit["range"]["start"]["line"] == 0 else None
            if place == 0 and old.startswith(new):
                editor.edit(URI, len(new), len(new), new)  # the same text, told as an insertion behind it
                return {"applied": True}
            return {"applied": editor.apply(message["params"]["edit"])}

        editor.answers["workspace/applyEdit"] = apply
        await editor.initialize()
        editor.open(URI, "<0><1>\n")
        assert await editor.result(write(editor, 0, pieces=1)) is None
        assert editor.texts[URI] == "<0><0><1>\n"


async def test_a_line_end_may_come_in_halves() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        editor.open(URI, "a\nb\n")
        await editor.until(lambda: session.documents.snapshot(URI) is not None)
        snapshot = session.documents.snapshot(URI)
        assert snapshot is not None
        growing = GrowingText(session, snapshot, Position(0, 1), "test")
        for piece in ("x\r", "\ny\r", "z"):
            await growing.write(piece)
        await growing.finish()
        assert editor.texts[URI] == "ax\ny\rz\nb\n"
