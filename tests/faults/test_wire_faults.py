"""Faults 1 to 5 and 14 of the table in README.md beside this file, as bytes to the real server.

One server takes all of them, one after the other: each fault must leave it as good as new for the next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types
from lsprotocol.converters import get_converter
from tests.lsp.editor import CAPABILITIES, Editor, server_process

URI = "file:///home/a.txt"
HOVER = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 1}}
BODY = json.dumps({"jsonrpc": "2.0", "id": "raw", "method": "textDocument/hover", "params": HOVER}).encode()
FRAME = b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
DEEP = b'{"jsonrpc":"2.0","id":1,"method":' + b"[" * 200_000

BAD_BYTES = {
    "no JSON": b"Content-Length: 9\r\n\r\nnonsense!",
    "no UTF-8": b"Content-Length: 4\r\n\r\n\xff\xfe\xfd\xfc",
    "deep nesting": b"Content-Length: %d\r\n\r\n%s" % (len(DEEP), DEEP),
    "cut short": b"Content-Length: 4000\r\n\r\n" + BODY[:50],
    "body longer than said": b"Content-Length: %d\r\n\r\n%s" % (len(BODY) - 9, BODY),
    "body a little shorter than said": b"Content-Length: %d\r\n\r\n%s" % (len(BODY) + 9, BODY),
    "a giant length": b"Content-Length: 99999999999\r\n\r\n" + BODY,
    "no length": b"Content-Type: application/json\r\n\r\n" + BODY,
    "a negative length": b"Content-Length: -1\r\n\r\n" + BODY,
    "words between messages": b"Warning: a library printed this\r\n\r\n",
    "binary between messages": bytes(range(256)) * 10,
}
ODD_HEADERS = {
    "lower case": b"content-length: %d\r\n\r\n",
    "upper case, no blank": b"CONTENT-LENGTH:%d\r\n\r\n",
    "type first": b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
    "type last": b"Content-Length: %d\r\ncontent-type: application/vscode-jsonrpc\r\n\r\n",
    "unknown header": b"X-Trace: 1\r\nContent-Length: %d\r\n\r\n",
    "bare line feeds": b"Content-Length: %d\n\n",
}
INVALID_PARAMS: dict[str, tuple[str, Any]] = {
    "none": ("textDocument/hover", None),
    "a list": ("textDocument/hover", []),
    "no position": ("textDocument/hover", {"textDocument": {"uri": URI}}),
    "words for numbers": ("textDocument/hover", HOVER | {"position": {"line": "x", "character": None}}),
    "a negative line": ("textDocument/hover", HOVER | {"position": {"line": -1, "character": 0}}),
    "a number for a document": ("textDocument/codeLens", {"textDocument": 5}),
    "no context": ("textDocument/inlineCompletion", HOVER),
    "unknown command": ("workspace/executeCommand", {"command": "nope"}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Editor, None]:
    folder: Path = tmp_path_factory.mktemp("wire")
    async with server_process(folder, "words=Words") as (editor, process):
        await editor.initialize(initializationOptions={"words": {"pause": 0}})
        editor.open(URI, "some words")
        yield editor
        await editor.ask("shutdown")
        editor.notify("exit")
        assert process.stderr is not None
        # together: asyncio says that a process has ended when its pipes have been read
        status, errors = await asyncio.wait_for(asyncio.gather(process.wait(), process.stderr.read()), 60)
        assert status == 0
        assert b"a print must not reach the protocol" in errors
        log = (folder / "log").read_text()
        assert "some words" not in log and URI not in log


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def check_served(editor: Editor) -> None:
    assert (await editor.ask("textDocument/hover", HOVER))["contents"]["value"] == "word some"


@pytest.mark.parametrize("name", BAD_BYTES)
async def test_2_and_3_bad_bytes(editor: Editor, name: str) -> None:
    editor.replies.pop(None, None)
    editor.send(BAD_BYTES[name])
    await check_served(editor)
    assert [reply["error"]["code"] for reply in editor.replies[None]] == [-32700]


@pytest.mark.parametrize("name", ODD_HEADERS)
async def test_4_odd_headers(editor: Editor, name: str) -> None:
    editor.replies.pop("raw", None)
    editor.send(ODD_HEADERS[name] % len(BODY) + BODY)
    assert (await editor.result("raw"))["contents"]["value"] == "word some"
    await check_served(editor)


@pytest.mark.parametrize("size", [1, 2, 3, 17])
async def test_messages_in_small_pieces(editor: Editor, size: int) -> None:
    editor.replies.pop("raw", None)
    for start in range(0, len(FRAME), size):
        editor.send(FRAME[start : start + size])
        await asyncio.sleep(0)
    assert (await editor.result("raw"))["contents"]["value"] == "word some"


@pytest.mark.parametrize("name", INVALID_PARAMS)
async def test_1_invalid_params(editor: Editor, name: str) -> None:
    assert await editor.refusal(*INVALID_PARAMS[name]) == -32602
    await check_served(editor)


async def test_5_states(editor: Editor) -> None:
    assert await editor.refusal("initialize", {"capabilities": {}}) == -32600
    assert await editor.refusal("no/such") == -32601
    await check_served(editor)


async def test_14_a_burst(editor: Editor) -> None:
    asked = [editor.request("textDocument/hover", HOVER) for _ in range(10_000)]
    assert (await editor.result(asked[-1], 60))["contents"]["value"] == "word some"
    await editor.until(lambda: all(identifier in editor.replies for identifier in asked))
    assert {len(editor.replies[identifier]) for identifier in asked} == {1}
    await check_served(editor)


async def test_the_editor_of_these_tests_says_what_any_server_can_read() -> None:
    """`beside_stock` gives its capabilities to a server that refuses what the specification does not know."""
    assert get_converter().structure(CAPABILITIES, types.ClientCapabilities).text_document is not None
