"""`python -m bench [AREA …] [--quick]`: run the measurements, print the table, write bench/results.json.

An area is a module of this package with a function `rows(quick: bool) -> list[Row]`. Areas run one after the other,
each in its own process, so that none inherits another's imports, threads or memory; one that fails is named and the
rest go on.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.row import Row

AREAS = (
    "lsp",
    "text",
    "engine",
    "completion",
    "copies",
    "classify",
    "check",
    "starters",
    "starter_classifiers",
    "summaries",
    "search",
    "editors",
)
RESULTS = Path(__file__).with_name("results.json")
MARK = "rows: "


def main() -> int:
    """Run the areas named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("areas", nargs="*", default=AREAS, help=f"of {', '.join(AREAS)}")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.in_process:
        print(MARK + json.dumps(measure(args.areas[0], args.quick)))
        return 0
    console = Console(width=None if sys.stdout.isatty() else 140)
    rows: list[Row] = []
    failed: list[str] = []
    for area in args.areas:
        began = time.perf_counter()
        with console.status(f"{area} …"):
            found = _in_own_process(area, args.quick)
        console.print(f"{area}: {'failed' if found is None else len(found)} in {time.perf_counter() - began:.0f} s")
        failed += [area] if found is None else []
        rows += found or []
    console.print(_table(rows))
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and tuple(args.areas) != AREAS else {}
    known |= {row["name"]: {key: row[key] for key in row if key != "name"} for row in rows}  # type: ignore[literal-required]
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    console.print(f"{len(rows)} figures on {_machine()}, written to {RESULTS.name}.")
    if failed:
        console.print(f"[red]Failed: {', '.join(failed)}[/red]")
    return int(bool(failed))


def measure(area: str, quick: bool) -> list[Row]:
    """Run one area here."""
    rows = importlib.import_module(f"bench.{area}").rows
    return list(rows(quick) if inspect.signature(rows).parameters else rows())


def _in_own_process(area: str, quick: bool) -> list[Row] | None:
    command = [sys.executable, "-m", "bench", area, "--in-process", *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    marked = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return json.loads(marked[-1].removeprefix(MARK)) if done.returncode == 0 and marked else None


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("figure", "ours", "unit", "peer", "peer's", "ours / peer's", "better"):
        table.add_column(name, justify="right" if name in ("ours", "peer's", "ours / peer's") else "left")
    for row in rows:
        peer_value = "" if row["peer_value"] is None else _number(row["peer_value"])
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}"
        table.add_row(row["name"], _number(row["value"]), row["unit"], row["peer"], peer_value, ratio, row["better"])
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
