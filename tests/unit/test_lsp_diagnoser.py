"""Squiggles go when their document may show nothing any more, and no wish for a refresh is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.lsp.editor import CAPABILITIES, NO_ANSWER, PUSH_ONLY, QUIET, Editor, session_with

from inkling.api import Label
from inkling.engine.fake import FakeEngine

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


@pytest.mark.parametrize("pulls", [True, False])
async def test_a_rule_for_saved_text_reads_it_when_it_is_saved(tmp_path: Path, pulls: bool) -> None:
    """The file on disk is in another encoding than UTF-8 and says nothing: the editor's word counts."""
    path = tmp_path / "a.md"
    path.write_bytes("Café".encode("utf-16"))
    rule = {"name": "tone", "when": "save", "labels": {"hostile": "warning"}}
    options = {**QUIET, "rule": [rule], "rules": {"remember": False}}
    engine = FakeEngine(labels=lambda text: [Label("hostile" if "stupid" in text else "kind", 0.9)])
    engine.known_labels = ("hostile", "kind")
    uri, pushed = path.as_uri(), "textDocument/publishDiagnostics"

    async with session_with("rules=inkling_plugins.rules.plugin:Rules", engine=engine) as (editor, session):

        async def codes(push: int) -> list[str]:
            if pulls:
                report = await editor.ask("textDocument/diagnostic", {"textDocument": {"uri": uri}})
                return [mark["code"] for mark in report["items"]]
            await editor.until(lambda: len(editor.told(pushed)) == push, 5)
            return [mark["code"] for mark in editor.told(pushed)[-1]["diagnostics"]]

        editor.settings = options
        capabilities = CAPABILITIES if pulls else PUSH_ONLY
        await editor.initialize(tmp_path, capabilities=capabilities, initializationOptions=options)
        editor.open(uri, "These are fine words.\n", "markdown")
        assert await codes(1) == [] and len(engine.calls_to("classify")) == 1
        editor.edit(uri, 0, 0, "A stupid plan here.\n\n")
        assert await codes(2) == [] and len(engine.calls_to("classify")) == 1
        assert [reason.reason for reason in session.reasons.of(uri)] == ["not-saved"]
        editor.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
        if pulls:
            method = "workspace/diagnostic/refresh"
            await editor.until(lambda: any(message["method"] == method for message in editor.requests), 5)
        assert await codes(3) == ["tone/hostile"]
