"""`inkling bench capacity`: how many replicas a team needs, from what `inkling bench load --json` measured.

Developers type as `typist` says; every key that is not served from memory is a request, given up at the next key as the
completion plugin does; the pool is `engine/cluster/simulate`. The answer is the fewest replicas whose waits stay short.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkling.cli.bench_load import percentile
from inkling.cli.typist import Habits, Rhythm, Stroke, strokes
from inkling.engine.cluster.simulate import Request, Result, simulate
from inkling.errors import InklingError

BEGIN, END = "<!-- capacity: begin -->", "<!-- capacity: end -->"
TEAMS = (100, 500, 5000)
_SHORTEST_S, _TYPING_S = 60.0, 15_000.0
"""Simulated time: at least a minute, and for small teams so long that all together typed for some hours."""

_WARM_UP_S = 600.0
"""Typists begin this long before, so that breaks and bursts have mixed when the pool is first asked."""


@dataclass(frozen=True, slots=True)
class Measured:
    """From a load report. Service times in seconds."""

    cold: Sequence[float]
    warm: Sequence[float]
    diagnostics: Sequence[float]
    from_memory: float
    where: str


def add_parser(what: Any) -> None:
    """Describe the arguments."""
    capacity = what.add_parser("capacity", help="replicas for a team, simulated from measured service times")
    capacity.add_argument("report", type=Path, help="what `inkling bench load --json` printed")
    capacity.add_argument("--developers", type=int, action="append", help=f"may be repeated (default: {TEAMS})")
    capacity.add_argument("--at-once", type=float, default=0.5, help="share that types at the peak (default: 0.5)")
    capacity.add_argument("--wait-ms", type=float, default=50, help="95 %% wait no longer (default: %(default)g)")
    capacity.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the page's marks")
    capacity.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> int:
    """Print the table in Markdown."""
    measured = read(args.report)
    if not 0 < args.at_once <= 1 or args.wait_ms <= 0:
        raise InklingError("out-of-range", "--at-once is more than 0 and at most 1, --wait-ms more than 0.")
    teams = args.developers or TEAMS
    if not all(0 < team <= 20_000 for team in teams):
        raise InklingError("out-of-range", "--developers is 1 to 20000.")
    text = table(measured, teams, at_once=args.at_once, wait_s=args.wait_ms / 1000, seed=args.seed)
    if args.write is not None:
        page = args.write.read_text("utf-8")
        before, begin, rest = page.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise InklingError("no-marks", f"{args.write} has no marks {BEGIN} and {END}.")
        args.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")
    print(text)
    return 0


def read(path: Path) -> Measured:
    """Raises `InklingError("bad-report")`."""
    try:
        report = json.loads(path.read_text("utf-8"))
        service = {
            kind: [float(value) for value in report["service_s"][kind]] for kind in ("cold", "warm", "diagnostics")
        }
        if not all(service.values()):
            raise ValueError
        where = f"{report['target']}, {report['model']}" + (f", {report['cores']} cores" if report["cores"] else "")
        return Measured(**service, from_memory=float(report["from_memory_share"]), where=where)
    except (OSError, ValueError, KeyError, TypeError):
        raise InklingError(
            "bad-report", f"{path} is no load report.", "Make one with: inkling bench load --json > load.json"
        ) from None


def completions(measured: Measured, developers: int, seconds: float, seed: int) -> Iterator[Request]:
    """What a team asks for, in order of time."""
    streams = (_one(measured, strokes(seed * 1_000_003 + n), seed + n, f"d{n}", seconds) for n in range(developers))
    return heapq.merge(*streams, key=lambda request: request.at)


def _one(measured: Measured, keys: Iterator[Stroke], seed: int, name: str, seconds: float) -> Iterator[Request]:
    chance = random.Random(seed)  # noqa: S311
    rhythm = Rhythm()
    rhythm.answered(percentile(measured.warm, 0.5))
    now, document = -_WARM_UP_S, 0
    asked: Request | None = None
    for stroke in keys:
        now += stroke.after_s
        from_memory = chance.random() < measured.from_memory and not stroke.jump
        if asked is not None:
            if now <= asked.at:
                asked = None  # typed on within the wait: never sent
            else:
                if not from_memory:
                    asked.gives_up_at = now
                if asked.at >= 0:
                    yield asked
                asked = None
        if now > seconds:
            return
        document += stroke.jump
        wait_s = rhythm.typed(stroke.after_s)
        if not from_memory:
            warm, cold = chance.choice(measured.warm), chance.choice(measured.cold)
            asked = Request(now + wait_s, warm, max(warm, cold), f"{name}/{document}")


def diagnostics(measured: Measured, developers: int, seconds: float, seed: int) -> Iterator[Request]:
    """A team's diagnostics, asked for in each pause after an edit; nobody gives them up."""
    pause_s = Habits().diagnostics_pause_s

    def one(n: int) -> Iterator[Request]:
        chance = random.Random(seed + n)  # noqa: S311
        now = -_WARM_UP_S
        for stroke in strokes(seed * 1_000_003 + n):
            if stroke.after_s > pause_s and now + pause_s >= 0:
                service = chance.choice(measured.diagnostics)
                yield Request(now + pause_s, service, service)
            now += stroke.after_s
            if now > seconds:
                return

    return heapq.merge(*(one(n) for n in range(developers)), key=lambda request: request.at)


def asked(measured: Measured, kind: str, developers: int, *, at_once: float, seed: int) -> tuple[list[Request], float]:
    """What a team asks for at its busiest, `kind` of it, and for how many seconds."""
    active = max(1, round(developers * at_once))
    seconds = max(_SHORTEST_S, _TYPING_S / active)
    make = completions if kind == "completion" else diagnostics
    return list(make(measured, active, seconds, seed)), seconds


def need(requests: Sequence[Request], seconds: float, *, wait_s: float, spill: int = 2) -> tuple[int, Result]:
    """The fewest replicas at which 95 % of the requests wait no longer than `wait_s` for their turn."""

    def at(replicas: int) -> Result:
        fresh = [Request(one.at, one.warm_s, one.cold_s, one.key, one.gives_up_at) for one in requests]
        return simulate(fresh, replicas, spill=spill)

    def fits(result: Result) -> bool:
        late = [float("inf") for waited in result.given_up_waits_s if waited > wait_s]
        return percentile([*result.waits_s, *late], 0.95) <= wait_s

    busy = sum(min(one.warm_s, one.gives_up_at - one.at) for one in requests) / seconds
    low = max(0, int(0.9 * busy))  # does not fit: with every prefix warm it could just not keep up
    high = low + 1
    while not fits(found := at(high)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if fits(result := at(middle)):
            high, found = middle, result
        else:
            low = middle
    return high, found


def table(measured: Measured, teams: Sequence[int], *, at_once: float, wait_s: float, seed: int) -> str:
    """Markdown."""
    rows = [
        f"Measured on: {measured.where}. Service times (median): completion {_ms(measured.warm)} with a warm prefix, "
        f"{_ms(measured.cold)} with a cold one; diagnostics {_ms(measured.diagnostics)}. "
        f"{measured.from_memory:.0%} of keys were served from memory.",
        "",
        f"{at_once:.0%} of a team types at the peak; 95 % of requests wait at most {1000 * wait_s:g} ms for a turn.",
        "",
        "| developers | requests per typing developer and hour | replicas for completion | busy | prefix cache warm "
        "| the same, each request to the idlest replica | replicas for diagnostics | busy |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for team in teams:
        ghosts, ghost_s = asked(measured, "completion", team, at_once=at_once, seed=seed)
        squiggles, squiggle_s = asked(measured, "diagnostics", team, at_once=at_once, seed=seed)
        replicas, result = need(ghosts, ghost_s, wait_s=wait_s)
        idlest, without = need(ghosts, ghost_s, wait_s=wait_s, spill=0)
        others, their = need(squiggles, squiggle_s, wait_s=wait_s)
        hours = max(1, round(team * at_once)) / 3600
        rows.append(
            f"| {team:,} | {len(ghosts) / ghost_s / hours:,.0f} + {len(squiggles) / squiggle_s / hours:,.0f} "
            f"| {replicas} | {_busy(result, replicas)} | {result.warm_share:.0%} "
            f"| {idlest}, {without.warm_share:.0%} warm | {others} | {_busy(their, others)} |"
        )
    return "\n".join(rows)


def _busy(result: Result, replicas: int) -> str:
    return f"{result.busy_s / max(1e-9, replicas * result.ended_at):.0%}"


def _ms(values: Sequence[float]) -> str:
    return f"{1000 * percentile(values, 0.5):.0f} ms"
