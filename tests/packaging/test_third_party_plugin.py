"""The plugin of the guide, installed as anyone would install it, shows its hover in a real session."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugins" / "word_length"
URI = "untitled:note"


def block(name: str) -> str:
    """The fenced block of the guide that follows the words `name`."""
    guide = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    assert found is not None, f"the guide shows no {name}"
    return found[1]


@pytest.mark.parametrize("name", ["word_length.py", "pyproject.toml"])
def test_the_guide_shows_exactly_the_example(name: str) -> None:
    assert block(name) == (EXAMPLE / name).read_text(encoding="utf-8")


def test_the_example_is_as_short_as_promised() -> None:
    code = [line for line in block("word_length.py").splitlines() if line.strip()]
    assert len(code) <= 20


class Conversation:
    """A client that waits for the reply to each request, and answers the server's requests with null."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.stdin: IO[bytes] = process.stdin
        self.stdout: IO[bytes] = process.stdout
        self.number = 0

    def notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> Any:
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        while True:
            message = self._receive()
            if message.get("id") == self.number and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            if "id" in message:
                asked = message["params"].get("items", []) if message["method"] == "workspace/configuration" else None
                self._send({"id": message["id"], "result": None if asked is None else [None for _ in asked]})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.stdin.flush()

    def _receive(self) -> Any:
        length = 0
        while (line := self.stdout.readline()) != b"\r\n":
            assert line, "the server ended"
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return json.loads(self.stdout.read(length))


def install(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--disable-pip-version-check", "--target", str(target), str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr


def test_an_installed_plugin_shows_its_hover(tmp_path: Path) -> None:
    install(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "INKLING_CONFIG": str(tmp_path / "user.toml")}
    command = [sys.executable, "-m", "inkling", "lsp"]
    settings = {"server": {"start_engine": False}, "word_length": {"unit": "letters"}}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            editor = Conversation(process)
            editor.ask(
                "initialize",
                {
                    "processId": os.getpid(),
                    "rootUri": None,
                    "capabilities": {"textDocument": {"hover": {"contentFormat": ["markdown"]}}},
                    "initializationOptions": settings,
                },
            )
            editor.notify("initialized", {})
            document = {"uri": URI, "languageId": "plaintext", "version": 1, "text": "a 😀 extraordinary day\n"}
            editor.notify("textDocument/didOpen", {"textDocument": document})
            at = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 8}}
            shown = editor.ask("textDocument/hover", at)
            assert "13 letters" in shown["contents"]["value"]
            editor.ask("shutdown", None)
            editor.notify("exit", None)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
