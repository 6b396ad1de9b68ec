"""Search, questions, prompts and translation in the real server, with the starter models and no fake.

One server and one engine of its own serve the whole module. The chat model is the starter code model under a folder's
name: what it says is nonsense, where it goes is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pytest_lsp import LanguageClient
from tests.lsp.conftest import serving
from tests.lsp.test_handlers import Desk, of

from inkling.engine.models.catalog import STARTER_FOLDER

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

CHAT = str(STARTER_FOLDER / "code")
SETTINGS: dict[str, Any] = {
    "engine": {"private": True},
    "prompts": {"model": CHAT},
    "prompt": [
        {"name": "long", "template": "def {selection}", "result": "replace", "max_tokens": 2000, "temperature": 1.5},
        {"name": "below", "template": "{selection}", "result": "insert-below", "max_tokens": 12},
    ],
    "translate": {"model": CHAT, "target": "French", "max_tokens": 12},
}
FILES = {
    "retry.py": '"""Calls over a network that may fail."""\n\n\ndef call_again(work, times):\n'
    '    """Repeat a failing call, waiting longer each time."""\n    return work\n\n\n'
    'def close_all(files):\n    """Shut every open handle."""\n',
    "guide.md": "# Guide\n\nThe cat sleeps on the sofa. Releases are cut on the first Monday of a month.\n\n"
    "Bugs are filed in the tracker.\n",
    "ignored/notes.md": "# Elephants\n\nElephants are large grey animals.\n",
    ".gitignore": "ignored/\n",
    ".env": "ELEPHANT=password\n",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk, None]:
    home = tmp_path_factory.mktemp("actions")
    folder = home / "project"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shown: list[types.ShowDocumentParams] = []

    def show(params: types.ShowDocumentParams) -> types.ShowDocumentResult:
        shown.append(params)
        return types.ShowDocumentResult(success=True)

    def choose(params: types.ShowMessageRequestParams) -> types.MessageActionItem | None:
        return next(iter(params.actions or ()), None)

    def prepare(client: LanguageClient) -> None:
        client.shown = shown  # type: ignore[attr-defined]
        features = client.protocol.fm.features  # pytest-lsp's own are replaced
        features[types.WINDOW_SHOW_DOCUMENT], features[types.WINDOW_SHOW_MESSAGE_REQUEST] = show, choose

    environment = {"INKLING_CONFIG": str(home / "user.toml"), "XDG_CACHE_HOME": str(home)}
    async with serving(folder, SETTINGS, environment, prepare) as client:
        yield Desk(client, folder)
    (file,) = home.rglob("search.sqlite")
    assert b"password" not in file.read_bytes() and file.stat().st_mode & 0o077 == 0


async def run(desk: Desk, command: str, id: str | None = None, **arguments: Any) -> Any:
    params = types.ExecuteCommandParams(f"inkling.{command}", [arguments])
    return await desk.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params, msg_id=id)


def shown(desk: Desk) -> types.ShowDocumentParams:
    found: types.ShowDocumentParams = desk.client.shown[-1]  # type: ignore[attr-defined]
    return found


def at(uri: str, place: types.Range) -> dict[str, Any]:
    points = {
        name: {"line": point.line, "character": point.character}
        for name, point in (("start", place.start), ("end", place.end))
    }
    return {"uri": uri, "range": points}


async def symbols(desk: Desk, query: str) -> list[str]:
    found = await desk.client.workspace_symbol_async(types.WorkspaceSymbolParams(query))
    return [symbol.name for symbol in found or []]


async def test_search_by_meaning(desk: Desk) -> None:
    assert "are indexed" in await run(desk, "search.index")
    assert (await symbols(desk, "? exponential backoff"))[0] in ("call_again", "retry.py")
    assert (await symbols(desk, "? release file descriptors"))[0] == "close_all"
    assert not {"Elephants", ".env"} & set(await symbols(desk, "? elephants"))
    assert await symbols(desk, "call_again") == []
    listed = await run(desk, "search.find", question="when do new versions come out")
    assert listed.startswith("Guide") and shown(desk).uri.endswith("/guide.md")


async def test_search_follows_the_open_document_and_finds_similar_text(desk: Desk) -> None:
    text = FILES["retry.py"] + '\n\ndef juggle_torches():\n    """Throw burning sticks into the air."""\n'
    uri = desk.open("retry.py", "python", text)
    assert (await symbols(desk, "? fire circus act"))[0] == "juggle_torches"
    other = desk.open("other.md", "markdown", "Do it once more when it did not work, after a pause.\n")
    listed = await run(desk, "search.similar", **at(other, of(desk.texts[other], desk.texts[other].strip())))
    assert "call_again" in listed.splitlines()[0] and shown(desk).uri == uri


async def test_ask_this_document(desk: Desk) -> None:
    text = FILES["guide.md"]
    uri = desk.open("guide.md", "markdown", text)
    answer = await run(desk, "ask.document", uri=uri, question="On which day is a new version released?")
    assert answer.startswith("Closest sentences") and "first Monday" in answer.splitlines()[1]
    first = desk.client.shown[-2] if len(answer.splitlines()) > 2 else shown(desk)  # type: ignore[attr-defined]
    assert (first.uri, first.selection) == (uri, of(text, "Releases are cut on the first Monday of a month."))
    with pytest.raises(JsonRpcException, match="no question"):
        await run(desk, "ask.document", uri=uri)


async def test_a_prompt_replaces_the_selection_and_another_goes_below(desk: Desk) -> None:
    text = "def f():\n    total = 1\n    return total\n"
    uri = desk.open("prompt.py", "python", text)
    context = types.CodeActionContext([])
    asked = types.CodeActionParams(types.TextDocumentIdentifier(uri), of(text, "total = 1"), context)
    offered = {action.title for action in await desk.client.text_document_code_action_async(asked) or []}
    assert {"Explain", "Fix", "Write Docstring", "long", "below"} <= offered
    written = await run(desk, "prompt", **{**at(uri, of(text, "total = 1")), "name": "below"})
    assert written and desk.texts[uri] == text.replace("total = 1\n", "total = 1" + written + "\n")
    assert all(line.startswith("    ") for line in written.split("\n")[1:] if line)
    before = desk.texts[uri]
    action = (await desk.actions(uri, of(before, "total = 1")))["Translate selection into French"]
    edited = await desk.client.code_action_resolve_async(action)
    assert edited.edit is not None and desk.texts[uri] == before


async def test_a_cancelled_prompt_leaves_the_document_as_it_was(desk: Desk) -> None:
    text = "before\nselected\nafter\n"
    uri = desk.open("cancel.md", "markdown", text)
    running = asyncio.ensure_future(run(desk, "prompt", id="cancelled", **at(uri, of(text, "selected")), name="long"))
    async with asyncio.timeout(60):
        while len(desk.texts[uri]) < len(text) + 20:
            assert not running.done(), running
            await asyncio.sleep(0.02)
        desk.client.cancel_request(types.CancelParams("cancelled"))
        with pytest.raises(JsonRpcException):
            await running
        while desk.texts[uri] != text:
            await asyncio.sleep(0.05)
        generated = await desk.generated()
        await asyncio.sleep(0.3)
    assert desk.texts[uri] == text and await desk.generated() == generated


async def test_models_that_cannot_are_named(desk: Desk) -> None:
    uri = desk.open("wrong.md", "markdown", "Some words.\n")
    with pytest.raises(JsonRpcException, match='no prompt "nothing" for markdown'):
        await run(desk, "prompt", uri=uri, position={"line": 0, "character": 1}, name="nothing")
