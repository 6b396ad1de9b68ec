"""`inkling models recommend` and `inkling models pull`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict

from inkling.cli.models_common import USED_BY, print_table, size
from inkling.engine.models import pull
from inkling.engine.protocol import Task
from inkling.errors import InklingError

REPORT_S = 0.3
"""Between two reports of a download to a program."""


def add_actions(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Describe the arguments."""
    advising = action("recommend", "hub models that suit this machine; fetches nothing")
    advising.add_argument("tasks", nargs="*", metavar="TASK", help="default: all tasks")
    pulling = action("pull", "download a model from a hub: safetensors, tokenizer and configuration only")
    pulling.add_argument("model", metavar="ID", help="org/name or org/name@revision")
    pulling.add_argument("--yes", action="store_true", help="do not ask before downloading")
    pulling.add_argument("--force", action="store_true", help="download again what is here already")
    pulling.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)  # for the language server
    pulling.add_argument("--token", action="store_true", help="send your saved access token, for private models")
    pulling.add_argument("--endpoint", metavar="URL", help="another hub (default: HF_ENDPOINT or huggingface.co)")


def run_recommend(args: argparse.Namespace) -> int:
    """Print the recommendations for this machine."""
    from inkling.engine.models import recommend

    for task in args.tasks:
        if task not in list(Task):
            raise InklingError("bad-task", f'"{task[:60]}" is not a task.', f"Tasks: {', '.join(Task)}.")
    machine = recommend.this_machine()
    advice = recommend.recommend(machine, args.tasks)
    if args.json:
        rows = [{**asdict(one.candidate), **asdict(one), "candidate": None} for one in advice]
        for row in rows:
            del row["candidate"]
        print(json.dumps({"machine": asdict(machine), "models": rows}, indent=1))
        return 0
    gpu = f"{machine.gpu} with {size(machine.gpu_memory)} free" if machine.gpu else "no GPU"
    print(f"{size(machine.memory)} of memory free, {machine.cores} cores, {gpu}, {size(machine.disk)} of disk free\n")
    words = {"good": "good", "slow": "slow here", "needs-memory": "too large", "needs-disk": "no disk space"}
    print_table(
        ("task", "model", "download", "memory", "here", "licence, languages, use"),
        [
            (
                one.candidate.task,
                one.candidate.id,
                "installed" if one.installed else size(one.candidate.download_mb * 1_000_000),
                size(one.needs) + ("" if one.quantization == "none" else f" as {one.quantization}"),
                words[one.verdict],
                f"{one.candidate.licence}; {one.candidate.languages}; {one.candidate.note}",
            )
            for one in advice
        ],
    )
    print("\nSizes are approximate. `inkling models pull MODEL` tells the exact one and asks before it downloads.")
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Ask, download, verify."""
    plan = pull.plan(args.model, endpoint=args.endpoint, use_token=args.token)
    missing = plan.bytes if args.force else plan.missing_bytes
    question = (
        f"Download {size(missing)} in {len(plan.files)} files from {plan.endpoint} "
        f"({plan.id}, licence: {plan.licence or 'not stated'})?"
    )
    if args.steps:
        return _pull_in_steps(plan, question)
    if missing and not args.yes:
        _ask(question)
    source = pull.fetch(plan, use_token=args.token, force=args.force, quiet=args.json)
    if args.json:
        report = {"id": source.id, "path": str(source.path), "bytes": source.bytes, "commit": plan.commit}
        print(json.dumps({**report, "tasks": [str(task) for task in source.tasks]}))
        return 0
    print(f"{source.id} is here and whole: {size(source.bytes)}, for {', '.join(source.tasks) or 'no known task'}.")
    if usable := [task for task in source.tasks if task in USED_BY]:
        print(f"Run `inkling models use {usable[0]} {source.id}` to put it to work.")
    return 0


def _pull_in_steps(plan: pull.Plan, question: str) -> int:
    """As a program drives it: a line of JSON with the question, answered by a line "yes" unless all is here; lines with
    the bytes that are here and that are wanted; one with the model. Ends when nobody reads it any more.
    """
    if plan.missing_bytes:
        _say({"question": question})
        if sys.stdin.readline().strip() != "yes":
            raise InklingError("not-confirmed", "Nothing was downloaded.")
    ended = threading.Event()
    reporting = threading.Thread(target=_report, args=(plan, ended), daemon=True)
    reporting.start()
    try:
        source = pull.fetch(plan, quiet=True)
    finally:
        ended.set()
        reporting.join()  # two lines at a time would be none
    _say({"id": source.id, "bytes": source.bytes, "tasks": [str(task) for task in source.tasks]})
    return 0


def _report(plan: pull.Plan, ended: threading.Event) -> None:
    here = 0
    while not ended.wait(REPORT_S):
        here = max(here, pull.bytes_here(plan))
        try:
            _say({"here": here, "of": plan.bytes})
        except OSError:  # the reader has gone
            os._exit(1)


def _say(step: dict[str, object]) -> None:
    print(json.dumps(step), flush=True)


def _ask(question: str) -> None:
    """Raises InklingError `not-confirmed` unless a person says yes."""
    if not sys.stdin.isatty():
        raise InklingError("not-confirmed", "Nothing was downloaded.", "Give --yes to download without being asked.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InklingError("not-confirmed", "Nothing was downloaded.")
