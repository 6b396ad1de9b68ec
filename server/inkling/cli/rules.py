"""`inkling rules [PATH]`: the rules in force, what they read there, and why some are off."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.settings import Problem


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "rules", help="list the rules", description="Exit status: 0, or 1 when a rule or its model cannot be used."
    )
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="a file to explain them for, or a folder")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--trust", action="store_true", help="take the folder's settings as your own: any model, say")


def run(args: argparse.Namespace) -> int:
    """Print a block per rule, then what is wrong with the settings."""
    rules, left_out, problems = asyncio.run(_rules(args))
    for rule in rules:
        rule["model_problem"] = _model_problem(rule) if rule["state"] == "on" else ""
        if rule["model_problem"]:
            rule["state"] = "off"
    if args.json:
        told = [str(problem) for _, problem in left_out]
        print(json.dumps({"rules": rules, "problems": [*told, *map(str, problems)]}, indent=1))
    else:
        _print(rules, left_out)
        for problem in problems:
            print(f"inkling rules: {problem}", file=sys.stderr)
    return int(bool(left_out or problems) or any(rule["model_problem"] for rule in rules))


async def _rules(
    args: argparse.Namespace,
) -> tuple[list[dict[str, str]], list[tuple[str, Problem]], list[Problem]]:
    """The rules in force; what is wrong with others, by their names; and what is wrong besides."""
    from inkling.check.files import documents, find_root, placed
    from inkling.check.session import open_session
    from inkling.engine.client import connect
    from inkling.settings import load_for
    from inkling.settings.named import item_name
    from inkling.text.snapshot import Snapshot

    path = placed(args.path or Path())
    root = find_root([path])
    loaded = load_for(root, trusted=args.trust)
    async with open_session(root, loaded, connect) as session:
        snapshot = None
        if not path.is_dir():
            snapshot = next(documents([path], session.hidden, session.server.max_document_size), None)
            if not isinstance(snapshot, Snapshot):
                why = snapshot.detail if snapshot else "Settings hide it (server.exclude, server.secret_files)."
                raise InklingError("no-text", f"{path} is read by no rule: {why}")
        found = session.host.named("command", "rules.list", "rules")
        problems = [problem for problem in session.problems if _is_about_rules(problem.key)]
        if found is None:
            raise InklingError("no-plugin", "The plugin `rules` is switched off.", "See server.disabled_plugins.")
        outcome = await session.host.call(*found, (snapshot, None), str, timeout_s=60.0, keywords={"as_json": True})
        if outcome.error is not None:
            raise outcome.error
        named = [(item_name(loaded.sources, problem), problem) for problem in problems]
        left_out = [(name, problem) for name, problem in named if name]
        return list(json.loads(outcome.items[0])), left_out, [problem for name, problem in named if not name]


def _is_about_rules(key: str) -> bool:
    return key.partition(".")[0].partition("[")[0] in ("", "rule", "rules")


def _model_problem(rule: dict[str, str]) -> str:
    from inkling.engine.models.catalog import resolve_for

    try:
        resolve_for(rule["model"], rule["task"])
    except InklingError as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def _print(rules: list[dict[str, str]], left_out: list[tuple[str, Problem]]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    if not left_out and all(rule["name"].startswith("[") for rule in rules):
        console.print(
            "There are no rules here. Add a table [[rule]] to inkling.toml; docs/rules.md says how.", markup=False
        )
    for rule in rules:
        bad = rule["model_problem"]
        mark, style = ("✗", "red") if bad else ("✓", "green") if rule["state"] == "on" else ("·", "bright_black")
        why = f" ({rule['why']})" if rule["why"] and not bad else ""
        console.print(Text.assemble((mark, style), f" {rule['name']}: {rule['state']}{why}"))
        console.print(f"    {rule['task']} with {rule['model']}, on {rule['on']}", markup=False)
        console.print(f"    as {rule['surface']}, when {rule['when']}; from {rule['origin']}", markup=False)
        if bad:
            console.print(Text(f"    {bad}", style="yellow"))
    for name in dict.fromkeys(name for name, _ in left_out):
        console.print(Text.assemble(("✗", "red"), f" {name}: left out"))
        for _, problem in (item for item in left_out if item[0] == name):
            console.print(Text(f"    {problem}", style="yellow"))
