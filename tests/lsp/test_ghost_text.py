"""Ghost text from keystroke to reply: the real session and the real plugin, over an engine whose pace the test sets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from importlib.metadata import EntryPoint
from typing import Any

from tests.lsp.editor import Editor, _Memory

from inkling.engine.fake import FakeEngine
from inkling.lsp.session import Session

URI = "file:///home/a.py"
TEXT = "def total(values):\n    "
TOKENS = (
    "result",
    " = 0",
    "\n    for",
    " value",
    " in",
    " values:",
    "\n        result",
    " += value",
    "\n    return",
    " result",
)
WHOLE = "".join(TOKENS)
COMPLETE = EntryPoint("complete", "inkling_plugins.complete:Complete", "inkling.plugins")


@contextlib.asynccontextmanager
async def typing(engine: FakeEngine, text: str = TEXT) -> AsyncGenerator[Editor, None]:
    """An editor with a document open and the completion plugin at work."""
    transport = _Memory()
    editor = Editor(transport.incoming.put_nowait)
    transport.editor = editor
    session = Session(transport, connect=lambda settings: engine, plugins=[COMPLETE])
    running = asyncio.create_task(session.run())
    try:
        options = {"server": {"start_engine": False}, "complete": {"debounce_min_ms": 0, "debounce_max_ms": 0}}
        await editor.initialize(initializationOptions=options)
        editor.open(URI, text, "python")
        yield editor
        await editor.ask("shutdown")
        editor.notify("exit")
        assert await asyncio.wait_for(running, 10) == 0
        editor.check_replies()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def request(editor: Editor, token: str | None = None) -> Any:
    """Ask at the end of the document, as an editor does by itself after a keystroke."""
    more: dict[str, Any] = {"context": {"triggerKind": 2}}
    if token is not None:
        more["partialResultToken"] = token
    return editor.request("textDocument/inlineCompletion", editor.at(URI, len(editor.texts[URI]), **more))


async def reply(editor: Editor, identifier: Any) -> str:
    result = await editor.result(identifier)
    return result[0]["insertText"] if result else ""


def keystroke(editor: Editor, text: str) -> None:
    end = len(editor.texts[URI])
    editor.edit(URI, end, end, text)


def grown(editor: Editor, token: str) -> list[str]:
    return [value["value"][0]["insertText"] for value in editor.told("$/progress") if value["token"] == token]


async def ended(engine: FakeEngine) -> list[str]:
    async with asyncio.timeout(10):
        while any(call.outcome == "running" for call in engine.calls):
            await asyncio.sleep(0.01)
    return [call.outcome for call in engine.calls]


async def test_first_line_early_and_the_rest_on_the_follow_up() -> None:
    engine = FakeEngine(texts=TOKENS, delay_s=0.02)
    async with typing(engine) as editor:
        first = await reply(editor, request(editor))
        assert WHOLE.startswith(first) and first == "result = 0"
        assert engine.calls[0].outcome == "running"
        assert await reply(editor, request(editor)) in (WHOLE, "result = 0\n    for value in values:", first)
        assert await ended(engine) == ["done"]
        assert await reply(editor, request(editor)) == WHOLE
        assert len(engine.calls) == 1


async def test_partial_results_grow_to_the_whole() -> None:
    engine = FakeEngine(texts=TOKENS, delay_s=0.01)
    async with typing(engine) as editor:
        assert await editor.result(request(editor, "t")) == []
        texts = grown(editor, "t")
        assert texts[-1] == WHOLE and len(set(texts)) > 3
        assert all(WHOLE.startswith(text) for text in texts)


async def test_typing_along_takes_the_stream_up() -> None:
    engine = FakeEngine(texts=TOKENS, delay_s=0.02)
    async with typing(engine) as editor:
        for character in "resul":
            asked = request(editor)
            await editor.until(lambda: engine.calls)
            editor.cancel(asked)
            keystroke(editor, character)
        assert await reply(editor, request(editor)) == "t = 0"
        assert await ended(engine) == ["done"]
        assert await reply(editor, request(editor)) == WHOLE.removeprefix("resul")


async def test_typing_another_way_ends_the_stream() -> None:
    engine = FakeEngine(texts=TOKENS, delay_s=0.05)
    async with typing(engine) as editor:
        asked = request(editor)
        await editor.until(lambda: engine.calls)
        editor.cancel(asked)
        keystroke(editor, "x")
        second = request(editor)
        await editor.until(lambda: len(engine.calls) == 2)
        assert [call.outcome for call in engine.calls] == ["cancelled", "running"]
        await reply(editor, second)


async def test_a_cancel_reaches_the_engine() -> None:
    engine = FakeEngine(texts=TOKENS * 50, delay_s=0.05)
    async with typing(engine) as editor:
        asked = request(editor)
        await editor.until(lambda: engine.calls and engine.calls[0].chunks >= 2)
        editor.cancel(asked)
        assert (await editor.reply(asked))["error"]["code"] == -32800
        assert await ended(engine) == ["cancelled"]
        assert engine.calls[0].chunks < 20


async def test_closing_the_document_ends_the_stream() -> None:
    engine = FakeEngine(texts=TOKENS * 50, delay_s=0.05)
    async with typing(engine) as editor:
        request(editor)
        await editor.until(lambda: engine.calls and engine.calls[0].chunks >= 2)
        editor.close(URI)
        assert await ended(engine) == ["cancelled"]


async def test_with_text_behind_the_cursor_the_reason_is_kept() -> None:
    engine = FakeEngine(texts=TOKENS)
    async with typing(engine, "total = first + second\n") as editor:
        place = editor.at(URI, 8, context={"triggerKind": 2})
        assert await editor.ask("textDocument/inlineCompletion", place) in (None, [])
        assert "[mid-line]" in await editor.ask(
            "workspace/executeCommand", {"command": "inkling.whyNothing", "arguments": [{"uri": URI}]}
        )
        assert engine.calls == []
