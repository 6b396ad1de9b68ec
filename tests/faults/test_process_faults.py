"""Faults of the process's surroundings: its parent, its streams, its disk (13, 24, 25), exit codes, TCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.lsp.editor import Editor, environment, server_process

URI = "file:///home/a.txt"
HOVER = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 1}}


@pytest.mark.parametrize(
    ("words", "code"), [(["shutdown", "exit"], 0), (["exit"], 1), (["shutdown", "hang up"], 0), (["hang up"], 1)]
)
async def test_exit_codes(tmp_path: Path, words: list[str], code: int) -> None:
    async with server_process(tmp_path) as (editor, process):
        await editor.initialize()
        for word in words:
            if word == "shutdown":
                await editor.ask("shutdown")
            elif word == "exit":
                editor.notify("exit")
            else:
                assert process.stdin is not None
                process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 60) == code


async def test_hang_up_before_the_first_message(tmp_path: Path) -> None:
    async with server_process(tmp_path) as (_, process):
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 60) == 1


async def test_junk_and_requests_before_initialize(tmp_path: Path) -> None:
    async with server_process(tmp_path, "words=Words") as (editor, _):
        editor.send(b"junk\r\n\r\n")
        assert (await editor.reply(None))["error"]["code"] == -32700
        assert await editor.refusal("textDocument/hover", HOVER) == -32002
        await editor.initialize()
        editor.open(URI, "some words")
        assert await editor.ask("textDocument/hover", HOVER)


async def test_24_the_editor_dies_and_something_holds_stdin_open(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    reply_end, answer_end = os.pipe()
    launcher = """
import subprocess, sys, time
streams = {"stdin": int(sys.argv[1]), "stdout": int(sys.argv[2])}
server = subprocess.Popen([sys.executable, "-m", "inkling", "lsp"], **streams)
print(server.pid, flush=True)
time.sleep(100)
"""
    editor = subprocess.Popen(
        [sys.executable, "-c", launcher, str(read_end), str(answer_end)],
        stdout=subprocess.PIPE,
        pass_fds=[read_end, answer_end],
        text=True,
    )
    assert editor.stdout is not None
    server = psutil.Process(int(editor.stdout.readline()))
    try:
        params = {
            "processId": editor.pid,
            "capabilities": {},
            "initializationOptions": {"server": {"start_engine": False}},
        }
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
        os.write(write_end, b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        assert os.read(reply_end, 100).startswith(b"Content-Length: ")
        assert server.is_running()
        editor.kill()
        editor.wait()
        gone, _ = psutil.wait_procs([server], timeout=60)
        assert gone
    finally:
        editor.kill()
        editor.wait()
        editor.stdout.close()
        with contextlib.suppress(psutil.NoSuchProcess):
            server.kill()
        for descriptor in (read_end, write_end, reply_end, answer_end):
            os.close(descriptor)


async def test_a_parent_in_another_container_is_not_watched(tmp_path: Path) -> None:
    async with server_process(tmp_path, "words=Words") as (editor, process):
        await editor.initialize(processId=2**22 + 1)
        await asyncio.sleep(1.5)
        assert await editor.ask("inkling/status")
        assert process.returncode is None


async def test_a_client_that_stops_reading(tmp_path: Path) -> None:
    """The server must neither grow nor hang: when the client reads again, everything is there."""
    async with server_process(tmp_path, "words=Words") as (editor, process):
        await editor.initialize()
        editor.open(URI, "word " * 200_000)
        await editor.ask("textDocument/hover", HOVER)
        assert process.stdout is not None
        transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        transport.pause_reading()
        long = {"command": "inkling.echo", "arguments": [{"uri": URI, "text": "x" * 100_000}]}
        asked = [editor.request("workspace/executeCommand", long) for _ in range(200)]
        server = psutil.Process(process.pid)
        await asyncio.sleep(1.5)
        grown = server.memory_info().rss
        await asyncio.sleep(1.0)
        assert server.memory_info().rss - grown < 5_000_000
        assert server.cpu_percent(0.3) < 50
        transport.resume_reading()
        await editor.until(lambda: all(identifier in editor.replies for identifier in asked), 30)
        assert {editor.replies[identifier][0]["result"] for identifier in asked} == {"x" * 100_000}


async def test_a_client_that_does_not_read_stderr(tmp_path: Path) -> None:
    """The log loses lines and says how many; the session goes on, and ends as ever."""
    async with server_process(tmp_path, "words=Words", arguments=["--log-file", "/dev/stderr"]) as (editor, process):
        await editor.initialize()
        editor.open(URI, "some words")
        process._transport.get_pipe_transport(2).pause_reading()  # type: ignore[attr-defined]
        for _ in range(20):
            text = {"command": "inkling.text", "arguments": [{"uri": URI}]}
            asked = [editor.request("workspace/executeCommand", text) for _ in range(100)]
            for identifier in asked:
                assert await editor.result(identifier) == "some words"
        process._transport.get_pipe_transport(2).resume_reading()  # type: ignore[attr-defined]
        await editor.ask("shutdown")
        editor.notify("exit")
        assert process.stderr is not None
        logged = await asyncio.wait_for(process.stderr.read(), 60)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert sum(int(count) for count in re.findall(rb"log-dropped count=(\d+)\n", logged)) > 0
    assert b" info request id=2 " in logged


async def test_a_plugin_that_prints_to_a_client_that_does_not_read_stderr(tmp_path: Path) -> None:
    """What is printed is lost; nobody waits for it."""
    async with server_process(tmp_path, "words=Words") as (editor, process):
        await editor.initialize()
        editor.open(URI, "some words")
        process._transport.get_pipe_transport(2).pause_reading()  # type: ignore[attr-defined]
        for _ in range(6):
            asked = [editor.request("textDocument/hover", editor.at(URI, 2)) for _ in range(50)]
            assert await editor.result(asked[-1])
        await editor.ask("shutdown")
        editor.notify("exit")
        process._transport.get_pipe_transport(2).resume_reading()  # type: ignore[attr-defined]
        assert process.stderr is not None
        assert b"a print must not reach the protocol" in await asyncio.wait_for(process.stderr.read(), 60)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_25_a_full_disk_and_a_read_only_home(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full on this system")
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    env = {"HOME": str(home), "XDG_CONFIG_HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere"}
    async with server_process(tmp_path / "s", "words=Words", arguments=["--log-file", "/dev/full"], env=env) as (
        editor,
        _,
    ):
        await editor.initialize()
        editor.open(URI, "some words")
        assert await editor.ask("textDocument/hover", HOVER)
        assert (await editor.ask("inkling/status"))["plugins"]


async def test_13_a_document_that_is_not_open_is_never_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_bytes(b"\xff\xfe secret words")
    async with server_process(tmp_path / "s", "words=Words") as (editor, _):
        await editor.initialize()
        document = {"textDocument": {"uri": path.as_uri()}}
        assert await editor.ask("textDocument/hover", HOVER | document) is None
        assert (await editor.ask("textDocument/diagnostic", document))["items"] == []
        assert await editor.ask("textDocument/codeLens", document) == []
        reasons = (await editor.ask("inkling/status"))["reasons"]
        assert {reason["reason"] for reason in reasons} == {"not-open"}


async def test_log_file_that_cannot_be_opened(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "inkling", "lsp", "--log-file", str(tmp_path / "no" / "log")],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"inkling lsp: .*/no/log could not be opened: No such file or directory\.\n", done.stderr)


async def test_two_clients_on_tcp_share_nothing(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "inkling", "lsp", "--tcp", "127.0.0.1:0"),
        *("--clientProcessId", str(os.getpid())),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment(tmp_path, "words=Words")},
    )
    assert process.stderr is not None
    port = int((await process.stderr.readline()).rpartition(b":")[2])
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    editors = [Editor(writer.write) for _, writer in pairs]

    async def pump(editor: Editor, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            editor.receive(data)

    pumps = [asyncio.create_task(pump(editor, pair[0])) for editor, pair in zip(editors, pairs, strict=True)]
    try:
        for number, editor in enumerate(editors):
            await editor.initialize()
            editor.open(URI, f"client{number} words")
        for number, editor in enumerate(editors):
            found = await editor.ask("textDocument/hover", HOVER)
            assert found["contents"]["value"] == f"word client{number}"
        await editors[0].ask("shutdown")
        editors[0].notify("exit")
        assert await editors[1].ask("textDocument/hover", HOVER), "the other session goes on"
    finally:
        for _, writer in pairs:
            writer.close()
        process.terminate()  # an interrupt would be ignored in a run that a shell put into the background
        await asyncio.wait_for(process.wait(), 60)
        await asyncio.gather(*pumps)
        process._transport.close()  # type: ignore[attr-defined]
