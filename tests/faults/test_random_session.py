"""Random sessions: whatever an editor, its user, a bad plugin and a dying engine do, the invariants hold.

After every step each open document's mirror is the editor's text, no request has two replies, and none came unasked.
At the end each request has exactly one, nothing is left running, and the server leaves with status 0.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.lsp.editor import session_with

from inkling.engine.fake import FakeEngine
from inkling.engine.protocol import EngineEvent, Label, ModelState
from inkling.errors import InklingError

URIS = [f"file:///home/{name}" for name in ("a.txt", "b é.md", ".env")]
TEXT = st.text(st.sampled_from("ab \n😀é\f\u2028bad"), max_size=30)
WAYS = ("raise", "type", "item-type", "inkling-error", "nothing", "hang")
TIMEOUTS = {"hover": 0.05, "diagnostics": 0.2, "inline_completion": 0.2, "code_actions": 0.2, "command": 0.5}
FAST = {"server": {"start_engine": False, "timeouts": TIMEOUTS}}
JUNK = (
    b"junk\r\n\r\n",
    b"Content-Length: 3\r\n\r\nxxx",
    b"Content-Length: 99999999999\r\n\r\n",
    b"Content-Length: 500\r\n\r\n{",
    b"content-length:2\n\n[]",
)


class RandomSession(RuleBasedStateMachine):
    """One editor, one session, one scripted engine, all in this process."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine = FakeEngine(labels={"bad": [Label("bad", 0.9)]}, texts=["one", " two\n", "three"], delay_s=0.001)
        self.context = session_with("bad=Bad", "words=Words", "model=Model", engine=self.engine)
        self.editor, self.session = self.loop.run_until_complete(self.context.__aenter__())
        self.loop.run_until_complete(self.editor.initialize(initializationOptions=FAST))
        self.actions: list[Any] = []

    def turn(self, seconds: float = 0.0) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def any_open(self, number: int) -> str | None:
        return sorted(self.editor.texts)[number % len(self.editor.texts)] if self.editor.texts else None

    # -- the user

    @rule(uri=st.sampled_from(URIS), text=TEXT)
    def open(self, uri: str, text: str) -> None:
        self.editor.open(uri, text)

    @rule(number=st.integers(0, 9), start=st.integers(0, 40), size=st.integers(0, 9), text=TEXT)
    def edit(self, number: int, start: int, size: int, text: str) -> None:
        if uri := self.any_open(number):
            start = min(start, len(self.editor.texts[uri]))
            self.editor.edit(uri, start, min(start + size, len(self.editor.texts[uri])), text)

    @rule(number=st.integers(0, 9))
    def close(self, number: int) -> None:
        if uri := self.any_open(number):
            self.editor.close(uri)

    @rule(number=st.integers(0, 9), offset=st.integers(0, 30), method=st.sampled_from(["hover", "inlineCompletion"]))
    def ask_at(self, number: int, offset: int, method: str) -> None:
        uri = self.any_open(number) or URIS[0]
        text = self.editor.texts.get(uri, "")
        place = {"line": text[:offset].count("\n"), "character": offset}
        params = {"textDocument": {"uri": uri}, "position": place, "context": {"triggerKind": 1 + offset % 2}}
        if offset % 3 == 0:
            params["partialResultToken"] = f"t{offset}"
        self.editor.request(f"textDocument/{method}", params)

    @rule(number=st.integers(0, 9), method=st.sampled_from(["diagnostic", "codeLens"]))
    def ask_whole(self, number: int, method: str) -> None:
        uri = self.any_open(number) or URIS[0]
        self.editor.request(f"textDocument/{method}", {"textDocument": {"uri": uri}})

    @rule(number=st.integers(0, 9))
    def list_actions(self, number: int) -> None:
        uri = self.any_open(number) or URIS[0]
        span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 5}}
        params = {"textDocument": {"uri": uri}, "range": span, "context": {"diagnostics": []}}
        reply = self.loop.run_until_complete(self.editor.reply(self.editor.request("textDocument/codeAction", params)))
        self.actions = [action for action in reply.get("result") or [] if "data" in action] or self.actions

    @rule()
    def resolve(self) -> None:
        if self.actions:
            self.editor.request("codeAction/resolve", self.actions[-1])

    @rule(command=st.sampled_from(["count", "generate", "fail", "write", "nope"]), number=st.integers(0, 9))
    def execute(self, command: str, number: int) -> None:
        uri = self.any_open(number)
        argument = {"uri": uri, "position": {"line": 0, "character": 0}} if uri else {}
        self.editor.request("workspace/executeCommand", {"command": f"inkling.{command}", "arguments": [argument]})

    @rule(back=st.integers(1, 5))
    def cancel(self, back: int) -> None:
        if len(self.editor.sent_ids) >= back:
            self.editor.cancel(self.editor.sent_ids[-back])

    @rule(way=st.sampled_from(WAYS), word=st.sampled_from(["bad", "a", "😀"]))
    def change_settings(self, way: str, word: str) -> None:
        changed = FAST | {"bad": {"way": way}, "words": {"bad": word}}
        self.editor.notify("workspace/didChangeConfiguration", {"settings": {"inkling": changed}})

    @rule(seconds=st.sampled_from([0.0, 0.0, 0.01, 0.06]))
    def wait(self, seconds: float) -> None:
        self.turn(seconds)

    # -- bad luck

    @rule()
    def kill_the_engine(self) -> None:
        error = InklingError("engine-crashed", "The engine crashed.", "It is being restarted.")
        self.engine.faults.update({"classify": error, "generate": error})
        self.engine.emit(EngineEvent("crashed", message="The engine crashed."))

    @rule()
    def the_engine_is_back(self) -> None:
        self.engine.faults.clear()
        self.engine.emit(EngineEvent("started"))
        self.engine.emit(EngineEvent("model", ModelState("starter:tone", "text-classification", "ready", 1.0)))

    @rule(junk=st.sampled_from(JUNK))
    def send_junk(self, junk: bytes) -> None:
        self.editor.send(junk)

    @rule(number=st.integers(0, 9))
    def break_the_protocol(self, number: int) -> None:
        uri = self.any_open(number) or URIS[0]
        position = {"line": 0, "character": 0}
        for method, params in (
            ("textDocument/didChange", {"textDocument": {"uri": "file:///never", "version": 1}, "contentChanges": []}),
            ("textDocument/didChange", {"textDocument": {"uri": uri, "version": -5}, "contentChanges": [
                {"range": {"start": position, "end": position}, "text": "stale"}]}),
            ("textDocument/didClose", {"textDocument": {"uri": "file:///never"}}),
            ("$/cancelRequest", {"id": 10**9}),
            ("textDocument/hover", None),
        ):  # fmt: skip
            self.editor.notify(method, params)
        self.editor.request("textDocument/hover", json.loads("[" * 50 + "]" * 50))

    # -- what must hold

    @invariant()
    def mirrors_are_exact(self) -> None:
        if not hasattr(self, "editor"):
            return
        versions: dict[str, int] | None = None
        while versions != self.editor.versions:  # else the server had an edit applied meanwhile: its echo came behind
            versions = dict(self.editor.versions)
            status = self.loop.run_until_complete(self.editor.ask("inkling/status"))
        assert {item["uri"] for item in status["documents"]} == set(self.editor.texts)
        for uri, text in self.editor.texts.items():
            snapshot = self.session.documents.snapshot(uri)
            assert snapshot is not None and snapshot.text == text

    @invariant()
    def no_request_has_two_replies(self) -> None:
        if hasattr(self, "editor"):
            for identifier, replies in self.editor.replies.items():
                assert identifier is None or len(replies) == 1

    def teardown(self) -> None:
        if not hasattr(self, "editor"):
            return
        try:
            waiting = [identifier for identifier in self.editor.sent_ids if identifier not in self.editor.replies]
            for identifier in waiting:
                self.loop.run_until_complete(self.editor.reply(identifier))
            assert self.session.protocol.running == 0
            self.loop.run_until_complete(self.context.__aexit__(None, None, None))
            assert {call.outcome for call in self.engine.calls} <= {"done", "failed", "cancelled"}
            left = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left))
            assert not left, left
        finally:
            self.loop.close()


TestRandomSession = RandomSession.TestCase
TestRandomSession.settings = settings(
    max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
