"""JSON-RPC's rules: states, errors, cancellation, one reply per id."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.lsp.editor import CAPABILITIES, QUIET, Editor, session_with

from inkling.engine.fake import FakeEngine

URI = "file:///home/a.txt"
SLOW = QUIET | {"words": {"pause": 30}}
HOVER = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 0}}
CONTEXT = {"triggerKind": 1}


async def test_before_initialize() -> None:
    async with session_with("words=Words") as (editor, _):
        assert await editor.refusal("textDocument/hover", HOVER) == -32002
        assert await editor.refusal("shutdown") == -32002
        editor.notify("textDocument/didOpen", {"nonsense": 1})
        assert await editor.refusal("initialize", {"processId": None}) == -32602
        assert await editor.refusal("initialize", [1]) == -32602
        await editor.initialize()
        assert await editor.refusal("initialize", {"capabilities": {}}) == -32600


async def test_after_shutdown() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        await editor.ask("shutdown")
        assert await editor.refusal("textDocument/hover", HOVER) == -32600
        assert await editor.refusal("shutdown") == -32600
        assert await editor.refusal("initialize", {"capabilities": {}}) == -32600


async def test_exit_without_shutdown_is_an_error() -> None:
    async with session_with("words=Words", exit_code=1) as (editor, session):
        await editor.initialize()
        editor.notify("exit")
        await asyncio.sleep(0.01)
        assert session.protocol.state.value == "exited"


@pytest.mark.parametrize(
    ("message", "code", "identifier"),
    [
        ([], -32600, None),
        ([{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}], -32600, None),
        ("text", -32600, None),
        (3, -32600, None),
        ({"id": 7, "method": "shutdown"}, -32600, 7),
        ({"jsonrpc": "1.0", "id": 7, "method": "shutdown"}, -32600, 7),
        ({"jsonrpc": "2.0", "id": 7, "method": 5}, -32600, 7),
        ({"jsonrpc": "2.0", "id": None, "method": "shutdown"}, -32600, None),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "shutdown"}, -32600, None),
        ({"jsonrpc": "2.0", "id": True, "method": "shutdown"}, -32600, None),
        ({"jsonrpc": "2.0", "id": {"a": 1}, "method": "shutdown"}, -32600, None),
        ({"jsonrpc": "2.0", "id": 7, "method": "no/such"}, -32601, 7),
        ({"jsonrpc": "2.0", "id": "7", "method": "$/no/such"}, -32601, "7"),
        ({"jsonrpc": "2.0", "id": 7, "method": "textDocument/hover"}, -32602, 7),
        ({"jsonrpc": "2.0", "id": 7, "method": "textDocument/hover", "params": []}, -32602, 7),
        ({"jsonrpc": "2.0", "id": 7, "method": "textDocument/hover", "params": {"textDocument": URI}}, -32602, 7),
        (
            {
                "jsonrpc": "2.0", "id": 7, "method": "textDocument/hover",
                "params": HOVER | {"position": {"line": -1, "character": 0}},
            },
            -32602, 7,
        ),
        ({"jsonrpc": "2.0", "id": 7, "method": "textDocument/inlineCompletion", "params": HOVER}, -32602, 7),
        ({"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": {"arguments": 5}}, -32602, 7),
    ],
)  # fmt: skip
async def test_malformed(message: Any, code: int, identifier: Any) -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, "some words")
        body = json.dumps(message).encode()
        editor.send(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        reply = await editor.reply(identifier)
        assert reply["error"]["code"] == code
        assert set(reply["error"]) == {"code", "message"} and "/" not in reply["error"]["message"]
        editor.sent_ids += [] if identifier is None else [identifier]
        assert await editor.ask("textDocument/hover", HOVER), "the next request is served"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"',
        b"\xff\xfe\x00",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"id": ' + b"9" * 10_000 + b"}",
        b"nonsense",
        b"",
    ],
    ids=["cut", "cut request", "bytes", "deep", "long number", "words", "empty"],
)
async def test_no_json(body: bytes) -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.send(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        assert (await editor.reply(None))["error"]["code"] == -32700
        assert await editor.ask("inkling/status")


async def test_responses_nobody_waits_for_are_ignored() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.message(id=99, result=None)
        editor.message(id="x", error={"code": 1, "message": "m"})
        editor.message(id=None, error={"code": 1})
        assert await editor.ask("inkling/status")


async def test_a_key_named_jsonrpc_is_a_key() -> None:
    async with session_with("words=Words") as (editor, _):
        options = QUIET | {"words": {"bad": "x"}, "jsonrpc": {"jsonrpc": "2.0", "id": 1, "method": "exit"}}
        await editor.initialize(initializationOptions=options)
        arguments = [{"jsonrpc": "2.0", "method": "exit"}]
        assert (
            await editor.refusal("workspace/executeCommand", {"command": "inkling.count", "arguments": arguments})
            == -32803
        )
        await editor.until(lambda: any('There is no setting "jsonrpc"' in message for message in editor.messages))


async def test_cancel_is_answered_at_once_and_reaches_the_engine() -> None:
    engine = FakeEngine(texts=["a"] * 10_000, delay_s=0.01)
    async with session_with("model=Model", engine=engine) as (editor, _):
        await editor.initialize()
        editor.open(URI, "some words")
        asked = editor.request("textDocument/inlineCompletion", HOVER | {"context": CONTEXT, "partialResultToken": "t"})
        await editor.until(lambda: len(editor.told("$/progress")) > 2)
        editor.cancel(asked)
        assert (await editor.reply(asked))["error"]["code"] == -32800
        for _ in range(5):
            await asyncio.sleep(0)
        assert [call.outcome for call in engine.calls_to("generate")] == ["cancelled"]


async def test_cancel_of_a_command_reaches_the_plugin() -> None:
    engine = FakeEngine(texts=["a"] * 10_000, delay_s=0.01)
    async with session_with("model=Model", engine=engine) as (editor, _):
        await editor.initialize()
        asked = editor.request("workspace/executeCommand", {"command": "inkling.generate"})
        await editor.until(lambda: engine.calls_to("generate") or editor.request("inkling/status"))
        editor.cancel(asked)
        assert (await editor.reply(asked))["error"]["code"] == -32800
        for _ in range(5):
            await asyncio.sleep(0)
        assert {call.outcome for call in engine.calls} <= {"cancelled"}


async def test_cancel_of_what_is_unknown_or_done() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        for params in ({"id": 4711}, {"id": "x"}, {}, None, {"id": None}, [1]):
            editor.notify("$/cancelRequest", params)
        done = editor.request("inkling/status")
        await editor.reply(done)
        editor.cancel(done)
        assert await editor.ask("inkling/status")


async def test_cancel_of_a_plugin_that_ignores_it_is_answered_all_the_same() -> None:
    async with session_with("bad=Bad") as (editor, _):
        await editor.initialize(initializationOptions=QUIET | {"bad": {"way": "ignore-cancel"}})
        editor.open(URI, "some words")
        asked = editor.request("textDocument/hover", HOVER)
        await asyncio.sleep(0.02)
        editor.cancel(asked)
        reply = await editor.reply(asked, timeout_s=1)
        assert reply["error"]["code"] == -32800


async def test_same_id_twice_while_the_first_runs() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(initializationOptions=SLOW)
        editor.open(URI, "some words")
        editor.request("textDocument/hover", HOVER, id="same")
        editor.request("textDocument/hover", HOVER, id="same")
        await editor.until(lambda: "same" in editor.replies)
        assert editor.replies["same"][0]["error"]["code"] == -32600
        editor.cancel("same")
        await editor.until(lambda: len(editor.replies["same"]) == 2)


async def test_deadline() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=SLOW)
        editor.open(URI, "some words")
        session.protocol.deadline = lambda method: 0.05
        reply = await editor.reply(editor.request("textDocument/hover", HOVER))
        assert (reply["error"]["code"], reply["error"]["data"]) == (-32803, {"reason": "deadline"})


async def test_a_handler_sees_the_text_as_it_was_when_asked() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.open(URI, "first")
        asked = editor.request("textDocument/diagnostic", {"textDocument": {"uri": URI}})
        before = editor.request("textDocument/codeLens", {"textDocument": {"uri": URI}})
        editor.edit(URI, 0, 0, "two words and ")
        assert (await editor.result(before))[0]["command"]["title"] == "1 words"
        assert (await editor.result(asked))["items"] == []


async def test_the_latest_wins() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(initializationOptions=QUIET | {"words": {"pause": 0.05}})
        editor.open(URI, "some words")
        asked = [editor.request("textDocument/hover", HOVER) for _ in range(5)]
        assert (await editor.result(asked[-1]))["contents"]["value"] == "word some"
        codes = [(await editor.reply(identifier))["error"]["code"] for identifier in asked[:-1]]
        assert codes == [-32801] * 4


async def test_flood() -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=QUIET | {"words": {"pause": 0.05}})
        editor.open(URI, "some words")
        count = {"command": "inkling.count", "arguments": [{"uri": URI}]}
        commands = [editor.request("workspace/executeCommand", count) for _ in range(2000)]
        asked = [editor.request("textDocument/hover", HOVER) for _ in range(8000)]
        high = 0

        def answered() -> bool:
            nonlocal high
            high = max(high, session.protocol.running, session.host.strays)
            return asked[-1] in editor.replies

        await editor.until(answered)
        assert high <= 600
        assert (await editor.result(asked[-1]))["contents"]["value"] == "word some"
        await editor.until(lambda: all(identifier in editor.replies for identifier in [*commands, *asked]))


async def test_client_that_refuses_or_answers_nonsense() -> None:
    async with session_with("words=Words") as (editor, _):
        for method in ("workspace/configuration", "client/registerCapability", "window/workDoneProgress/create"):
            editor.answers[method] = lambda message: {"unexpected": [1]}
        editor.answers["workspace/applyEdit"] = lambda message: {"applied": False}
        await editor.initialize(initializationOptions=QUIET | {"words": {"pause": 0.6}})
        editor.open(URI, "some words")
        command = {"command": "inkling.count", "arguments": [{"uri": URI}]}
        assert await editor.ask("workspace/executeCommand", command) == "2"


@pytest.mark.parametrize("capabilities", [{}, {"general": None}, {"textDocument": {"hover": "yes"}}, {"window": [1]}])
async def test_odd_capabilities(capabilities: Any) -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(capabilities=capabilities)
        editor.open(URI, "some words")
        assert await editor.ask("textDocument/hover", HOVER)


async def progress_of(editor: Editor, **capabilities: Any) -> list[Any]:
    await editor.initialize(
        capabilities=CAPABILITIES | capabilities, initializationOptions=QUIET | {"words": {"pause": 0.7}}
    )
    editor.open(URI, "some words")
    await editor.ask("workspace/executeCommand", {"command": "inkling.count", "arguments": [{"uri": URI}]})
    return [report["value"] for report in editor.told("$/progress")]


async def test_progress_of_a_long_action() -> None:
    async with session_with("words=Words") as (editor, _):
        assert await progress_of(editor) == [
            {"kind": "begin", "title": "Count words", "cancellable": True, "message": "words", "percentage": 50},
            {"kind": "end"},
        ]


async def test_no_progress_for_a_client_without() -> None:
    async with session_with("words=Words") as (editor, _):
        assert await progress_of(editor, window={}) == []


async def test_cancelling_the_progress_cancels_the_action() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(initializationOptions=SLOW)
        editor.open(URI, "some words")
        asked = editor.request("workspace/executeCommand", {"command": "inkling.count", "arguments": [{"uri": URI}]})
        (begun,) = await editor.until(lambda: editor.told("$/progress"))
        editor.notify("window/workDoneProgress/cancel", {"token": begun["token"]})
        assert (await editor.reply(asked))["error"]["code"] == -32800
        await editor.until(lambda: len(editor.told("$/progress")) == 2)


async def test_trace() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        editor.notify("$/setTrace", {"value": "verbose"})
        editor.open(URI, "some secret words")
        await editor.ask("textDocument/hover", HOVER)
        await editor.until(lambda: any("textDocument/hover" in trace["message"] for trace in editor.told("$/logTrace")))
        assert "secret" not in str(editor.told("$/logTrace")) and "work" not in str(editor.told("$/logTrace"))
