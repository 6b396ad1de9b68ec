"""VS Code on workspaces with less than full rights: one that is not trusted, until it is, and one that is on no disk.

The workspace names programs and models of its own, as a hostile repository might. The models are scripted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from .code_server import CLIENT, build, code_server, drive, need_code_server
from .conftest import SCRIPTED

PROSE = "This is a bad way to begin a note.\n\nThe rest of it is quite all right and says so.\n"


def hostile(workspace: Path, ran: Path) -> None:
    """Fill it: an environment whose programs leave `ran` behind, and settings that choose them, and a model."""
    programs = workspace / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "inkling"):
        (programs / name).write_text(f'#!/bin/sh\ntouch {ran}\nexec {sys.executable} "$@"\n')
        (programs / name).chmod(0o755)
    chosen = {
        "inkling.interpreter": str(programs / "python"),
        "inkling.command": ["touch", str(ran)],
        "inkling.settings": {"classify": {"model": "fake?from=vscode"}},
    }
    (workspace / ".vscode").mkdir()
    (workspace / ".vscode" / "settings.json").write_text(json.dumps(chosen))
    (workspace / "inkling.toml").write_text('[classify]\nmodel = "fake?from=toml"\n')
    (workspace / "note.md").write_text(PROSE)


@pytest.mark.timeout(300)
def test_restricted_and_virtual_workspaces(home: Path) -> None:
    need_code_server()
    build("package")
    workspace, ran = home / "workspace", home / "ran"
    hostile(workspace, ran)
    settings = {"inkling.interpreter": sys.executable}
    with code_server(home, workspace, settings, vsix=CLIENT / "inkling.vsix", trusts=False, **SCRIPTED) as host:
        lines = drive("trust.mjs", home, host, str(workspace), str(ran), timeout_s=240).splitlines()
    seen: dict[str, Any] = {fields.pop("check"): fields for fields in map(json.loads, lines)}
    restricted, trusted, virtual = seen["restricted"], seen["trusted"], seen["virtual"]
    assert "restricted: the workspace is not trusted" in restricted["hover"]
    assert "starter:tone" in restricted["hover"] and "fake" not in restricted["hover"], "its own model is not used"
    assert not restricted["ran"], "a program of the workspace ran before it was trusted"
    assert "restricted" not in trusted["hover"] and "fake?from=vscode" in trusted["hover"]
    assert trusted["ran"], "its interpreter counts as soon as it is trusted"
    assert "Inkling is off here: it runs models on files of this machine" in virtual["text"]
    assert virtual["items"] == 0
