"""`inkling bench`: `complete` is here; `load` and `capacity` have files of their own.

`inkling bench complete [PATH]`: how well completion does on your own repository, per model and quantization.

Takes pieces out of real files, asks a real language server for ghost text at the gap, and compares. What is shown,
held back and how late is therefore what an editor would see, manners included. A recommendation closes the table.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inkling.cli import bench_capacity, bench_load
from inkling.cli.holes import KINDS, Hole, edit_similarity, is_exact, is_right_so_far, punch, source_files
from inkling.cli.model_name import model_name
from inkling.cli.render import ghost_text
from inkling.cli.session import ServerError, Session
from inkling.cli.tour import LANGUAGES
from inkling.errors import InklingError

CODE = tuple(suffix for suffix, language in LANGUAGES.items() if language not in ("markdown", "plaintext"))
QUANTIZATIONS = ("auto", "none", "int8", "int4", "nf4")
LONGEST_LOAD_S = 600
MOST_TRIED = 20
"""Holes at which the model is waited for."""
USABLE_MS = 500
"""A suggestion later than this has mostly been typed past; recommendations leave such choices out."""
WAITING = ("engine-slow", "engine-starting", "timed-out")
"""Reasons that end by themselves."""


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "bench", help="quality on your own repository, load, capacity"
    )
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    complete = what.add_parser("complete", help="ghost text, by taking pieces out of real files")
    complete.add_argument("path", nargs="?", type=Path, default=Path(), help="a repository (default: here)")
    complete.add_argument("--model", type=model_name, action="append", help="may be repeated (default: starter:code)")
    complete.add_argument(
        "--quantization", action="append", choices=QUANTIZATIONS, help="may be repeated (default: auto)"
    )
    complete.add_argument("--holes", type=int, default=60, help="how many pieces (default: %(default)s)")
    complete.add_argument("--kind", action="append", choices=KINDS, help="may be repeated (default: all)")
    complete.add_argument("--seed", type=int, default=0, help="another sample of the same files")
    complete.add_argument("--min-confidence", type=float, help="show more or less than the default does")
    complete.add_argument("--json", action="store_true", help="one object per choice")
    bench_load.add_parser(what)
    bench_capacity.add_parser(what)


def run(args: argparse.Namespace) -> int:
    """Print a table, or JSON; 1 when a choice could not be measured."""
    if args.what == "load":
        return bench_load.run(args)
    if args.what == "capacity":
        return bench_capacity.run(args)
    root = args.path.resolve()
    if not root.is_dir():
        raise InklingError("not-a-folder", f"{args.path} is not a folder.", "Name a code repository.")
    if args.holes < 1:
        raise InklingError("no-holes", "--holes must be at least 1.")
    files = source_files(root, CODE)
    holes = list(punch(files, args.holes, kinds=args.kind or KINDS, seed=args.seed))
    if not holes:
        raise InklingError("no-source", f"{args.path} holds no source files to measure on.", "Name a code repository.")
    results = []
    for model, quantization in itertools.product(args.model or ["starter:code"], args.quantization or ["auto"]):
        settings: dict[str, Any] = {"model": model, "quantization": quantization}
        if args.min_confidence is not None:
            settings["min_confidence"] = args.min_confidence
        if not args.json:
            print(f"{model} ({quantization}): {len(holes)} holes in {len(files)} files …", file=sys.stderr)
        results.append(asyncio.run(measure(root, holes, settings)))
    if args.json:
        for result in results:
            print(json.dumps(asdict(result) | result.summary()))
    else:
        _print(results)
    return int(any(result.error for result in results))


@dataclass
class Result:
    """What one model did. Times in ms, similarity 0 to 1, memory in bytes of the weights and idle sequences."""

    model: str
    quantization: str
    asked: int = 0
    shown: int = 0
    exact: int = 0
    right: int = 0
    similarity: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    model_bytes: int = 0
    error: str = ""

    def summary(self) -> dict[str, float]:
        """Rates over everything asked, and over what was shown: `precision` is right as far as shown."""
        return {
            "exact_rate": self.exact / max(1, self.asked),
            "precision": self.right / max(1, self.shown),
            "edit_similarity": sum(self.similarity) / max(1, self.asked),
            "shown_similarity": statistics.fmean(self.similarity) if self.similarity else 0.0,
            "suppressed_rate": 1 - self.shown / max(1, self.asked),
            "first_ms_p50": statistics.median(self.first_ms) if self.first_ms else 0.0,
        }


async def measure(root: Path, holes: list[Hole], settings: dict[str, Any]) -> Result:
    """One server, one model, all holes."""
    result = Result(settings["model"], settings["quantization"])
    async with Session.open(
        root, settings={"complete": settings, "server": {"enabled_plugins": ["complete"]}}
    ) as session:
        await _loaded(session, holes, result)
        for hole in () if result.error else holes:
            uri = hole.path.as_uri()
            session.open_document(uri, LANGUAGES[hole.path.suffix], hole.before + hole.after)
            try:
                await _ask(session, uri, hole, result)
            except ServerError as error:
                result.error = str(error)
                break
            finally:
                session.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        mine = await _models(session, result)
        result.model_bytes = sum(model["bytes"] for model in mine)
        result.error = result.error or next((model["error"] for model in mine if model["error"]), "")
    return result


async def _loaded(session: Session, holes: list[Hole], result: Result) -> None:
    """Ask until the model is loaded, so that no figure is that of a wait; `result.error` says why it is not.

    A hole for which no model is asked (a copy will do) leaves it to the next one.
    """
    until = time.monotonic() + LONGEST_LOAD_S
    for hole in holes[:MOST_TRIED]:
        uri = hole.path.as_uri()
        session.open_document(uri, LANGUAGES[hole.path.suffix], hole.before + hole.after)
        try:
            while not result.error and await _waits(session, uri, hole, result):
                if time.monotonic() > until:
                    result.error = f"not loaded within {LONGEST_LOAD_S} s"
                await asyncio.sleep(0.2)
        except ServerError as error:
            result.error = str(error)
        finally:
            session.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        models = await _models(session, result)
        if result.error or any(model["state"] == "ready" for model in models):
            return


async def _waits(session: Session, uri: str, hole: Hole, result: Result) -> bool:
    """Ask at the hole; whether the answer was only that the model is not there yet."""
    await session.request("textDocument/inlineCompletion", _request(uri, hole))
    result.error = next((model["error"] for model in await _models(session, result) if model["error"]), "")
    reasons = (await session.request("inkling/status", {})).get("reasons", [])
    mine = [entry["reason"] for entry in reasons if entry.get("uri") == uri]
    return bool(mine) and mine[-1] in WAITING


async def _models(session: Session, result: Result) -> list[dict[str, Any]]:
    engine = (await session.request("inkling/status", {})).get("engine") or {}
    return [model for model in engine.get("models", []) if model["id"] == result.model]


def _request(uri: str, hole: Hole) -> dict[str, Any]:
    line = hole.before.count("\n")
    position = {"line": line, "character": len(hole.before) - hole.before.rfind("\n") - 1}
    return {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": 2}}


async def _ask(session: Session, uri: str, hole: Hole, result: Result) -> None:
    params = _request(uri, hole)
    began = time.perf_counter()
    first: float | None = None
    shown = ""

    def grow(value: Any) -> None:
        nonlocal first, shown
        shown = ghost_text(value) or shown  # after partial results the reply itself is empty
        if first is None and shown:
            first = time.perf_counter() - began

    grow(await session.request("textDocument/inlineCompletion", params, on_partial=grow))
    result.asked += 1
    if not shown:
        status = await session.request("inkling/status", {})
        mine = [reason["reason"] for reason in status.get("reasons", []) if reason.get("uri") == uri]
        reason = mine[-1] if mine else "nothing-generated"
        result.reasons[reason] = result.reasons.get(reason, 0) + 1
        return
    result.shown += 1
    result.exact += is_exact(shown, hole.expected)
    result.right += is_right_so_far(shown, hole.expected)
    result.similarity.append(edit_similarity(shown, hole.expected))
    if first is not None:
        result.first_ms.append(first * 1000)


def recommend(results: list[Result]) -> Result | None:
    """The best exact rate among those that answer in time; None when none showed anything."""
    usable = [result for result in results if result.shown and result.summary()["first_ms_p50"] <= USABLE_MS]
    return max(usable, key=lambda result: result.summary()["exact_rate"], default=None)


def _print(results: list[Result]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    columns = ("model", "quantization", "exact", "right so far", "similarity", "suppressed", "first text p50", "memory")
    for name in columns:
        table.add_column(name, justify="left" if name in columns[:2] else "right")
    for result in results:
        figures = result.summary()
        table.add_row(
            result.model,
            result.quantization,
            f"{figures['exact_rate']:.1%}",
            f"{figures['precision']:.1%}",
            f"{figures['shown_similarity']:.2f}",
            f"{figures['suppressed_rate']:.0%}",
            f"{figures['first_ms_p50']:.0f} ms" if result.first_ms else "–",
            f"{result.model_bytes / 1e6:,.0f} MB",
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(
        "exact: whole line, of all holes · right so far, similarity: of what was shown · suppressed: of all holes",
        style="bright_black",
        highlight=False,
    )
    for result in results:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(result.reasons.items(), key=lambda x: -x[1]))
        if reasons:
            console.print(f"Held back by {result.model}: {reasons}", highlight=False, markup=False)
        if result.error:
            console.print(f"{result.model}: {result.error}", style="red", highlight=False, markup=False)
    best = recommend(results)
    if best is not None and len(results) > 1:
        words = f"Best of these here: {best.model} with {best.quantization}."
        console.print(words, highlight=False, markup=False)
