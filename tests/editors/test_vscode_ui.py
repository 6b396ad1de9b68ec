"""VS Code's screen, in Chromium, with the models that ship: what a user would see is asserted, and pictures are taken.

With INKLING_PICTURES the pictures are kept in that folder (`make pictures`), else they end with the test.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from .code_server import CLIENT, build, code_server, drive, need_code_server, server_settings
from .conftest import REPOSITORY

SETTINGS = {"complete": {"min_confidence": 0.0, "debounce_min_ms": 0, "copy": False}}
PICTURES = (
    *("squiggle", "quick-fix", "status", "hover", "palette", "choose-model", "token-lens"),
    *("ghost-line", "ghost-block", "ask", "answer", "summary"),
)


@pytest.mark.timeout(300)
def test_screen(home: Path) -> None:
    need_code_server()
    build("package")
    workspace = home / "examples"
    workspace.mkdir()
    for name in ("inventory.py", "review.md", "incident.md"):
        shutil.copy(REPOSITORY / "examples" / name, workspace)
    pictures = Path(os.environ.get("INKLING_PICTURES") or home / "pictures").resolve()
    settings = {**server_settings(home), "inkling.settings": SETTINGS}
    with code_server(home, workspace, settings, vsix=CLIENT / "inkling.vsix") as host:
        lines = drive("ui.mjs", home, host, str(workspace), str(pictures), timeout_s=270).splitlines()
    seen: dict[str, Any] = {fields.pop("check"): fields for fields in map(json.loads, lines)}
    assert "Inkling" in seen["status"]["text"]
    assert seen["squiggles"]["count"] >= 2
    assert "Reads as hostile" in seen["squiggle-hover"]["text"]
    assert 'Ignore "hostile" here' in seen["quick-fix"]["text"]
    assert "inkling" in seen["quick-fix-applied"]["text"]
    assert "engine ready" in seen["status-hover"]["text"] and "nothing is sent anywhere" in seen["status-hover"]["text"]
    assert "Tokens" in seen["hover"]["text"] and "document" in seen["hover"]["text"]
    assert len(seen["palette"]["titles"]) >= 10
    assert "starter:tone" in seen["models"]["text"] and "starter:code" not in seen["models"]["text"]
    assert seen["token-lens"]["marks"] > 20
    assert "selected" in seen["ask"]["place"]
    for name in ("ghost-line", "ghost-block"):
        assert seen[name]["text"], name
    assert "sentences" in seen["summary"]["text"]
    assert seen["page-errors"]["errors"] == []
    for name in PICTURES:
        width, height = struct.unpack(">II", (pictures / f"{name}.png").read_bytes()[16:24])
        assert width >= 500 and height >= 200, name
