"""VS Code's screen while somebody types: ghost text grows, and minutes of it (`make soak-editor`) leave nothing behind.

The model is scripted, so that any ghost text that is not its words is wrong. INKLING_SOAK_S sets the soak's seconds;
with INKLING_PICTURES the growth is kept as an animated picture.
"""

from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .apng import animate
from .code_server import CLIENT, build, code_server, drive, need_code_server, server_settings
from .conftest import SCRIPTED

LINES = (
    *("orders.sort();", "let\tlast=orders.pop();", "printer.feed(3);", "shelf.close();"),
    *("door.lock();", "light.off();", "keys.hang(last);", "home.go();"),
)
GHOST = "\n".join(LINES)
MODEL = f"fake?token_s=0.4&load_s=4&text={quote(' '.join([LINES[0], *(chr(10) + line for line in LINES[1:])]))}"
COMPLETE = {"model": MODEL, "multi_line": "always", "copy": False, "debounce_min_ms": 0, "debounce_max_ms": 0}
SECONDS = float(os.environ.get("INKLING_SOAK_S", "20"))
HEAP_MIB = 25
"""What the page may hold more after the soak than before it; the editor's own caches and undo history grow, too."""


def is_of_the_script(ghost: str) -> bool:
    """A beginning of the script, or of what is left of it when its first part was typed or taken."""
    flat = "".join(GHOST.split())
    return "".join(ghost.split()) in flat


@pytest.mark.timeout(SECONDS + 240)
def test_typing(home: Path) -> None:
    need_code_server()
    build("package")
    workspace = home / "workspace"
    workspace.mkdir()
    (workspace / "typed.js").write_text("")
    settings = {**server_settings(home), "inkling.settings": {"complete": COMPLETE}, "editor.quickSuggestions": False}
    pictures = os.environ.get("INKLING_PICTURES")
    frames = (str(home / "frames"),) if pictures else ()
    with code_server(home, workspace, settings, vsix=CLIENT / "inkling.vsix", **SCRIPTED) as host:
        said = drive("typing.mjs", home, host, str(workspace), str(SECONDS), *frames, timeout_s=SECONDS + 200)
        log = (home / "lsp.log").read_text()
    seen: dict[str, Any] = {fields.pop("check"): fields for fields in map(json.loads, said.splitlines())}
    check_growth(seen["growth"]["grown"], seen["growth"]["text"])
    statuses = seen["growth"]["statuses"]
    assert any(re.fullmatch(r"Inkling \d+ %", said) for said in statuses), statuses
    assert any(re.fullmatch(r"Inkling · fake.* · \d+ tok/s", said) for said in statuses), statuses
    check_soak(seen["soak"], log)
    assert seen["errors"]["errors"] == []
    if pictures:
        animate(sorted((home / "frames").glob("*.png")), Path(pictures) / "growing.png")


def check_growth(grown: list[str], text: str) -> None:
    shown = ["".join(ghost.split()) for ghost in grown[: grown.index(max(grown, key=len)) + 1]]
    first = next(number for number, ghost in enumerate(shown) if ghost)
    steps = shown[first:]
    assert len(steps) >= 3, f"it grows as the model writes, and not only once: {steps}"
    assert all(later.startswith(earlier) for earlier, later in pairwise(steps)), steps
    assert all(steps), "it never goes away between two steps"
    assert steps[-1] == "".join(GHOST.split())
    assert "".join(text.split()) == "start();" + "".join(GHOST.split()), "Tab took all of it"


def check_soak(soak: dict[str, Any], log: str) -> None:
    ghosts = [event["ghost"] for event in soak["record"] if event.get("ghost")]
    asked = len(re.findall(r" request .*method=textDocument/inlineCompletion", log))
    assert soak["lines"] >= SECONDS / 8
    assert len(ghosts) >= soak["lines"] / 3, "somebody who types sees ghost text"
    assert [ghost for ghost in ghosts if not is_of_the_script(ghost)] == []
    assert asked > 0 and len(ghosts) <= asked * (len(LINES) + 1), "no more than was sent"
    assert "Traceback" not in log and " error " not in log, "the server's log"
    grown = (soak["heapAfter"] - soak["heapBefore"]) / 2**20
    assert grown < HEAP_MIB, f"the page holds {grown:.0f} MiB more"
