"""The real server under pytest-lsp's client, with the capabilities of several editors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pytest_lsp import LanguageClient

from inkling.lsp.inline_types import InlineCompletionParams

TEXT = "a bad day\nfür 😀 bad\n"
EDITORS = ("neovim", "visual_studio_code", "emacs")
BEHIND_THE_EMOJI = {"utf-8": 10, "utf-16": 7, "utf-32": 6}
"""The column of the second "bad" in each position encoding; the three editors negotiate three of them."""


@pytest.fixture
def uri(client: LanguageClient, tmp_path: Path) -> str:
    uri = (tmp_path / "project" / "a.txt").as_uri()
    item = types.TextDocumentItem(uri, "plaintext", 1, TEXT)
    client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    return uri


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"server": {"start_engine": False}, "bad": {"way": "nothing"}}


@pytest.mark.parametrize("client", EDITORS, indirect=True)
async def test_every_method(client: LanguageClient, uri: str) -> None:
    document = types.TextDocumentIdentifier(uri)
    async with asyncio.timeout(30):
        hover = await client.text_document_hover_async(types.HoverParams(document, types.Position(0, 3)))
        assert hover is not None and isinstance(hover.contents, types.MarkupContent)
        assert hover.contents.value == "word bad"
        place = types.Range(types.Position(0, 2), types.Position(0, 5))
        actions = await client.text_document_code_action_async(
            types.CodeActionParams(document, place, types.CodeActionContext([]))
        )
        shout = next(action for action in actions or [] if action.title == "Shout")
        if isinstance(shout, types.CodeAction):  # lsprotocol takes an action with a command for that command
            shout = await client.code_action_resolve_async(shout)
            assert shout.edit is not None
        lenses = await client.text_document_code_lens_async(types.CodeLensParams(document))
        assert [lens.command.title for lens in lenses or [] if lens.command] == ["6 words"]
        argument = {"uri": uri, "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 5}}}
        command = types.ExecuteCommandParams("inkling.count", [argument])
        assert await client.workspace_execute_command_async(command) == "2"


@pytest.mark.parametrize("client", EDITORS, indirect=True)
async def test_diagnostics(client: LanguageClient, uri: str) -> None:
    async with asyncio.timeout(30):
        if client.capabilities and client.capabilities.text_document and client.capabilities.text_document.diagnostic:
            report = await client.text_document_diagnostic_async(
                types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
            )
            assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
            items = report.items
        else:
            while not client.diagnostics.get(uri):
                await client.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
            items = client.diagnostics[uri]
        assert [(item.source, item.range.start) for item in items] == [
            ("inkling: words", types.Position(0, 2)),
            ("inkling: words", types.Position(1, BEHIND_THE_EMOJI[client.result.capabilities.position_encoding])),  # type: ignore[attr-defined]
        ]


async def test_ghost_text_with_partial_results(client: LanguageClient, uri: str) -> None:
    params = InlineCompletionParams(
        types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
        types.TextDocumentIdentifier(uri),
        types.Position(0, 9),
        partial_result_token="partial-1",
    )
    async with asyncio.timeout(30):
        result = await client.protocol.send_request_async(types.TEXT_DOCUMENT_INLINE_COMPLETION, params)
    texts = [value[0]["insertText"] for value in map(plain, client.partial_results["partial-1"])]  # type: ignore[attr-defined]
    assert texts[-1] == "one two\nthree four" and len(texts) == 4
    assert result == []


def plain(value: Any) -> Any:
    """pygls makes objects of unknown JSON; make it JSON again."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}
    return value


async def test_cancel(client: LanguageClient, uri: str) -> None:
    change = types.DidChangeConfigurationParams(
        {"inkling": {"server": {"start_engine": False}, "words": {"pause": 30}, "bad": {"way": "nothing"}}}
    )
    client.workspace_did_change_configuration(change)
    command = types.ExecuteCommandParams("inkling.count", [{"uri": uri}])
    async with asyncio.timeout(30):
        work = client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, command, msg_id="X")
        asked = asyncio.create_task(work)
        await asyncio.sleep(0.3)
        client.cancel_request(types.CancelParams("X"))
        with pytest.raises(Exception, match="cancelled"):
            await asked
