"""A fake editor that speaks bytes: to a session in this process, or to the real server in a process of its own.

It keeps each document as a plain string, applies its own edits naively, answers the server's requests as a client
should, and keeps everything it was told, so that a test can ask for exactly one reply per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from inkling.engine.fake import FakeEngine
from inkling.lsp.session import Session
from inkling.plugins.entry import find

Json = Any
CAPABILITIES: dict[str, Json] = {
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "workspaceEdit": {"documentChanges": True},
        "diagnostics": {"refreshSupport": True},
        "codeLens": {"refreshSupport": True},
        "inlayHint": {"refreshSupport": True},
        "semanticTokens": {"refreshSupport": True},
        "didChangeWatchedFiles": {"dynamicRegistration": True},
    },
    "textDocument": {
        "hover": {"contentFormat": ["markdown", "plaintext"]},
        "diagnostic": {},
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": [""]}},
            "resolveSupport": {"properties": ["edit"]},
            "dataSupport": True,
        },
        "inlineCompletion": {},
        "completion": {},
        "inlayHint": {},
        "semanticTokens": {
            "requests": {"full": True, "range": True},
            "tokenTypes": [],
            "tokenModifiers": [],
            "formats": ["relative"],
        },
    },
    "notebookDocument": {"synchronization": {}},
}
PUSH_ONLY = {**CAPABILITIES, "textDocument": {**CAPABILITIES["textDocument"], "diagnostic": None}}
QUIET = {"server": {"start_engine": False}}


class RefusedError(Exception):
    """The server answered with an error."""

    def __init__(self, error: Mapping[str, Json]) -> None:
        super().__init__(f"{error['message']} ({error['code']})")
        self.code = error["code"]
        self.error = error


class Editor:
    """One conversation from the client's side. `send` takes bytes; feed what comes back to `receive`."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.send = send
        self.replies: dict[Json, list[Json]] = {}
        self.notifications: list[Json] = []
        self.requests: list[Json] = []
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.settings: Json = None
        self.answers: dict[str, Callable[[Json], Json]] = {}
        self.sent_ids: list[Json] = []
        self.closed = False
        self._news = asyncio.Event()
        self._buffer = b""
        self._ids = itertools.count(1)

    # -- raw

    def message(self, **fields: Json) -> None:
        """Send one well-framed message."""
        body = json.dumps({"jsonrpc": "2.0", **fields}).encode("utf-8", "surrogatepass")
        self.send(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def receive(self, data: bytes) -> None:
        """Take bytes from the server; every one of them must belong to a message."""
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            header, _, rest = self._buffer.partition(b"\r\n\r\n")
            assert header.startswith(b"Content-Length: "), header
            length = int(header.split(b"\r\n")[0].removeprefix(b"Content-Length: "))
            if len(rest) < length:
                break
            self._buffer = rest[length:]
            self._take(json.loads(rest[:length]))
        self._news.set()

    def _take(self, message: Json) -> None:
        assert message["jsonrpc"] == "2.0"
        if "method" not in message:
            assert ("result" in message) != ("error" in message)
            self.replies.setdefault(message["id"], []).append(message)
        elif "id" in message:
            self.requests.append(message)
            answer = self.answers.get(message["method"], self._answer)
            result = answer(message)
            if result is not NO_ANSWER:
                self.message(id=message["id"], result=result)
        else:
            self.notifications.append(message)

    def _answer(self, message: Json) -> Json:
        if message["method"] == "workspace/configuration":
            return [self.settings for _ in message["params"]["items"]]
        if message["method"] == "workspace/applyEdit":
            return {"applied": self.apply(message["params"]["edit"])}
        if message["method"] == "window/showDocument":
            return {"success": True}
        return None

    # -- talking

    async def until(self, condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
        """Wait for a condition on what has been received; returns its value."""
        async with asyncio.timeout(timeout_s):
            while not (value := condition()):
                assert not self.closed, "the server has gone"
                self._news.clear()
                with contextlib.suppress(TimeoutError):  # a condition may be about the session itself
                    await asyncio.wait_for(self._news.wait(), 0.05)
            return value

    def request(self, method: str, params: Json = None, id: Json = None) -> Json:
        """Send a request; returns its id."""
        identifier = next(self._ids) if id is None else id
        self.sent_ids.append(identifier)
        self.message(id=identifier, method=method, params=params)
        return identifier

    async def reply(self, identifier: Json, timeout_s: float = 20.0) -> Json:
        """The reply to a request, whole."""
        await self.until(lambda: identifier in self.replies, timeout_s)
        return self.replies[identifier][0]

    async def result(self, identifier: Json, timeout_s: float = 20.0) -> Json:
        """The result of a request; raises RefusedError."""
        reply = await self.reply(identifier, timeout_s)
        if "error" in reply:
            raise RefusedError(reply["error"])
        return reply["result"]

    async def ask(self, method: str, params: Json = None) -> Json:
        """Send a request and wait for its result."""
        return await self.result(self.request(method, params))

    async def refusal(self, method: str, params: Json = None) -> int:
        """Send a request that is to be refused; returns the error's code."""
        reply = await self.reply(self.request(method, params))
        assert "error" in reply, reply
        return int(reply["error"]["code"])

    def notify(self, method: str, params: Json = None) -> None:
        """Send a notification."""
        self.message(method=method, params=params)

    def cancel(self, identifier: Json) -> None:
        """Cancel a request."""
        self.notify("$/cancelRequest", {"id": identifier})

    def told(self, method: str) -> list[Json]:
        """The parameters of all notifications of a method."""
        return [message["params"] for message in self.notifications if message["method"] == method]

    @property
    def messages(self) -> list[str]:
        """What the user was shown."""
        return [params["message"] for params in self.told("window/showMessage")]

    # -- life

    async def initialize(self, root: Path | None = None, **params: Json) -> Json:
        """Initialize as an editor does; returns the result."""
        asked = {
            "processId": os.getpid(),
            "rootUri": root.as_uri() if root else None,
            "capabilities": CAPABILITIES,
            "initializationOptions": QUIET,
            **params,
        }
        result = await self.ask("initialize", asked)
        self.notify("initialized", {})
        return result

    def check_replies(self) -> None:
        """Exactly one reply per request, and none to what was not asked."""
        for identifier in self.sent_ids:
            count = len(self.replies.get(identifier, []))
            assert count == self.sent_ids.count(identifier), (identifier, self.replies.get(identifier))
        assert set(self.replies) - {None} <= set(self.sent_ids)

    # -- documents (columns are UTF-16 units)

    def open(self, uri: str, text: str, language: str = "plaintext") -> None:
        """Open a document."""
        self.texts[uri], self.versions[uri] = text, 1
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def edit(self, uri: str, start: int, end: int, new: str) -> None:
        """Replace `[start, end)` (code points) and tell the server."""
        text = self.texts[uri]
        span = {"start": position(text, start), "end": position(text, end)}
        self.texts[uri] = text[:start] + new + text[end:]
        self.versions[uri] += 1
        self.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": self.versions[uri]},
                "contentChanges": [{"range": span, "text": new}],
            },
        )

    def close(self, uri: str) -> None:
        """Close a document."""
        del self.texts[uri]
        self.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def at(self, uri: str, offset: int = 0, **more: Json) -> Json:
        """Parameters for a place in a document."""
        return {"textDocument": {"uri": uri}, "position": position(self.texts[uri], offset), **more}

    def apply(self, edit: Json) -> bool:
        """Apply a workspace edit made for the present versions."""
        changes = edit.get("documentChanges") or [
            {"textDocument": {"uri": uri, "version": None}, "edits": edits}
            for uri, edits in (edit.get("changes") or {}).items()
        ]
        for change in changes:
            uri, version = change["textDocument"]["uri"], change["textDocument"]["version"]
            if uri not in self.texts or version not in (None, self.versions[uri]):
                return False
        for change in changes:
            uri = change["textDocument"]["uri"]
            text = self.texts[uri]
            spans = [(offset(text, e["range"]["start"]), offset(text, e["range"]["end"]), e["newText"])
                     for e in change["edits"]]  # fmt: skip
            for start, end, new in sorted(spans, reverse=True):
                self.edit(uri, start, end, new)
        return True


NO_ANSWER = object()


def position(text: str, offset: int) -> Json:
    """Line and UTF-16 column of an offset, in a text whose lines end at \\n."""
    before = text[:offset]
    line = before.count("\n")
    column = len(before[before.rfind("\n") + 1 :].encode("utf-16-le", "surrogatepass")) // 2
    return {"line": line, "character": column}


def offset(text: str, place: Json) -> int:
    """The offset of a line and UTF-16 column."""
    line = text.split("\n")[place["line"]]
    units = line.encode("utf-16-le", "surrogatepass")[: 2 * place["character"]]
    start = sum(len(earlier) + 1 for earlier in text.split("\n")[: place["line"]])
    return start + len(units.decode("utf-16-le", "surrogatepass"))


class _Memory:
    """A transport between an editor and a session of the same process."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.editor: Editor | None = None

    async def read(self) -> bytes:
        return await self.incoming.get()

    def write(self, data: bytes) -> None:
        assert self.editor is not None
        self.editor.receive(data)

    @property
    def pending(self) -> int:
        return 0

    async def room(self) -> None:
        pass

    async def close(self, timeout_s: float) -> None:
        pass


def probe_points(*names: str) -> list[EntryPoint]:
    """Entry points of plugins: pairs `name=Class` of probes.py, or `name=module:Class`."""
    module = __name__.rpartition(".")[0] + ".probes"
    pairs = (name.split("=") for name in names)
    return [EntryPoint(name, at if ":" in at else f"{module}:{at}", "inkling.plugins") for name, at in pairs]


@contextlib.asynccontextmanager
async def session_with(
    *probes: str, engine: FakeEngine | None = None, exit_code: int = 0
) -> AsyncGenerator[tuple[Editor, Session], None]:
    """An editor and a session with the named probes, in this process; ends properly and checks the replies."""
    transport = _Memory()
    editor = Editor(transport.incoming.put_nowait)
    transport.editor = editor
    fake = engine or FakeEngine()
    session = Session(transport, connect=lambda settings: fake, plugins=probe_points(*probes))
    running = asyncio.create_task(session.run())
    try:
        yield editor, session
        if session.protocol.state.value == "running":
            await editor.ask("shutdown")
        editor.notify("exit")
        assert await asyncio.wait_for(running, 10) == exit_code
        editor.check_replies()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def install_probes(folder: Path, *probes: str) -> Path:
    """A folder for PYTHONPATH that holds probes.py as an installed distribution."""
    (folder / "probes.py").write_text(Path(__file__).with_name("probes.py").read_text())
    info = folder / "probes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probes\nVersion: 1.0\n")
    lines = [f"{name} = probes:{attribute}" for name, attribute in (probe.split("=") for probe in probes)]
    (info / "entry_points.txt").write_text("\n".join(["[inkling.plugins]", *lines, ""]))
    return folder


BUNDLED = tuple(point.name for point in find() if point.dist is not None and point.dist.name == "inkling-ls")
"""Not loaded in these tests: they are about the edge, and need no model."""


def environment(folder: Path, *probes: str) -> dict[str, str]:
    """Variables for a server with the named probes and no bundled plugin; files are made in `folder`."""
    packages = folder / "packages"
    packages.mkdir()
    config = folder / "user.toml"
    names = ", ".join(f'"{name}"' for name in BUNDLED)
    config.write_text(f"[server]\nstart_engine = false\ndisabled_plugins = [{names}]\n")
    return {"PYTHONPATH": str(install_probes(packages, *probes)), "INKLING_CONFIG": str(config)}


@contextlib.asynccontextmanager
async def server_process(
    folder: Path, *probes: str, arguments: Iterable[str] = (), env: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[Editor, asyncio.subprocess.Process], None]:
    """An editor and the real server in a process of its own, with the named probes and no bundled plugin."""
    folder.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "inkling", "lsp", "--log-file", str(folder / "log"), "--log-level", "debug", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment(folder, *probes), **(env or {})},
    )
    assert process.stdin is not None
    editor = Editor(process.stdin.write)
    reading = asyncio.create_task(_pump(process, editor))
    try:
        yield editor, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(reading, return_exceptions=True)
        process.stdin.close()
        with contextlib.suppress(ConnectionError):
            await process.stdin.wait_closed()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio leaves that to the garbage collector


async def _pump(process: asyncio.subprocess.Process, editor: Editor) -> None:
    assert process.stdout is not None
    while data := await process.stdout.read(1 << 16):
        editor.receive(data)
    editor.closed = True
    editor.receive(b"")
