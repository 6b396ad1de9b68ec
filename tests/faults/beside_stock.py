"""`python -m tests.faults.beside_stock`: the wire's faults against a bare pygls server and ours, as a table.

Each fault meets a fresh server; the outcome says what the client got back, and whether a hover sent right behind the
fault was answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.lsp import PYGLS
from rich.console import Console
from rich.table import Table
from tests.faults.test_wire_faults import BAD_BYTES, BODY, HOVER, INVALID_PARAMS, ODD_HEADERS, URI
from tests.lsp.editor import QUIET, Editor, environment

WAIT_S = 5.0
OURS = (sys.executable, "-m", "inkling", "lsp")


def cases() -> dict[str, bytes]:
    """Name → bytes to send."""
    found = {f"2, 3 · {name}": data for name, data in BAD_BYTES.items()}
    found |= {f"4 · {name}": header % len(BODY) + BODY for name, header in ODD_HEADERS.items()}
    for name, (method, params) in INVALID_PARAMS.items():
        body = json.dumps({"jsonrpc": "2.0", "id": "raw", "method": method, "params": params}).encode()
        found[f"1 · {name}"] = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    return found


async def outcome(command: Sequence[str], env: dict[str, str], fault: bytes) -> str:
    """What came of a fault."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **env},
    )
    assert process.stdin is not None and process.stdout is not None
    editor = Editor(process.stdin.write)

    async def pump() -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(1 << 16):
            editor.receive(data)
        editor.closed = True

    pumping = asyncio.create_task(pump())
    try:
        await editor.initialize(initializationOptions=QUIET)
        editor.open(URI, "some words")
        await editor.ask("textDocument/hover", HOVER)
        editor.send(fault)
        after = editor.request("textDocument/hover", HOVER)
        served = True
        try:
            await editor.reply(after, WAIT_S)
        except (TimeoutError, AssertionError):
            served = False
        replies = [message for key in (None, "raw") for message in editor.replies.get(key, [])]
        said = [str(reply["error"]["code"]) if "error" in reply else "result" for reply in replies]
        words = "reply " + ", ".join(said) if said else "no reply"
        if editor.closed:
            return f"{words}; the server has died"
        return f"{words}; then {'served' if served else 'silent'}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await pumping


async def main() -> None:
    """Print the table."""
    table = Table("fault", "stock pygls", "Inkling", box=None)
    with tempfile.TemporaryDirectory() as folder:
        env = environment(Path(folder), "words=Words")
        for name, fault in cases().items():
            stock, ours = [await outcome(command, env, fault) for command in (PYGLS, OURS)]
            table.add_row(name, stock, ours)
    Console(width=140).print(table)


if __name__ == "__main__":
    asyncio.run(main())
