"""The extension inside VS Code's real extension host: client-vscode/test, run by mocha there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.unit.hub import Hub, classifier, serve

from .code_server import CLIENT, MODULES, build, code_server, drive, need_code_server, server_settings
from .conftest import REPOSITORY, SCRIPTED

WORDS = (
    *("orders.sort();", "\nlet", "\tlast=orders.pop();", "\nprinter.feed(3);", "\nshelf.close();"),
    *("\ndoor.lock();", "\nlight.off();"),
)
MODEL = f"fake?token_s=0.15&text={quote(' '.join(WORDS))}"
"""What client-vscode/test/features.ts expects as ghost text."""

EXPLANATION = " ".join(f"word-{number};" for number in range(20))
"""What it expects of Explain Selection: twenty words, four seconds."""


@pytest.mark.timeout(420)
def test_extension_host(home: Path) -> None:
    need_code_server()
    build("build", "build-tests")
    workspace = home / "workspace"
    workspace.mkdir()
    ran = home / "ran"
    for module in ("inkling", "http"):  # what a hostile repository could hold
        (workspace / f"{module}.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    complete = {"model": MODEL, "multi_line": "always", "copy": False, "debounce_min_ms": 0, "debounce_max_ms": 0}
    models = {
        "complete": complete,
        "classify": {"model": "fake", "severities": {"good": "off"}},
        "summarize": {"model": "fake"},
        "better_word": {"model": "fake?load_s=2"},
        "token_lens": {"view": "both"},
        "search": {"refresh_seconds": 1.0},
        "prompts": {"model": f"fake?token_s=0.2&text={quote(EXPLANATION)}"},
    }
    folders = [workspace, home / "second", home / "third"]
    for number, folder in enumerate(folders):
        folder.mkdir(exist_ok=True)
        (folder / f"part{number}.py").write_text(f"def turn_the_crank_{number}():\n    return {number}\n")
    several = home / "several.code-workspace"
    several.write_text(json.dumps({"folders": [{"path": str(folder)} for folder in folders[:2]]}))
    settings = {**server_settings(home), "inkling.settings": models}
    driver = ("--vscode-option", "enable-smoke-test-driver")
    variables = {"INKLING_MOCHA": str(MODULES / "mocha"), "HF_HUB_CACHE": str(home / "hub"), **SCRIPTED}
    hub = Hub({"org/good": classifier(30_000_000)}, slow={"model.safetensors"})
    with serve(hub), code_server(home, workspace, settings, *driver, HF_ENDPOINT=hub.url, **variables) as host:
        said = drive("host.mjs", home, host, str(several), str(CLIENT), timeout_s=390)
    print(said)
    assert int(re.search(r"(\d+) passing", said)[1]) >= 24, said
    assert "failing" not in said
    seen = json.loads(re.search(r"progress: (\[.*\])", said)[1])
    # of two that are loaded at once, the status bar shows the later one
    assert any("loading a model: fake" in text for text in seen), f"loading is told on the screen: {seen}"
    assert not ran.exists(), "the workspace's own Python file ran"


@pytest.mark.timeout(300)
def test_managed_environment(home: Path) -> None:
    """No server anywhere: the extension makes an environment from the wheel of this checkout.

    pip resolves nothing here: the wheel goes in alone, and what it needs is found by PYTHONPATH.
    """
    need_code_server()
    build("build", "build-tests")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    [wheel] = home.glob("*.whl")
    workspace = home / "workspace"
    workspace.mkdir()
    managed = {"package": str(wheel), "pipArguments": ["--no-deps", "--no-index"], "python": sys.executable}
    settings = {f"inkling.managed.{key}": value for key, value in managed.items()}
    variables = {
        "INKLING_MOCHA": str(MODULES / "mocha"),
        "INKLING_MANAGED": "1",
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(path for path in sys.path if path.endswith("site-packages")),
    }
    driver = ("--vscode-option", "enable-smoke-test-driver")
    with code_server(home, workspace, settings, *driver, **SCRIPTED | variables) as host:
        said = drive("host.mjs", home, host, str(workspace), str(CLIENT), timeout_s=270)
    assert int(re.search(r"(\d+) passing", said)[1]) >= 3, said
    assert "failing" not in said
