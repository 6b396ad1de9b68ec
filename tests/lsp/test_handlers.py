"""The four bundled handlers, in the real server, with the starter models that ship, through pytest-lsp's client.

One server and one engine of its own serve the whole module, as in an editor; nothing is faked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import LanguageClient
from tests.lsp.conftest import serving
from tests.lsp.test_clients import plain
from tokenizers import Tokenizer

from inkling.engine.models.catalog import resolve
from inkling.lsp.inline_types import InlineCompletionParams

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SETTINGS: dict[str, Any] = {
    "engine": {"private": True},
    "complete": {"min_confidence": 0.0, "copy": False, "continue_tokens": 4000},
    "server": {"timeouts": {"inline_completion": 60}},
}
CODE = '''"""Reading of settings files."""

import os
import sys


def read_lines(path):
    # This opens the file and gives back all of its lines, without the line ends. You idiot, your code is garbage.
    with open(path) as file:
        return [line.rstrip() for line in file]


def main():
    for name in sys.argv[1:]:
        '''
BLOCKS = (
    "pass\n\n\ndef read_words(path):\n    ",
    "pass\n\n\ndef parse(text, strict=False):\n    if not text:\n        ",
    "pass\n\n\nclass Reader:\n    def __init__(self, path):\n        ",
    "pass\n\n\ndef is_comment(line):\n    return ",
    "if name == ",
    "with open(name) as file:\n            ",
)
"""Places where a model of code has something to say."""
COMMENT = "This opens the file and gives back all of its lines, without the line ends."


class Desk:
    """An editor with documents: applies the server's edits and tells the server so."""

    def __init__(self, client: LanguageClient, root: Path) -> None:
        self.client = client
        self.root = root
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.applied = 0
        client.protocol.fm.feature(types.WORKSPACE_APPLY_EDIT)(self._on_edit())

    def open(self, name: str, language: str, text: str) -> str:
        uri = (self.root / name).as_uri()
        self.texts[uri], self.versions[uri] = text, 1
        item = types.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def replace(self, uri: str, start: int, end: int, new: str) -> None:
        text = self.texts[uri]
        change = types.TextDocumentContentChangePartial(text=new, range=span(text, start, end))
        self.texts[uri] = text[:start] + new + text[end:]
        self.versions[uri] += 1
        document = types.VersionedTextDocumentIdentifier(version=self.versions[uri], uri=uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def apply(self, edit: types.WorkspaceEdit) -> None:
        for change in edit.document_changes or []:
            assert isinstance(change, types.TextDocumentEdit)
            uri = change.text_document.uri
            assert change.text_document.version in (None, self.versions[uri])
            for each in change.edits:
                assert isinstance(each, types.TextEdit)
                text = self.texts[uri]
                self.replace(uri, offset(text, each.range.start), offset(text, each.range.end), each.new_text)

    def _on_edit(self) -> Any:
        def apply_edit(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            self.apply(params.edit)
            self.applied += 1
            return types.ApplyWorkspaceEditResult(applied=True)

        return apply_edit

    async def diagnostics(self, uri: str) -> list[types.Diagnostic]:
        params = types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
        report = await self.client.text_document_diagnostic_async(params)
        assert isinstance(report, types.RelatedFullDocumentDiagnosticReport)
        return list(report.items)

    async def actions(self, uri: str, place: types.Range) -> dict[str, types.CodeAction]:
        params = types.CodeActionParams(types.TextDocumentIdentifier(uri), place, types.CodeActionContext([]))
        found = await self.client.text_document_code_action_async(params)
        return {action.title: action for action in found or [] if isinstance(action, types.CodeAction)}

    async def ghost(self, uri: str, at: int, token: str, id: str | None = None) -> list[str]:
        """The texts of the partial results."""
        params = InlineCompletionParams(
            types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
            types.TextDocumentIdentifier(uri),
            position(self.texts[uri], at),
            partial_result_token=f"partial-{token}",
        )
        await self.client.protocol.send_request_async(types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id=id)
        return self.shown(token)

    def shown(self, token: str) -> list[str]:
        values = self.client.partial_results.get(f"partial-{token}", [])  # type: ignore[attr-defined]
        return [value[0]["insertText"] for value in map(plain, values)]

    async def generated(self) -> int:
        """The engine's own count of tokens."""
        status = plain(await self.client.protocol.send_request_async("inkling/status", {}))
        return int(status["engine"]["generated_tokens"])


def position(text: str, at: int) -> types.Position:
    before = text[:at]
    return types.Position(before.count("\n"), at - before.rfind("\n") - 1)


def span(text: str, start: int, end: int) -> types.Range:
    return types.Range(position(text, start), position(text, end))


def offset(text: str, place: types.Position) -> int:
    return sum(len(line) + 1 for line in text.split("\n")[: place.line]) + place.character


def of(text: str, part: str) -> types.Range:
    return span(text, text.index(part), text.index(part) + len(part))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk, None]:
    folder = tmp_path_factory.mktemp("handlers")
    async with serving(folder, SETTINGS, {"INKLING_CONFIG": str(folder / "user.toml")}) as client:
        yield Desk(client, folder)


async def test_token_count_hover(desk: Desk) -> None:
    uri = desk.open("hover.py", "python", CODE)
    params = types.HoverParams(types.TextDocumentIdentifier(uri), position(CODE, CODE.index("read_lines")))
    hover = await desk.client.text_document_hover_async(params)
    assert hover is not None and isinstance(hover.contents, types.MarkupContent)
    tokenizer = Tokenizer.from_file(str(resolve("starter:code").path / "tokenizer.json"))
    tokenizer.no_truncation()
    total, word = (len(tokenizer.encode(text, add_special_tokens=False).ids) for text in (CODE, "read_lines"))
    assert f"document {total:,}" in hover.contents.value
    assert f"`read_lines` {word}" in hover.contents.value


async def test_classify_marks_and_ignores(desk: Desk) -> None:
    uri = desk.open("tone.py", "python", CODE)
    (mark,) = await desk.diagnostics(uri)
    insult = "You idiot, your code is garbage."
    assert (mark.range, mark.code, mark.source) == (of(CODE, insult), "hostile", "inkling: classify")
    fix = (await desk.actions(uri, mark.range))['Ignore "hostile" here']
    assert fix.edit is not None
    desk.apply(fix.edit)
    assert "    # inkling: ignore[hostile]\n" in desk.texts[uri]
    assert await desk.diagnostics(uri) == []


async def test_summarize_into_docstring(desk: Desk) -> None:
    text = CODE.replace(" You idiot, your code is garbage.", "")
    uri = desk.open("summary.py", "python", text)
    cursor = position(text, text.index("with open"))
    action = (await desk.actions(uri, types.Range(cursor, cursor)))["Summarize into docstring"]
    assert action.edit is None
    resolved = await desk.client.code_action_resolve_async(action)
    assert resolved.edit is not None
    desk.apply(resolved.edit)
    assert f'def read_lines(path):\n    """{COMMENT}"""\n    # This opens' in desk.texts[uri]


async def test_complete_streams(desk: Desk) -> None:
    """At one of several places at least, the text grows before the reply comes; everywhere it only grows."""
    longest = 0
    for number, words in enumerate(BLOCKS):
        text = CODE + words
        uri = desk.open(f"stream{number}.py", "python", text)
        shown = await desk.ghost(uri, len(text), f"stream{number}")
        assert all(after.startswith(before) for before, after in pairwise(shown))
        longest = max(longest, len(set(shown)))
    assert longest >= 2


async def test_typing_through_a_suggestion_asks_no_model(desk: Desk) -> None:
    for number, words in enumerate(BLOCKS):
        text = CODE + words
        uri = desk.open(f"type{number}.py", "python", text)
        shown = await desk.ghost(uri, len(text), f"type{number}")
        if shown and len(shown[-1]) > 4:
            break
    else:
        raise AssertionError("the starter model suggested nothing anywhere")
    before = await desk.generated()
    for typed in range(1, 4):
        desk.replace(uri, len(desk.texts[uri]), len(desk.texts[uri]), shown[-1][typed - 1])
        assert (await desk.ghost(uri, len(desk.texts[uri]), f"type{number}-{typed}"))[-1] == shown[-1][typed:]
    assert await desk.generated() == before


async def test_continue_writing_and_cancel(desk: Desk) -> None:
    """Cancelled in mid-stream, the engine's own counter stands still; what was written stays."""
    uri = desk.open("continue.py", "python", CODE)
    for number in range(8):
        place = {"line": desk.texts[uri].count("\n"), "character": len(desk.texts[uri].rpartition("\n")[2])}
        command = types.ExecuteCommandParams("inkling.continue_writing", [{"uri": uri, "position": place}])
        before, edits, text = await desk.generated(), desk.applied, desk.texts[uri]
        send = desk.client.protocol.send_request_async
        work = asyncio.create_task(send(types.WORKSPACE_EXECUTE_COMMAND, command, msg_id=f"write{number}"))
        while not work.done() and desk.applied == edits:
            await asyncio.sleep(0.002)
        desk.client.cancel_request(types.CancelParams(f"write{number}"))
        try:
            await work
        except JsonRpcException as error:
            assert error.code == -32800
            break
        desk.replace(uri, len(desk.texts[uri]), len(desk.texts[uri]), f"\n\n\ndef part{number}(value):\n    ")
    else:
        raise AssertionError("the starter model always ended before it could be cancelled")
    await asyncio.sleep(0.3)
    stopped = await desk.generated()
    await asyncio.sleep(0.7)
    assert await desk.generated() == stopped
    assert 0 < stopped - before < SETTINGS["complete"]["continue_tokens"]
    assert desk.texts[uri].startswith(text) and len(desk.texts[uri]) > len(text)


async def test_why_there_is_no_suggestion(desk: Desk) -> None:
    uri = desk.open("middle.py", "python", "total = first + second\n")
    assert await desk.ghost(uri, 8, "middle") == []
    command = types.ExecuteCommandParams("inkling.whyNothing", [{"uri": uri}])
    assert "[mid-line]" in str(await desk.client.workspace_execute_command_async(command))
