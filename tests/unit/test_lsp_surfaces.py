"""Every surface, from the editor's request to its result, with one well-behaved plugin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.lsp.editor import CAPABILITIES, PUSH_ONLY, QUIET, RefusedError, session_with

URI = "file:///home/a.txt"
TEXT = "a bad day\nfür 😀 bad\nend\n"


def span(line: int, start: int, end: int) -> dict[str, Any]:
    return {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}


def actions_at(place: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"textDocument": {"uri": URI}, "range": place, "context": {"diagnostics": [], "only": [kind]}}


async def test_offer() -> None:
    async with session_with("words=Words") as (editor, _):
        offered = (await editor.initialize())["capabilities"]
        assert offered["inlineCompletionProvider"] == {}
        assert offered["diagnosticProvider"]["identifier"] == "inkling"
        assert offered["codeActionProvider"]["resolveProvider"] is True
        assert {"inkling.count", "inkling.whyNothing"} <= set(offered["executeCommandProvider"]["commands"])
        assert offered["positionEncoding"] == "utf-16"
        assert offered["notebookDocumentSync"] == {"notebookSelector": [{"notebook": "*"}]}


async def test_without_plugins_nothing_is_offered() -> None:
    async with session_with() as (editor, _):
        offered = (await editor.initialize())["capabilities"]
        assert not {"hoverProvider", "codeLensProvider", "inlineCompletionProvider"} & set(offered)


@pytest.mark.parametrize(
    ("encodings", "column"), [(["utf-8"], 10), (["utf-16"], 7), (["utf-32", "utf-16"], 6), (["utf-99"], 7), (None, 7)]
)
async def test_position_encodings(encodings: list[str] | None, column: int) -> None:
    capabilities = CAPABILITIES | ({"general": {"positionEncodings": encodings}} if encodings else {})
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=capabilities)
        editor.open(URI, TEXT)
        place = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": column + 1}}
        found = await editor.ask("textDocument/hover", place)
        assert found["range"] == span(1, column, column + 3)


async def test_two_plugins_hover_under_one_rule() -> None:
    async with session_with("words=Words", "bad=Bad") as (editor, session):
        await editor.initialize(initializationOptions=QUIET | {"bad": {"way": "nothing"}})
        editor.open(URI, TEXT)
        found = await editor.ask("textDocument/hover", editor.at(URI, 3))
        assert found["contents"] == {"kind": "markdown", "value": "word bad"}
        assert [(kept.plugin, kept.reason) for kept in session.reasons.of(URI, "hover")] == [("bad", "nothing-to-say")]


async def test_reason_for_no_hover() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, "  ...  ")
        asked = editor.request("textDocument/hover", editor.at(URI, 1))
        assert await editor.result(asked) is None
        reasons = (await editor.ask("inkling/status"))["reasons"]
        assert [(r["surface"], r["reason"], r["plugin"], r["request"]) for r in reasons] == [
            ("hover", "no-word", "words", asked)
        ]
        said = await editor.ask(
            "workspace/executeCommand", {"command": "inkling.whyNothing", "arguments": [{"uri": URI}]}
        )
        assert said == "hover: No word here. [no-word]"


async def test_why_nothing_answers_for_the_cursor_first() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()

        async def said(**where: object) -> object:
            return await editor.ask("workspace/executeCommand", {"command": "inkling.whyNothing", "arguments": [where]})

        editor.open(URI, "...\n\n...\nword")
        editor.open("file:///other.txt", "...\n")
        for offset in (1, 5):
            await editor.ask("textDocument/hover", editor.at(URI, offset))
        why = "hover: No word here. [no-word]"
        assert await said(uri=URI, position={"line": 2, "character": 0}) == why
        assert await said(uri=URI, position={"line": 3, "character": 0}) == (
            f"Nothing was held back on line 4. Elsewhere in this document:\nline 3, {why}\nline 1, {why}"
        )
        assert await said() == "Nothing was held back here. There are reasons for another document."
        editor.edit(URI, 0, 0, " ")
        assert await said() == why, "the document that was worked in last"


async def test_pulled_diagnostics() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        document = {"textDocument": {"uri": URI}}
        first = await editor.ask("textDocument/diagnostic", document)
        assert [(item["range"], item["source"], item["severity"], item["code"]) for item in first["items"]] == [
            (span(0, 2, 5), "inkling: words", 2, "W1"),
            (span(1, 7, 10), "inkling: words", 2, "W1"),
        ]
        again = await editor.ask("textDocument/diagnostic", document | {"previousResultId": first["resultId"]})
        assert again == {"kind": "unchanged", "resultId": first["resultId"]}
        editor.edit(URI, 0, 0, "x")
        moved = await editor.ask("textDocument/diagnostic", document | {"previousResultId": first["resultId"]})
        assert moved["items"][0]["range"] == span(0, 3, 6)


async def test_pushed_diagnostics() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=PUSH_ONLY)
        editor.open(URI, TEXT)
        method = "textDocument/publishDiagnostics"
        await editor.until(lambda: any(report["diagnostics"] for report in editor.told(method)))
        assert [len(report["diagnostics"]) for report in editor.told(method)] == [2]
        editor.edit(URI, 2, 5, "good")
        await editor.until(lambda: editor.told(method)[-1].get("version") == 2)
        assert len(editor.told(method)[-1]["diagnostics"]) == 1
        editor.close(URI)
        await editor.until(lambda: editor.told(method)[-1]["diagnostics"] == [])


async def test_quick_fix_moves_with_its_text_and_goes_when_it_was_edited() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        editor.edit(URI, 0, 0, "new line\n")
        params = {
            "textDocument": {"uri": URI},
            "range": span(1, 3, 3),
            "context": {"diagnostics": [], "only": ["quickfix"]},
        }
        (fix,) = await editor.ask("textDocument/codeAction", params)
        assert fix["isPreferred"] and fix["diagnostics"][0]["range"] == span(1, 2, 5)
        assert editor.apply(fix["edit"])
        assert editor.texts[URI].startswith("new line\na good day\n")
        assert await editor.ask("textDocument/codeAction", params) == []


async def test_action_is_resolved_when_chosen() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        params = {
            "textDocument": {"uri": URI},
            "range": span(0, 2, 5),
            "context": {"diagnostics": [], "only": ["refactor"]},
        }
        (shout,) = await editor.ask("textDocument/codeAction", params)
        editor.edit(URI, 0, 0, "and ")
        resolved = await editor.ask("codeAction/resolve", shout)
        assert editor.apply(resolved["edit"])
        assert editor.texts[URI].startswith("and a BAD! day")
        with pytest.raises(RefusedError, match="changed"):
            await editor.ask("codeAction/resolve", shout)


async def test_action_for_a_client_that_cannot_resolve() -> None:
    text_document = {**CAPABILITIES["textDocument"], "codeAction": {"codeActionLiteralSupport": {}}}
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=CAPABILITIES | {"textDocument": text_document})
        editor.open(URI, TEXT)
        params = {
            "textDocument": {"uri": URI},
            "range": span(0, 2, 5),
            "context": {"diagnostics": [], "only": ["refactor"]},
        }
        (shout,) = await editor.ask("textDocument/codeAction", params)
        assert await editor.ask("workspace/executeCommand", shout["command"]) is None
        assert editor.texts[URI].startswith("a BAD! day")


async def test_a_client_that_knows_only_commands() -> None:
    text_document = {**CAPABILITIES["textDocument"], "codeAction": {}}
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=CAPABILITIES | {"textDocument": text_document})
        editor.open(URI, TEXT)
        await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        params = {"textDocument": {"uri": URI}, "range": span(0, 2, 5), "context": {"diagnostics": []}}
        commands = await editor.ask("textDocument/codeAction", params)
        assert [command["title"] for command in commands] == ["Make it good", "Shout", "Count"]
        assert await editor.ask("workspace/executeCommand", commands[1]) is None
        assert await editor.refusal("workspace/executeCommand", commands[0]) == -32803
        assert await editor.ask("workspace/executeCommand", commands[2]) == "1"
        assert editor.texts[URI].startswith("a BAD! day")


async def test_lens_and_command() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        (lens,) = await editor.ask("textDocument/codeLens", {"textDocument": {"uri": URI}})
        assert lens["command"]["title"] == "7 words"
        arguments = {"uri": URI, "range": span(0, 0, 9), "factor": 10}
        command = {"command": "inkling.count", "arguments": [arguments]}
        assert await editor.ask("workspace/executeCommand", command) == "30"
        assert await editor.ask("workspace/executeCommand", {"command": "inkling.count"}) is None


@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        ("inkling.nonsense", [], -32602),
        ("count", [], -32602),
        ("inkling.count", ["text"], -32602),
        ("inkling.count", [{"uri": "file:///never/opened"}], -32803),
        ("inkling.count", [{"uri": URI, "range": {"start": 1}}], -32602),
        ("inkling.count", [{"uri": URI, "position": {"line": -1, "character": 0}}], -32602),
        ("inkling.applyAction", [{"plugin": "words"}], -32602),
    ],
)
async def test_commands_refused(command: str, arguments: list[Any], code: int) -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        assert await editor.refusal("workspace/executeCommand", {"command": command, "arguments": arguments}) == code


async def test_ghost_text_streams_to_a_client_that_takes_partial_results() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(initializationOptions=QUIET | {"words": {"pause": 0.001}})
        editor.open(URI, TEXT)
        params = editor.at(URI, 9, context={"triggerKind": 1}, partialResultToken="t")
        assert await editor.ask("textDocument/inlineCompletion", params) == []
        texts = [report["value"][0]["insertText"] for report in editor.told("$/progress") if report["token"] == "t"]
        assert texts == ["one ", "one two\n", "one two\nthree ", "one two\nthree four"]


async def test_ghost_text_gives_the_first_line_to_a_client_that_does_not() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=QUIET | {"words": {"pause": 0.2}})
        editor.open(URI, TEXT)
        (item,) = await editor.ask("textDocument/inlineCompletion", editor.at(URI, 9, context={"triggerKind": 2}))
        assert item == {"insertText": "one two", "range": span(0, 9, 9)}
        assert session.host.strays == 1, "the plugin's stream goes on"
        editor.edit(URI, 9, 9, "o")
        (item,) = await editor.ask("textDocument/inlineCompletion", editor.at(URI, 10, context={"triggerKind": 2}))
        assert session.host.strays == 1, "the first stream ended when the second request was served"
        editor.close(URI)
        async with asyncio.timeout(10):
            while session.host.strays:
                await asyncio.sleep(0.01)


async def test_edit_during_generation_leaves_no_stale_suggestion() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=QUIET | {"words": {"pause": 30}})
        editor.open(URI, TEXT)
        asked = editor.request("textDocument/inlineCompletion", editor.at(URI, 9, context={"triggerKind": 2}))
        await editor.until(lambda: session.host.strays)
        editor.edit(URI, 0, 0, "x")
        reply = await editor.reply(asked)
        assert reply["error"]["code"] == -32801
        await asyncio.sleep(0.01)
        assert session.host.strays == 0


async def test_notebook_cells_are_documents() -> None:
    cell, other = "notebook-cell:/n.ipynb#1", "notebook-cell:/n.ipynb#2"

    def item(uri: str, text: str) -> dict[str, Any]:
        return {"uri": uri, "languageId": "python", "version": 1, "text": text}

    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        notebook = {"uri": "file:///n.ipynb", "notebookType": "jupyter", "version": 1, "cells": []}
        editor.notify(
            "notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": [item(cell, "a bad cell")]}
        )
        editor.texts[cell] = "a bad cell"
        assert (await editor.ask("textDocument/hover", editor.at(cell, 3)))["contents"]["value"] == "word bad"
        change = {
            "cells": {
                "structure": {
                    "array": {"start": 1, "deleteCount": 0, "cells": [{"kind": 2, "document": other}]},
                    "didOpen": [item(other, "second")],
                },
                "textContent": [
                    {
                        "document": {"uri": cell, "version": 2},
                        "changes": [{"range": span(0, 2, 5), "text": "good"}],
                    }
                ],
            }
        }
        editor.notify(
            "notebookDocument/didChange",
            {"notebookDocument": {"uri": "file:///n.ipynb", "version": 2}, "change": change},
        )
        await editor.ask("inkling/status")
        assert [snapshot.text for snapshot in session.documents.recent()] == ["a good cell", "second"]
        closing = {"notebookDocument": {"uri": "file:///n.ipynb"}, "cellTextDocuments": [{"uri": cell}, {"uri": other}]}
        editor.notify("notebookDocument/didClose", closing)
        assert (await editor.ask("inkling/status"))["documents"] == []


async def test_status() -> None:
    async with session_with("words=Words", "not_async=NotAsync", "thing=NotAClass") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT, "python")
        status = await editor.ask("inkling/status")
        states = [(plugin["name"], plugin["state"], plugin["reason"]) for plugin in status["plugins"]]
        assert states == [
            ("words", "ready", ""),
            ("not_async", "disabled", "not-a-plugin"),
            ("thing", "disabled", "not-a-plugin"),
        ]
        assert status["documents"] == [
            {"uri": URI, "version": 1, "language": "python", "length": len(TEXT), "excluded": False}
        ]
        assert status["text"]["goes"] == "this machine"
        assert len(editor.messages) == 2 and "not_async disabled" in editor.messages[0]
