"""`inkling bench load`: developers who type, against any engine, and what they waited for."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from inkling.cli.holes import source_files
from inkling.cli.load_developer import Developer, Tally, Work
from inkling.cli.load_target import AtUrl, SharedEngine, Target, checked_url, token_from
from inkling.cli.model_name import model_name
from inkling.cli.tour import LANGUAGES, samples
from inkling.cli.typist import Habits, strokes
from inkling.engine.protocol import EngineStatus, GenerateRequest, Priority
from inkling.errors import InklingError

MOST_DEVELOPERS, MOST_SECONDS, MOST_REQUESTS = 1000, 3600, 200_000
_ALONE = 15
"""Requests of each kind that are timed one after the other before the load, when nobody waits."""


def add_parser(what: Any) -> None:
    """Describe the arguments."""
    load = what.add_parser("load", help="developers who type, against a shared engine, a cluster or a remote one")
    load.add_argument("path", nargs="?", type=Path, help="code to type (default: the tour's samples)")
    load.add_argument("--url", default="", help="a cluster or server (default: the shared engine of this machine)")
    load.add_argument("--token-env", default="INKLING_CLUSTER_TOKEN", metavar="NAME", help="holds its token")
    load.add_argument("--mine", action="store_true", help="the machine at --url is yours to load")
    load.add_argument("--developers", type=int, default=4, help="how many type at once (default: %(default)s)")
    load.add_argument("--seconds", type=float, default=60.0, help="for how long (default: %(default)s)")
    load.add_argument("--requests", type=int, default=20_000, help="the most that are sent (default: %(default)s)")
    load.add_argument("--model", type=model_name, default="starter:code", help="for completion (default: %(default)s)")
    load.add_argument("--classifier", default="starter:debt", help="for diagnostics (default: %(default)s)")
    load.add_argument("--max-tokens", type=int, default=24, help="of one suggestion (default: %(default)s)")
    load.add_argument("--fill-in-middle", action="store_true", help="the model sees the text below, too")
    load.add_argument("--seed", type=int, default=0, help="other developers, other places")
    load.add_argument("--json", action="store_true", help="for `inkling bench capacity`")


def run(args: argparse.Namespace) -> int:
    """Print what happened; 1 when every request failed."""
    for value, most, name in (
        (args.developers, MOST_DEVELOPERS, "--developers"),
        (args.seconds, MOST_SECONDS, "--seconds"),
        (args.requests, MOST_REQUESTS, "--requests"),
    ):
        if not 0 < value <= most:
            raise InklingError("out-of-range", f"{name} is more than 0 and at most {most}.")
    url = checked_url(args.url, mine=args.mine) if args.url else ""
    report = asyncio.run(measure(args, url, texts_of(args.path)))
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print(describe(report))
    return int(report["answered"] == 0)


def texts_of(path: Path | None) -> list[str]:
    """What is typed."""
    suffixes = [suffix for suffix, language in LANGUAGES.items() if language != "plaintext"]
    files = [path] if path is not None and path.is_file() else source_files(path or samples(), suffixes)
    texts = []
    for file in files[:500]:
        with suppress(OSError, ValueError):
            texts.append(file.read_text("utf-8"))
    texts = [text for text in texts if len(text) > 400]
    if not texts:
        raise InklingError("no-source", f"{path or samples()} holds no text to type.", "Name a code repository.")
    return texts


async def measure(args: argparse.Namespace, url: str, texts: Sequence[str]) -> dict[str, Any]:
    """First each kind of request alone, then the load."""
    token = token_from(args.token_env) if url else ""
    chance = random.Random(args.seed)  # noqa: S311
    work = Work(args.model, args.classifier, args.max_tokens, args.requests, args.fill_in_middle)
    tally = Tally()
    targets: list[Target] = []
    try:
        targets += [AtUrl(url, token) if url else SharedEngine() for _ in range(args.developers)]
        alone = await _alone(targets[0], work, texts[0])
        before = await _status(targets[0])
        habits = Habits()
        developers = [
            Developer(f"load-{args.seed}-{n}", target, text, chance.randrange(len(text) - 200), work, tally)
            for n, target in enumerate(targets)
            for text in [chance.choice(texts)]
        ]
        began = time.monotonic()
        async with asyncio.timeout(args.seconds + 30):
            tasks = [
                asyncio.create_task(one.type(strokes(args.seed * 10_007 + n, habits), habits.diagnostics_pause_s))
                for n, one in enumerate(developers)
            ]
            await asyncio.wait(tasks, timeout=args.seconds)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result
        seconds = time.monotonic() - began
        return _report(args, tally, alone, seconds, before, await _status(targets[0]))
    finally:
        await asyncio.gather(*(target.close() for target in targets))


async def _status(target: Target) -> EngineStatus | None:
    try:
        return await target.status()
    except InklingError:
        return None


async def _alone(target: Target, work: Work, text: str) -> dict[str, list[float]]:
    """Service times in seconds: of a completion in a document never seen, of one more key in it, of diagnostics."""
    times: dict[str, list[float]] = {"cold": [], "warm": [], "diagnostics": []}
    length = max(200, min(3000, len(text) - 100))
    for number in range(-1, _ALONE):  # the first loads the models
        # A number at the top: no other document's prefix fits.
        prompt = f"# {number} {os.getpid()} {time.monotonic_ns()}\n{text}"[:length]
        for kind, given in (("cold", prompt), ("warm", text_on(prompt, text, length))):
            began = time.monotonic()
            request = GenerateRequest(
                work.lm,
                given,
                max_tokens=work.max_tokens,
                stop=("\n\n",),
                cache_key=f"alone-{number}",
                priority=Priority.COMPLETION,
            )
            async with aclosing(target.generate(request)) as chunks:
                async for _chunk in chunks:
                    pass
            times[kind].append(time.monotonic() - began)
        began = time.monotonic()
        await target.classify(text.strip().splitlines()[:2], work.classifier)
        times["diagnostics"].append(time.monotonic() - began)
    return {kind: [round(second, 5) for second in found[1:]] for kind, found in times.items()}


def text_on(prompt: str, text: str, length: int) -> str:
    """The prompt with a few more characters typed."""
    return prompt + text[length : length + 3]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all lie at or below; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _ms(values: Sequence[float]) -> dict[str, float]:
    return {f"p{n}": round(1000 * percentile(values, n / 100), 1) for n in (50, 95, 99)}


def _report(
    args: argparse.Namespace,
    tally: Tally,
    alone: dict[str, list[float]],
    seconds: float,
    before: EngineStatus | None,
    after: EngineStatus | None,
) -> dict[str, Any]:
    hours = args.developers * seconds / 3600
    reused = prefilled = 0
    if before is not None and after is not None:
        reused = int(after.extra.get("reused_tokens", 0)) - int(before.extra.get("reused_tokens", 0))
        prefilled = after.prefill_tokens - before.prefill_tokens
    return {
        "target": args.url or "shared engine",
        "model": args.model,
        "classifier": args.classifier,
        "cores": None if args.url else os.cpu_count(),
        "developers": args.developers,
        "seconds": round(seconds, 1),
        "seed": args.seed,
        "keys": tally.keys,
        "completions": tally.completions,
        "diagnostics": tally.diagnostics,
        "answered": tally.finished + len(tally.diagnostics_s),
        "requests_per_developer_hour": round(tally.requests / hours),
        "keys_per_developer_hour": round(tally.keys / hours),
        "cancelled_share": round(tally.cancelled / max(1, tally.completions), 3),
        "unseen_share": round(tally.unseen / max(1, tally.completions), 3),
        "accepted": tally.accepted,
        "from_memory_share": round(tally.from_memory / max(1, tally.keys), 3),
        "prefix_reuse_share": round(reused / max(1, reused + prefilled), 3),
        "first_text_ms": _ms(tally.first_s),
        "whole_ms": _ms(tally.whole_s),
        "diagnostics_ms": _ms(tally.diagnostics_s),
        "errors": dict(tally.errors),
        "service_s": alone,
    }


def describe(report: dict[str, Any]) -> str:
    """For a terminal."""

    def times(name: str) -> str:
        return " · ".join(f"{key} {value:g}" for key, value in report[name].items()) + " ms"

    errors = ", ".join(f"{reason} {count}" for reason, count in report["errors"].items()) or "none"
    return "\n".join(
        [
            f"{report['developers']} developers for {report['seconds']:g} s on {report['target']}, {report['model']}",
            f"  keys                  {report['keys']}, {report['from_memory_share']:.0%} of them served from memory",
            f"  completions           {report['completions']}, {report['cancelled_share']:.0%} cancelled by the next key "  # noqa: E501
            f"({report['unseen_share']:.0%} before any text), {report['accepted']} accepted",
            f"  diagnostics           {report['diagnostics']}",
            f"  per developer-hour    {report['requests_per_developer_hour']} requests",
            f"  prefix cache          {report['prefix_reuse_share']:.0%} of prompt tokens",
            f"  first text            {times('first_text_ms')}",
            f"  whole suggestion      {times('whole_ms')}",
            f"  diagnostics           {times('diagnostics_ms')}",
            f"  errors                {errors}",
        ]
    )
