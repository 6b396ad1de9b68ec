"""VS Code's client: its size, its start, what it adds to a request, and a keystroke's way to ghost text on the screen.

Real VS Code (code-server) in headless Chromium, as tests/editors has it. The model is scripted and takes no time, each
suggestion is taken (who ignores five in a row is asked less often), and the pause that Inkling makes while somebody
types is off, so that what is measured is the way through editor, client and server. Its parts are told apart by the
log's clock, which is the page's: until the request has arrived, of which VS Code itself waits 50 ms; the server's own
time; and from its reply to the first frame with ghost text.

The activation of its own is what the extension's file and its `activate` run, by the extension's clock; VS Code's own
figure (Developer: Show Running Extensions) counts the reading of the file, too. It is the median of three or six
windows, each in an editor begun anew, since one window says anything between half and three times that. The language
client is loaded after it, while nobody waits; nor does anybody for the server.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.editors.code_server import CLIENT, MODULES, build, code_server, drive, need_code_server, server_settings
from tests.editors.conftest import SCRIPTED, end_all

from bench.row import Row, row

MODEL = "fake?text=orders.sort();"
SETTINGS = {"complete": {"model": MODEL, "copy": False, "debounce_min_ms": 0, "debounce_max_ms": 0}}
T = TypeVar("T")


def rows(quick: bool = False) -> list[Row]:
    """One row per figure; none where the editor is not installed, which is said."""
    try:
        need_code_server()
    except pytest.skip.Exception as missing:
        print(f"editors: {missing}", file=sys.stderr)
        return []
    build("package", "build-tests")
    size = (CLIENT / "inkling.vsix").stat().st_size / 1000
    windows = 3 if quick else 6
    counted = statistics.median(_at_home(lambda home: _typed(home, 0)).activation_ms for _ in range(windows))
    return [
        row("editors/vsix", size, "kB", better="less"),
        row("editors/activation as VS Code counts it", counted, "ms", better="less"),
        *_at_home(lambda home: _screen(home, 12 if quick else 60)),
        *_at_home(_client),
    ]


def _at_home(measure: Callable[[Path], T]) -> T:
    home = Path(tempfile.mkdtemp(prefix="inkling-bench-"))
    (home / "run").mkdir(mode=0o700)
    (home / "workspace").mkdir()
    (home / "workspace" / "typed.js").write_text("")
    try:
        return measure(home)
    finally:
        end_all(home)
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Typed:
    """What one window said."""

    activation_ms: float
    shown: list[tuple[float, float]]
    """For each try, when the key was pressed and when ghost text stood, in ms."""


def _typed(home: Path, tries: int) -> Typed:
    """Typed in the browser."""
    settings = {**server_settings(home), "inkling.settings": SETTINGS, "editor.quickSuggestions": False}
    workspace = home / "workspace"
    with code_server(home, workspace, settings, vsix=CLIENT / "inkling.vsix", **SCRIPTED) as host:
        said = json.loads(drive("latency.mjs", home, host, str(workspace), str(tries), timeout_s=400))
    return Typed(float(re.search(r"([\d.]+)\s*ms", said["activation"])[1]), said["shown"])  # type: ignore[index]


def _screen(home: Path, tries: int) -> list[Row]:
    """From keystroke to ghost text, and where the time goes."""
    shown = _typed(home, tries).shown
    ways = [_way(home, *times) for times in shown[2:]]  # the first load the model and warm the editor up
    found: list[Row] = []
    for percent in (50, 95):
        arrived, served, drawn = (_at(part, percent) for part in zip(*ways, strict=True))
        name, whole = f"editors/keystroke to ghost text p{percent}", _at([sum(way) for way in ways], percent)
        found.append(row(name, whole, "ms", better="less", peer="the server's own time", peer_value=served))
        found.append(row(f"{name}: until the request arrives", arrived, "ms", better="less"))
        found.append(row(f"{name}: from the reply to the screen", drawn, "ms", better="less"))
    return found


def _client(home: Path) -> list[Row]:
    """Asked in the extension host, without a screen."""
    settings = {**server_settings(home), "inkling.settings": SETTINGS}
    workspace = home / "workspace"
    variables = {**SCRIPTED, "INKLING_MOCHA": str(MODULES / "mocha"), "INKLING_BENCH": "1"}
    driver = ("--vscode-option", "enable-smoke-test-driver")
    with code_server(home, workspace, settings, *driver, **variables) as host:
        said = drive("host.mjs", home, host, str(workspace), str(CLIENT), timeout_s=200)
    taken = json.loads(re.search(r"bench: (\[.*?\])", said)[1])  # type: ignore[index]
    own = _at(_served(home, "inkling/status")[-len(taken) :], 50)
    activation, loading = re.search(r"activation: ([\d.]+), then ([\d.]+)", said).groups()  # type: ignore[union-attr]
    own_time: dict[str, Any] = {"peer": "the server's own time", "peer_value": own}
    return [
        row("editors/activation of its own", float(activation), "ms", better="less"),
        row("editors/language client loaded after activation", float(loading), "ms", better="less"),
        row("editors/request through the language client p50", _at(taken, 50), "ms", better="less", **own_time),
    ]


def _way(home: Path, pressed: float, shown: float) -> tuple[float, float, float]:
    """Milliseconds until the last request before `shown` had arrived, in the server, and from its reply on."""
    day = datetime.fromtimestamp(pressed / 1000)
    found = re.findall(
        r"^([\d:.]+) info request .*method=textDocument/inlineCompletion .*?ms=([\d.]+)$", _log(home), re.M
    )
    replies = [(datetime.combine(day, time.fromisoformat(at)).timestamp() * 1000, float(ms)) for at, ms in found]
    replied, ms = [(at, ms) for at, ms in replies if at <= shown][-1]
    return replied - ms - pressed, ms, shown - replied


def _log(home: Path) -> str:
    return (home / "lsp.log").read_text()


def _served(home: Path, method: str) -> list[float]:
    """The server's own milliseconds for each request of a method."""
    return [float(ms) for ms in re.findall(rf" request .*method={re.escape(method)} .*?ms=([\d.]+)", _log(home))]


def _at(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
