"""The playground in a real browser with the starter models, and who may connect to it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from inkling.playground.app import PAGE

from .conftest import REPOSITORY, environment, need

PLAYWRIGHT = REPOSITORY / ".cache" / "editors" / "node_modules" / "playwright-core" / "index.mjs"


@pytest.fixture
def playground(home: Path) -> Iterator[tuple[str, int]]:
    """The address that it prints, and its process."""
    if not (PAGE / "main.js").is_file():
        pytest.skip("the page is not built: `make playground`, or tests/editors/install.sh")
    process = subprocess.Popen(
        [sys.executable, "-m", "inkling", "playground"],
        cwd=home,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().split()[1], process.pid
    process.terminate()
    process.communicate(timeout=20)


@pytest.mark.timeout(240)
def test_a_person_sees_every_surface(home: Path, playground: tuple[str, int]) -> None:
    need("node", "chromium")
    if not PLAYWRIGHT.is_file():
        pytest.skip("Playwright is not in .cache/editors; tests/editors/install.sh installs it where it can")
    pictures = os.environ.get("INKLING_PICTURES", "")
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("playground.mjs")), playground[0], pictures],
        env={**os.environ, "INKLING_PLAYWRIGHT": str(PLAYWRIGHT), "CHROMIUM": str(shutil.which("chromium"))},
        capture_output=True,
        text=True,
        timeout=110,
    )
    seen = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"failed": done.stderr[-2000:]}
    assert "failed" not in seen, seen
    assert seen["errors"] == []
    assert "nothing is sent anywhere" in seen["where"]
    assert seen["squiggles"] >= 1
    assert seen["diagnostic"]
    assert len(seen["fixes"]) >= 1
    assert "token" in seen["hover"]
    assert seen["accepted"] == len(seen["ghost"]) > 0
    assert seen["tail"].endswith(seen["ghost"])
    assert seen["actions"]
    assert seen["why"]
    # the page has gone, and so does its server; one that is leaving this moment has no command line any more
    ends = time.monotonic() + 30
    while (left := servers_of(playground[1])) and time.monotonic() < ends:
        time.sleep(0.2)
    assert left == []


def servers_of(pid: int) -> list[int]:
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):
            if "lsp" in child.cmdline():
                found.append(child.pid)
    return found


async def test_only_our_own_page_with_the_token_gets_a_server(playground: tuple[str, int]) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    base, _, token = playground[0].partition("#")
    host = base.removeprefix("http://").rstrip("/")
    address, origin = f"ws://{host}/lsp?token=", f"http://{host}"
    for url, page in ((address + "wrong", origin), (address + token, "http://evil.example"), (address + token, None)):
        with pytest.raises(InvalidStatus):
            await connect(url, origin=page)
    async with connect(address + token, origin=origin) as socket:
        ask = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": None, "capabilities": {}}}
        await socket.send(json.dumps(ask))
        answer = json.loads(await asyncio.wait_for(socket.recv(), 60))
        assert answer["result"]["capabilities"]
