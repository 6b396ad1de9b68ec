"""Faults 8 to 12: what clients do to documents that the protocol does not allow, or that other servers get wrong."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lsp.editor import QUIET, Editor, session_with

URI = "file:///home/a.txt"


def change(text: str, *place: int) -> dict[str, Any]:
    """A content change: the whole text, or a start and an end."""
    if not place:
        return {"text": text}
    line, column, last_line, last_column = place
    span = {"start": {"line": line, "character": column}, "end": {"line": last_line, "character": last_column}}
    return {"range": span, "text": text}


CASES: dict[str, tuple[str, list[tuple[int, list[dict[str, Any]]]], str, str]] = {
    "8 an older version is ignored": (
        "ab", [(5, [change("c", 0, 0, 0, 0)]), (3, [change("x", 0, 0, 0, 0)])], "cab", "stale-version",
    ),
    "8 an older whole text is taken": ("ab", [(5, [change("c")]), (3, [change("new")])], "new", "stale-version"),
    "8 a repeated version is applied": ("ab", [(1, [change("c", 0, 2, 0, 2)])], "abc", "repeated-version"),
    "9 past the end of the line": ("ab\ncd", [(2, [change("X", 0, 99, 0, 99)])], "abX\ncd", ""),
    "9 past the last line": ("ab\ncd", [(2, [change("X", 99, 0, 99, 5)])], "ab\ncdX", ""),
    "9 an inverted range": ("abcd", [(2, [change("X", 0, 3, 0, 1)])], "aXd", "inverted-range"),
    "10 behind an emoji": ("😀b", [(2, [change("X", 0, 2, 0, 2)])], "😀Xb", ""),
    "10 half a pair, then the other": (
        "a", [(2, [change("\ud83d", 0, 1, 0, 1)]), (3, [change("\ude00", 0, 2, 0, 2)])], "a😀", "lone-surrogate",
    ),
    "10 one half replaced": ("😀", [(2, [change("\ude01", 0, 1, 0, 2)])], "😁", ""),
    "11 form feed is no line end": ("a\fb\u2028c\x85\ne", [(2, [change("X", 1, 0, 1, 0)])], "a\fb\u2028c\x85\nXe", ""),
    "11 a carriage return is one": ("a\rb\r\nc", [(2, [change("X", 2, 0, 2, 0)])], "a\rb\r\nXc", ""),
    "11 the middle of a line end": ("a\r\nb", [(2, [change("X", 0, 1, 1, 0)])], "aXb", ""),
    "changes build on each other": ("abc", [(2, [change("X", 0, 0, 0, 1), change("Y", 0, 1, 0, 2)])], "XYc", ""),
    "no change at all": ("abc", [(2, [])], "abc", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
async def test_mirror(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    text, edits, expected, complaint = CASES[name]
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        editor.open(URI, text)
        for version, changes in edits:
            document = {"uri": URI, "version": version}
            editor.notify("textDocument/didChange", {"textDocument": document, "contentChanges": changes})
        await editor.ask("inkling/status")
        snapshot = session.documents.snapshot(URI)
        assert snapshot is not None and snapshot.text == expected
        assert editor.messages == []
    logged = capfd.readouterr().err
    assert (f"reason={complaint}" in logged) if complaint else ("warning" not in logged)


async def unopened(editor: Editor) -> None:
    document = {"uri": "file:///never", "version": 2}
    for _ in range(3):
        editor.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change("x")]})
        editor.notify("textDocument/didClose", {"textDocument": {"uri": "file:///never"}})


async def opened_twice(editor: Editor) -> None:
    editor.open(URI, "the newer words")


async def malformed(editor: Editor) -> None:
    for params in (None, [], {}, {"textDocument": 5}):
        editor.notify("textDocument/didChange", params)
        editor.notify("textDocument/didOpen", params)
        editor.notify("textDocument/didClose", params)


@pytest.mark.parametrize(
    ("fault", "expected", "logged"),
    [
        (unopened, "word some", "reason=not-open"),
        (opened_twice, "word the", "reason=already-open"),
        (malformed, "word some", "notification-refused"),
    ],
)
async def test_8_recovered_from(fault: Any, expected: str, logged: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, "some words")
        await fault(editor)
        assert (await editor.ask("textDocument/hover", editor.at(URI)))["contents"]["value"] == expected
        assert editor.messages == []
    assert logged in capfd.readouterr().err


async def test_9_an_edit_that_cannot_be_read_asks_for_a_reopen() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        editor.open(URI, "some words")
        document = {"uri": URI, "version": 9}
        editor.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"range": 1}]})
        assert await editor.ask("textDocument/hover", editor.at(URI)) is None
        assert [reason.reason for reason in session.reasons.of(URI)] == ["out-of-sync"]
        editor.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change("all of it")]})
        assert await editor.ask("textDocument/hover", editor.at(URI))


async def test_9_a_notebook_edit_that_cannot_be_read_loses_its_cells() -> None:
    cell, book = "notebook-cell:/n.ipynb#1", {"uri": "file:///n.ipynb", "version": 1}
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        editor.open(URI, "some words")
        item = {"uri": cell, "languageId": "python", "version": 1, "text": "some code"}
        opened = {"notebookDocument": {**book, "notebookType": "jupyter", "cells": []}, "cellTextDocuments": [item]}
        editor.notify("notebookDocument/didOpen", opened)
        at_cell = {"textDocument": {"uri": cell}, "position": {"line": 0, "character": 1}}
        assert await editor.ask("textDocument/hover", at_cell)
        edit = {"cells": {"textContent": [{"document": {"uri": cell, "version": 2}, "changes": [{"range": 1}]}]}}
        editor.notify("notebookDocument/didChange", {"notebookDocument": book, "change": edit})
        assert await editor.ask("textDocument/hover", at_cell) is None
        assert [reason.reason for reason in session.reasons.of(cell)] == ["out-of-sync"]
        assert await editor.ask("textDocument/hover", editor.at(URI)), "no cell of this notebook"


async def test_9_an_edit_that_the_server_fails_at_asks_for_a_reopen(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        editor.open(URI, "some words")
        monkeypatch.setattr(session.documents, "change", fail)
        editor.edit(URI, 0, 0, "x")
        assert await editor.ask("textDocument/hover", editor.at(URI)) is None
        assert [reason.reason for reason in session.reasons.of(URI)] == ["out-of-sync"]


async def test_12_a_huge_document_gets_no_features_and_a_reason() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions={"server": {"start_engine": False, "max_document_size": 1000}})
        editor.open(URI, "word " * 1000)
        assert await editor.ask("textDocument/hover", editor.at(URI)) is None
        assert [reason.reason for reason in session.reasons.of(URI)] == ["too-large"]
        editor.edit(URI, 100, 5000, "")
        assert await editor.ask("textDocument/hover", editor.at(URI))


@pytest.mark.parametrize("text", ["word\n" * 2_000_000, "a" * 2_000_000], ids=["10 MB", "one line of 2 MB"])
async def test_12_typing_in_a_huge_document_copies_nothing(text: str) -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=QUIET)
        editor.open(URI, text)
        await editor.ask("inkling/status")
        mirror = session.documents.mirror(URI)
        assert mirror is not None
        before = set(mirror.document.snapshot.rope.leaves())
        place = {"line": 0, "character": 3}
        edit = {"range": {"start": place, "end": place}, "text": "x"}
        editor.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [edit]})
        await editor.ask("inkling/status")
        after = set(mirror.document.snapshot.rope.leaves())
        assert 0 < len(after - before) < 5, "an edit makes a few new leaves and shares the rest"


async def test_excluded_files_are_seen_by_no_plugin() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize()
        for uri in ("file:///home/.env", "file:///home/x/id_rsa", "file:///home/a%20b/key.pem"):
            editor.open(uri, "secret words")
            assert await editor.ask("textDocument/hover", editor.at(uri)) is None
            assert [reason.reason for reason in session.reasons.of(uri)] == ["excluded"]
        assert session.host.entries[0].plugin is not None
        assert session.host.entries[0].plugin.editor.documents() == []
