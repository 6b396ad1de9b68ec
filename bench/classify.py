"""What one changed sentence costs in a file of a thousand, beside reading all of it again."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from bench.row import Row, row
from inkling.cli.session import Session

SENTENCES = 1000
SUBJECTS = (
    "The cache",
    "A reader",
    "This loop",
    "The parser",
    "Our client",
    "The old queue",
    "Each worker",
    "The lock",
)
VERBS = ("keeps", "drops", "returns", "counts", "moves", "closes", "waits for", "rebuilds", "sorts", "forgets")
OBJECTS = ("the next page", "a stale entry", "every open file", "the first error", "two short names", "an empty list")


def rows(quick: bool) -> list[Row]:
    """Seconds through the real server and engine, with the starter classifier."""
    with tempfile.TemporaryDirectory() as folder:
        edited, whole = asyncio.run(_measure(Path(folder).resolve(), 3 if quick else 9))
    once, again = statistics.median(edited) * 1000, statistics.median(whole) * 1000
    name = f"classify/one changed sentence of {SENTENCES}"
    return [row(name, once, "ms", better="less", peer="all sentences again", peer_value=again)]


def sentence(number: int, seed: int) -> str:
    """A sentence that no other number or seed gives."""
    subject, verb = SUBJECTS[number % len(SUBJECTS)], VERBS[number // 8 % len(VERBS)]
    return f"{subject} {verb} {OBJECTS[number // 80 % len(OBJECTS)]} on try {number} of run {seed}."


def text(seed: int) -> str:
    """A document of paragraphs, ten sentences each, one to a line."""
    lines: list[str] = []
    for number in range(SENTENCES):
        lines += [sentence(number, seed), *([""] if number % 10 == 9 else [])]
    return "\n".join(lines) + "\n"


async def _measure(root: Path, times: int) -> tuple[list[float], list[float]]:
    async with Session.open(root) as session:
        await _diagnose(session, "file:///warm.md", text(0)[:200])
        whole = [await _diagnose(session, f"file:///whole{seed}.md", text(seed)) for seed in range(1, 1 + times)]
        edited = await _edits(session, "file:///whole1.md", times)
    return edited, whole


async def _diagnose(session: Session, uri: str, content: str) -> float:
    session.open_document(uri, "markdown", content)
    return await _pull(session, uri)


async def _pull(session: Session, uri: str) -> float:
    began = time.perf_counter()
    await session.request("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    return time.perf_counter() - began


async def _edits(session: Session, uri: str, times: int) -> list[float]:
    taken = []
    for number in range(times):
        place = {"line": 11 * (7 * number % 90), "character": 0}
        session.change_document(uri, [{"range": {"start": place, "end": place}, "text": f"Now {number} "}])
        taken.append(await _pull(session, uri))
    return taken
