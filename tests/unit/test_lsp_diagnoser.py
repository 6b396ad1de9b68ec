"""Squiggles go when their document may show nothing any more, and no wish for a refresh is lost."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lsp.editor import NO_ANSWER, PUSH_ONLY, QUIET, Editor, session_with

URI = "file:///home/a.txt"


def too_large(editor: Editor) -> None:
    editor.edit(URI, 0, 0, "word " * 300)


def lost(editor: Editor) -> None:
    document = {"uri": URI, "version": 9}
    editor.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"range": 1}]})


def excluded(editor: Editor) -> None:
    changed = {"server": {**QUIET["server"], "exclude": ["*.txt"]}}
    editor.settings = changed
    editor.notify("workspace/didChangeConfiguration", {"settings": {"inkling": changed}})


@pytest.mark.parametrize("happens", [too_large, lost, excluded])
async def test_pushed_squiggles_go(happens: Any) -> None:
    async with session_with("words=Words") as (editor, _):
        options = {"server": {**QUIET["server"], "max_document_size": 1000}}
        editor.settings = options
        await editor.initialize(capabilities=PUSH_ONLY, initializationOptions=options)
        editor.open(URI, "a bad day")
        pushed = "textDocument/publishDiagnostics"
        await editor.until(lambda: any(report["diagnostics"] for report in editor.told(pushed)))
        happens(editor)
        await editor.until(lambda: editor.told(pushed)[-1]["diagnostics"] == [], 5)


async def test_what_changes_while_the_client_takes_its_time_is_refreshed_too() -> None:
    method = "workspace/diagnostic/refresh"
    async with session_with("words=Words") as (editor, session):
        editor.answers[method] = lambda message: NO_ANSWER

        def asked() -> list[Any]:
            return [message["id"] for message in editor.requests if message["method"] == method]

        await editor.initialize()
        session.refresher.refresh()
        await editor.until(asked)
        session.refresher.refresh()
        session.refresher.refresh()
        editor.message(id=asked()[0], result=None)
        await editor.until(lambda: len(asked()) > 1, 5)
        editor.message(id=asked()[1], result=None)
        await editor.ask("inkling/status")
        assert len(asked()) == 2
