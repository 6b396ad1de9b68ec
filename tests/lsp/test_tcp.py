"""`inkling lsp --tcp`: for clients of this machine, never for a web page, and gone when the one it serves has gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.lsp.editor import CAPABILITIES, Editor, environment

COMMAND = (sys.executable, "-m", "inkling", "lsp", "--tcp")


@contextlib.asynccontextmanager
async def listening(folder: Path, client: int) -> AsyncGenerator[tuple[asyncio.subprocess.Process, int], None]:
    """A server that ends with the process `client`, and its port."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("127.0.0.1:0", "--clientProcessId", str(client)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment(folder, "words=Words")},
    )
    assert process.stderr is not None
    try:
        yield process, int((await process.stderr.readline()).rpartition(b":")[2])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


def frames(*messages: dict[str, object]) -> bytes:
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    return b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in bodies)


def hostile(root: Path) -> bytes:
    """What writes a file, said to a server that takes it."""
    initialize = {"capabilities": CAPABILITIES, "rootUri": root.as_uri(), "processId": None}
    command = {"command": "inkling.forbid", "arguments": [{"word": "ugly"}]}
    return frames(
        {"id": 1, "method": "initialize", "params": initialize},
        {"method": "initialized", "params": {}},
        {"id": 2, "method": "workspace/executeCommand", "params": command},
    )


REQUESTS = {
    "a form": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://page\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n",
    "without a length": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a path with a colon": b"POST /Content-Length:5 HTTP/1.1\r\nContent-Length: %d\r\n\r\n",
    "a WebSocket": b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a long header": b"POST / HTTP/1.1\r\nX: " + b"x" * 10_000 + b"\r\nContent-Length: %d\r\n\r\n",
}


async def test_a_web_page_gets_no_session(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    body = hostile(root)
    async with listening(tmp_path, os.getpid()) as (_, port):
        for name, head in REQUESTS.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((head % len(body) if b"%d" in head else head) + body)
            said = b""
            with contextlib.suppress(ConnectionError):  # closed before it took everything
                said = await asyncio.wait_for(reader.read(), 20)
            assert said == b"", name
            writer.close()
        assert not (root / "inkling.toml").exists()

        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # an editor says the same and is heard
        editor = Editor(writer.write)
        writer.write(body)
        while not (root / "inkling.toml").exists() or 2 not in editor.replies:
            editor.receive(await asyncio.wait_for(reader.read(1 << 16), 20))
        writer.close()


async def test_it_ends_with_the_process_that_it_serves(tmp_path: Path) -> None:
    client = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
    try:
        async with listening(tmp_path, client.pid) as (process, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            client.kill()
            assert await asyncio.wait_for(process.wait(), 30) == 0
            writer.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            client.kill()
        await client.wait()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["0.0.0.0:0"], "Other machines may reach 0.0.0.0"),
        (["[::]:0"], "--insecure-host"),
        (["some-host:0"], "--insecure-host"),
        (["127.0.0.1:x"], "is not HOST:PORT"),
        (["127.0.0.1:0", "--clientProcessId", "999999999"], "There is no process 999999999"),
        (["no.such.host.invalid:0", "--insecure-host"], "Cannot listen on no.such.host.invalid:0"),
    ],
)
def test_what_is_refused(arguments: list[str], says: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") <= 2
