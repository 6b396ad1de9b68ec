"""The edge: start, hover and cancel, beside a bare pygls server, jedi-language-server and ruff server.

Every server is driven by the same client over stdio, in turns, so that noise on the machine meets all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from ruff import find_ruff_bin

from bench.row import Row, row
from inkling.cli.session import SERVER, ServerError, Session

BARE_PYGLS = """
from lsprotocol import types
from pygls.lsp.server import LanguageServer
server = LanguageServer("bare", "1")
@server.feature(types.TEXT_DOCUMENT_HOVER)
def hover(params):
    document = server.workspace.get_text_document(params.text_document.uri)
    word = document.word_at_position(params.position)
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, word or "none"))
server.start_io()
"""
PYGLS = (sys.executable, "-c", BARE_PYGLS)
JEDI = Path(__file__).parents[1] / ".cache" / "jedi"
"""See install_jedi.sh."""
RUN_JEDI = f"import sys; sys.path.insert(0, {str(JEDI)!r}); from jedi_language_server.cli import cli; cli()"
LINES = 5_000
BLOCK = '''def compute_{n}(first: int, second: int) -> int:
    """Add two numbers and remember the result."""
    total = first + second + {n}
    results = [total, first, second]
    return sum(results)
'''


def rows(quick: bool = False) -> list[Row]:
    """One row per figure and peer."""
    return asyncio.run(_rows(quick))


async def _rows(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "inkling.toml").write_text("")
        return [
            *await _start_rows(root, 3 if quick else 15),
            *await _hover_rows(root, 60 if quick else 400),
            *await _cancel_rows(root, 3 if quick else 12),
        ]


@contextlib.asynccontextmanager
async def _session(root: Path, command: Sequence[str], *, engine: bool = False) -> AsyncIterator[Session]:
    settings: dict[str, Any] = {"server": {"start_engine": engine}}
    if engine:  # long streams, whatever the model thinks of them, and nobody else's work in the engine
        settings["server"]["enabled_plugins"] = ["complete"]
        settings["complete"] = {"min_confidence": 0.0, "multi_line": "always", "copy": False, "max_tokens": 512}
    async with Session.open(root, command=command, settings=settings if command is SERVER else {}) as session:
        yield session


# -- start


async def _start_rows(root: Path, times: int) -> list[Row]:
    to_reply: dict[str, list[float]] = {"ours": [], "peer": []}
    to_hover: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(times):
        for who, command in (("ours", SERVER), ("peer", PYGLS)):
            began = perf_counter()
            async with _session(root, command) as session:
                to_reply[who].append(perf_counter() - began)
                await _hover(session, _open(session, root, 10), 1)
                to_hover[who].append(perf_counter() - began)
    return [
        row(
            f"lsp/start to {what}",
            statistics.median(found["ours"]) * 1000,
            "ms",
            better="less",
            peer="bare pygls",
            peer_value=statistics.median(found["peer"]) * 1000,
        )
        for what, found in (("initialize reply", to_reply), ("first hover", to_hover))
    ]


# -- hover


async def _hover_rows(root: Path, times: int) -> list[Row]:
    peers = _installed_peers()
    found: dict[str, list[float]] = {name: [] for name in ("ours", "ours after an edit", *peers)}
    async with contextlib.AsyncExitStack() as stack:
        sessions = {
            name: await stack.enter_async_context(_session(root, command))
            for name, command in {"ours": SERVER, **peers}.items()
        }
        uris = {name: _open(session, root, LINES) for name, session in sessions.items()}
        for name, session in sessions.items():
            for line in range(20):  # the first ones load things
                await _hover(session, uris[name], line * 5)
        chosen = random.Random(1)  # places to look at, no secrets
        for _ in range(times):
            line = chosen.randrange(LINES)
            for name, session in sessions.items():
                found[name].append(await _hover(session, uris[name], line))
        ours = sessions["ours"]  # after all of the others: nobody else has edits to digest while it is asked
        for _ in range(times):
            line = chosen.randrange(LINES)
            place = {"line": line, "character": 0}
            ours.change_document(uris["ours"], [{"range": {"start": place, "end": place}, "text": " "}])
            found["ours after an edit"].append(await _hover(ours, uris["ours"], chosen.randrange(LINES)))
    result = []
    for figure, share in (("p50", 0.50), ("p99", 0.99)):
        name = f"lsp/hover {figure}, {LINES:,} lines"
        times_ms = {who: _quantile(took, share) * 1000 for who, took in found.items()}
        result += [
            row(f"{name}, beside {peer}", times_ms["ours"], "ms", better="less", peer=peer, peer_value=times_ms[peer])
            for peer in peers
        ]
        result.append(row(f"{name}, just after an edit", times_ms["ours after an edit"], "ms", better="less"))
    return result


def _installed_peers() -> dict[str, Sequence[str]]:
    """Those that are not here are named."""
    ruff = find_ruff_bin()
    peers: dict[str, Sequence[str]] = {"bare pygls": PYGLS, "ruff server": (ruff, "server")}
    if (JEDI / "jedi_language_server").is_dir():
        peers["jedi-language-server"] = (sys.executable, "-c", RUN_JEDI)
    else:
        print("lsp: jedi-language-server is not here (bench/install_jedi.sh), so not in the table", file=sys.stderr)
    return peers


def _open(session: Session, root: Path, lines: int) -> str:
    path = root / f"bench_{lines}.py"
    text = "".join(BLOCK.format(n=number) for number in range(lines // 5))
    path.write_text(text)
    session.open_document(path.as_uri(), "python", text)
    return path.as_uri()


async def _hover(session: Session, uri: str, line: int) -> float:
    params = {"textDocument": {"uri": uri}, "position": {"line": line, "character": 8}}
    began = perf_counter()
    await session.request("textDocument/hover", params)
    return perf_counter() - began


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# -- cancel


async def _cancel_rows(root: Path, times: int) -> list[Row]:
    """From `$/cancelRequest` to an engine without work, by its own counters, asked for again and again.

    In the middle of text that is being written into the document, and of ghost text, whose stream a cancelled request
    leaves to the next key on purpose, for 0.25 s (`complete.py`).
    """
    result = []
    async with _session(root, SERVER, engine=True) as session:
        for what, start in (("writing", _writing), ("ghost text, kept 250 ms for the next key", _ghost_text)):
            if to_idle := await _times_to_idle(session, root, start, times):
                ms = statistics.median(to_idle) * 1000
                result.append(row(f"lsp/cancel to idle engine, {what}", ms, "ms", better="less"))
    return result


async def _times_to_idle(session: Session, root: Path, start: _Start, times: int) -> list[float]:
    """Seconds, of up to `times` attempts; the first one loads things and is left out."""
    to_idle: list[float] = []
    for number in range(6 + 2 * times):  # the first ones wait for the model; some places get no text
        try:
            work = await start(session, _open_unfinished(session, root, number))
        except (ServerError, TimeoutError) as error:
            print(f"lsp: no text: {error}", file=sys.stderr)
            continue
        began = perf_counter()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        while (await session.request("inkling/status", {}))["engine"]["active_requests"]:
            pass
        to_idle.append(perf_counter() - began)
        if len(to_idle) > times:
            break
    return to_idle[1:]


def _open_unfinished(session: Session, root: Path, number: int) -> str:
    """A document that ends where text is wanted: none behind it, which a suggestion might only repeat."""
    path = root / f"unfinished_{number}.py"
    text = "".join(BLOCK.format(n=100 * number + block) for block in range(40))
    session.open_document(path.as_uri(), "python", f"{text}def gather_{number}(first: int, second: int) -> int:\n    ")
    return path.as_uri()


_Start = Callable[[Session, str], Awaitable[asyncio.Task[Any]]]
_PLACE = {"line": 40 * 5 + 1, "character": 4}
"""The end of an unfinished document."""


async def _ghost_text(session: Session, uri: str) -> asyncio.Task[Any]:
    """Ask for ghost text and return once its first piece is here."""
    params = {"textDocument": {"uri": uri}, "position": _PLACE, "context": {"triggerKind": 1}}
    return await _begun(
        lambda tell: session.request("textDocument/inlineCompletion", params, on_partial=lambda value: tell())
    )


async def _writing(session: Session, uri: str) -> asyncio.Task[Any]:
    """Have text written into the document and return once its first words are there."""

    async def write(tell: Callable[[], None]) -> Any:
        params = {"command": "inkling.continue_writing", "arguments": [{"uri": uri, "position": _PLACE}]}
        work = asyncio.create_task(session.request("workspace/executeCommand", params))
        before = len(session.applied_edits)
        try:
            while not work.done() and len(session.applied_edits) == before:
                await session.request("inkling/status", {})
            tell()
            return await work
        finally:
            work.cancel()

    return await _begun(write)


async def _begun(ask: Callable[[Callable[[], None]], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
    """The task of a request, once it has told that its text is coming."""
    began = asyncio.Event()
    work = asyncio.create_task(ask(began.set))
    first = asyncio.create_task(began.wait())
    done, _ = await asyncio.wait({work, first}, timeout=120, return_when=asyncio.FIRST_COMPLETED)
    if first not in done or work.done():
        first.cancel()
        work.cancel()
        raise TimeoutError("none came")
    return work
