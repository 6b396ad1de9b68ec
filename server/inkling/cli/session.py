"""A small LSP client over stdio, speaking plain dicts: what the tour, the bench and the soak use to drive a server.

It starts the server as an editor would, answers the requests that servers make, and keeps what it was told. It is not
part of the server and shares no code with it, so that it sees what an editor sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Json = Any
SERVER = (sys.executable, "-P", "-m", "inkling", "lsp", "--stdio")
"""`-P`: an `inkling.py` in the folder that one happens to be in must not run."""

CAPABILITIES: dict[str, Json] = {
    "general": {"positionEncodings": ["utf-32", "utf-16"]},
    "window": {"workDoneProgress": True, "showMessage": {}, "showDocument": {"support": True}},
    "workspace": {
        "applyEdit": True,
        "configuration": True,
        "workspaceEdit": {"documentChanges": True},
        "diagnostics": {"refreshSupport": True},
        "codeLens": {"refreshSupport": True},
        "didChangeConfiguration": {"dynamicRegistration": True},
    },
    "textDocument": {
        "hover": {"contentFormat": ["markdown"]},
        "diagnostic": {"dynamicRegistration": False},
        "codeAction": {
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix", "refactor", "source"]}},
            "resolveSupport": {"properties": ["edit"]},
            "dataSupport": True,
        },
        "codeLens": {},
        "inlineCompletion": {},
        "synchronization": {"didSave": True},
    },
}


class ServerError(Exception):
    """The server answered a request with an error."""

    def __init__(self, method: str, error: Mapping[str, Json]) -> None:
        super().__init__(f"{method}: {error.get('message')} ({error.get('code')})")
        self.code = error.get("code")
        self.error = error


class Session:
    """One conversation with one server process. Make it with `Session.open`."""

    def __init__(self, process: asyncio.subprocess.Process, root: Path, settings: Mapping[str, Json]) -> None:
        self.process = process
        self.root = root
        self.settings = settings
        self.messages: list[str] = []
        self.applied_edits: list[Json] = []
        self.progress: Callable[[str, Json], None] = lambda token, value: None
        self.notifications: Callable[[str, Json], None] = lambda method, params: None
        self.server_info: Json = {}
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Json]] = {}
        self._partials: dict[str, Callable[[Json], None]] = {}
        self._versions: dict[str, int] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        root: Path,
        *,
        settings: Mapping[str, Json] | None = None,
        command: Sequence[str] = SERVER,
        capabilities: Mapping[str, Json] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Session, None]:
        """Start a server for the folder `root` (an absolute path), initialize it, and shut it down at the end."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            limit=1 << 26,
        )
        session = cls(process, root, settings or {})
        reader = asyncio.create_task(session._read())
        try:
            session.server_info = await session.request(
                "initialize",
                {
                    "processId": os.getpid(),
                    "clientInfo": {"name": "inkling-session"},
                    "rootUri": root.as_uri(),
                    "workspaceFolders": [{"uri": root.as_uri(), "name": root.name}],
                    "capabilities": CAPABILITIES if capabilities is None else capabilities,
                    "initializationOptions": dict(settings or {}),
                },
            )
            session.notify("initialized", {})
            yield session
            await session.request("shutdown", None)
            session.notify("exit", None)
            await asyncio.wait_for(process.wait(), 10)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def request(self, method: str, params: Json, on_partial: Callable[[Json], None] | None = None) -> Json:
        """Send a request and return its result; `on_partial` gets partial results. Cancelling cancels it there too."""
        identifier = next(self._ids)
        if on_partial is not None:
            token = f"partial-{identifier}"
            params = {**params, "partialResultToken": token}
            self._partials[token] = on_partial
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._pending[identifier] = future
        self._send({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params})
        try:
            message = await future
        except asyncio.CancelledError:
            self.notify("$/cancelRequest", {"id": identifier})
            raise
        finally:
            self._pending.pop(identifier, None)
            self._partials.pop(f"partial-{identifier}", None)
        if "error" in message:
            raise ServerError(method, message["error"])
        return message.get("result")

    def notify(self, method: str, params: Json) -> None:
        """Send a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def open_document(self, uri: str, language: str, text: str) -> None:
        """Tell the server that a document was opened."""
        self._versions[uri] = 1
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change_document(self, uri: str, changes: Sequence[Json]) -> int:
        """Send content changes (LSP's own form) and return the new version."""
        self._versions[uri] += 1
        version = self._versions[uri]
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": list(changes)}
        self.notify("textDocument/didChange", params)
        return version

    def _send(self, message: Json) -> None:
        body = json.dumps(message, ensure_ascii=False).encode()
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await stream.readuntil(b"\r\n\r\n")
                length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self._receive(json.loads(await stream.readexactly(length)))
        for future in self._pending.values():
            if not future.done():
                future.set_exception(ConnectionError("the language server ended before it answered"))

    def _receive(self, message: Json) -> None:
        method = message.get("method")
        if method is None:
            future = self._pending.get(message.get("id"))
            if future is not None and not future.done():
                future.set_result(message)
        elif "id" in message:
            result = self._answer(method, message.get("params") or {})
            self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        elif method == "$/progress":
            token, value = str(message["params"]["token"]), message["params"]["value"]
            self._partials.get(token, lambda value: self.progress(token, value))(value)
        else:
            if method in ("window/showMessage", "window/logMessage"):
                self.messages.append(message["params"]["message"])
            self.notifications(method, message.get("params"))

    def _apply(self, params: Json) -> None:
        """As an editor does: the text changes, and the server is told so, before the answer."""
        self.applied_edits.append(params)
        for change in params["edit"].get("documentChanges", ()):
            uri = change.get("textDocument", {}).get("uri")
            if uri in self._versions:  # from the last to the first, each is right as it stands
                starts = [edit["range"]["start"] for edit in change["edits"]]
                places = [(start["line"], start["character"], number) for number, start in enumerate(starts)]
                edits = [change["edits"][number] for *_, number in sorted(places, reverse=True)]
                self.change_document(uri, [{"range": edit["range"], "text": edit["newText"]} for edit in edits])

    def _answer(self, method: str, params: Json) -> Json:
        if method == "workspace/configuration":
            return [self.settings if item.get("section") == "inkling" else None for item in params["items"]]
        if method == "workspace/applyEdit":
            self._apply(params)
            return {"applied": True}
        if method == "window/showDocument":
            return {"success": True}
        if method == "workspace/workspaceFolders":
            return [{"uri": self.root.as_uri(), "name": self.root.name}]
        return None
