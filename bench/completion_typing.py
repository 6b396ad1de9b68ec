"""Typing through a suggestion, in a real server with a real engine: how many of the keystrokes reach the engine."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.row import Row, row
from inkling.cli.render import ghost_text
from inkling.cli.session import ServerError, Session

SETTINGS = {
    "server": {"enabled_plugins": ["complete"], "timeouts": {"inline_completion": 120}},
    "complete": {"copy": False, "min_confidence": 0.0, "context_chunks": 0},
}
"""The model alone, whatever it thinks of its words; nothing is read in pauses, so each request is a keystroke's."""
BEGUN = '"""Reading of settings files."""\n\nimport os\n\n\ndef read(path):\n    with open(path) as file:\n        '
PLACES = ("", "return [line for line in ", "for line in file:\n            if line.", "lines = ")
LONGEST = 20


def rows() -> list[Row]:
    """Engine requests for the keystrokes of one suggestion, and the time of each."""
    try:
        return asyncio.run(_rows())
    except (ServerError, TimeoutError) as error:
        print(f"typing: {error}", file=sys.stderr)
        return []


async def _rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        async with Session.open(root, settings=SETTINGS) as session:
            for number, place in enumerate(PLACES):
                uri, text = (root / f"part{number}.py").as_uri(), BEGUN + place
                session.open_document(uri, "python", text)
                shown = (await _ask(session, uri, text)).partition("\n")[0]
                if len(shown) > 4:
                    return await _type(session, uri, text, shown[:LONGEST])
    print("typing: the model suggested nothing at any place", file=sys.stderr)
    return []


async def _type(session: Session, uri: str, text: str, shown: str) -> list[Row]:
    before, times = await _served(session), []
    for character in shown[:-1]:
        end = _end(text)
        session.change_document(uri, [{"range": {"start": end, "end": end}, "text": character}])
        text += character
        began = time.perf_counter()
        await _ask(session, uri, text)
        times.append(time.perf_counter() - began)
    asked = await _served(session) - before
    title = "completion/typing through a suggestion"
    return [
        row(f"{title}, engine requests", asked, "", better="less", peer="keystrokes", peer_value=len(times)),
        row(f"{title}, reply p50", median(times) * 1e3, "ms", better="less", peer="target", peer_value=100.0),
    ]


async def _ask(session: Session, uri: str, text: str) -> str:
    """The suggestion at the end of `text`."""
    shown = ""

    def grow(value: Any) -> None:
        nonlocal shown
        shown = ghost_text(value) or shown  # after partial results the reply itself is empty

    params = {"textDocument": {"uri": uri}, "position": _end(text), "context": {"triggerKind": 1}}
    grow(await session.request("textDocument/inlineCompletion", params, on_partial=grow))
    return shown


def _end(text: str) -> dict[str, int]:
    return {"line": text.count("\n"), "character": len(text) - text.rfind("\n") - 1}


async def _served(session: Session) -> int:
    """Requests that the engine has finished or is at."""
    engine = (await session.request("inkling/status", {}))["engine"]
    return int(engine["extra"]["served_requests"]) + int(engine["active_requests"])
