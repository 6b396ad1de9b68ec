"""`inkling engine`: see, stop and run the process that holds the models."""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inkling.engine import daemon, runtime
from inkling.engine.options import add_arguments
from inkling.engine.runtime import Info, Place
from inkling.engine.wire import engine_status
from inkling.errors import InklingError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`inkling engine run | status | stop | logs`."""
    parser = subparsers.add_parser("engine", help="the process that holds the models: status, stop, logs")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="what runs, which models it holds, what they cost")
    status.add_argument("--json", action="store_true", help="as a JSON array, one object per engine")
    actions.add_parser("stop", help="stop every engine of this user; windows start a fresh one when they need it")
    logs = actions.add_parser("logs", help="the end of the newest log")
    logs.add_argument("-n", "--lines", type=int, default=40, help="how many lines (default 40)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing what is added")
    logs.add_argument("--path", action="store_true", help="print the log's path alone")
    run_parser = actions.add_parser("run", help="run an engine here, as windows do in the background")
    add_arguments(run_parser)


def run(args: argparse.Namespace) -> int:
    """0 when it did what was asked; `status` gives 3 when no engine runs."""
    if args.action == "run":
        from inkling.engine import serve

        return serve.run(args)
    if args.action == "status":
        return _status(as_json=args.json)
    if args.action == "stop":
        return _stop()
    return _logs(args)


def _engines() -> list[tuple[Place, Info]]:
    folder = runtime.runtime_folder()
    found = []
    for path in sorted(folder.glob("*.json")):
        info = runtime.read_info(path)
        if info is not None and runtime.is_running(info):
            found.append((Place(path.stem, folder), info))
    return found


async def _ask(info: Info) -> dict[str, Any] | None:
    try:
        return dict(json.loads((await daemon.ask(info, "GET", "/inkling/status", silence_s=5.0))[1]))
    except (OSError, ValueError):
        return None


def _status(*, as_json: bool) -> int:
    engines = _engines()
    answers = [asyncio.run(_ask(info)) for _, info in engines]
    if as_json:
        rows = [
            {**_public(info), "answers": answer is not None, "status": answer}
            for (_, info), answer in zip(engines, answers, strict=True)
        ]
        print(json.dumps(rows, indent=2))
        return 0 if engines else 3
    if not engines:
        print("No engine runs. It starts when an editor needs it.")
        return 3
    for (_, info), answer in zip(engines, answers, strict=True):
        _print(info, answer)
    return 0


def _public(info: Info) -> dict[str, Any]:
    return {key: value for key, value in asdict(info).items() if key != "token"}


def _print(info: Info, answer: dict[str, Any] | None) -> None:
    kind = "private to one window" if info.private else "shared"
    print(f"Engine {info.version}, process {info.pid}, {kind}, device {info.device}")
    if answer is None:
        print("  does not answer: run `inkling engine stop`")
        return
    status = engine_status(answer)
    extra = status.extra
    print(f"  windows {extra.get('leases', 0)}, up {_duration(float(extra.get('uptime_s', 0)))}, log {info.log}")
    print(
        f"  requests: {status.active_requests} running, {status.queued_requests} waiting, "
        f"{extra.get('served_requests', 0)} served, {status.cancelled_requests} cancelled; "
        f"{status.generated_tokens} tokens generated"
    )
    if extra.get("log_problem"):
        print(f"  {extra['log_problem']}")
    if not status.models:
        print("  no model in memory")
    for model in status.models:
        size = f"{model.bytes / 2**20:.0f} MiB" if model.bytes else ""
        name = "not quantized" if model.quantization == "none" else model.quantization
        why = f"{name} ({model.quantization_why})" if name else ""
        loading = f"{model.progress:.0%}" if model.state == "loading" else ""
        words = (model.state, loading, f"{model.id} for {model.task}", size, why, model.error)
        print("  " + "  ".join(word for word in words if word))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _stop() -> int:
    engines = _engines()
    for where, info in engines:
        asyncio.run(daemon.stop(where))
        print(f"Stopped the engine in process {info.pid}.")
    if not engines:
        print("No engine runs.")
    return 0


def _logs(args: argparse.Namespace) -> int:
    files = sorted(runtime.log_folder().glob("engine-*.log"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise InklingError("no-log", f"There is no log in {runtime.log_folder()}.", "No engine has run yet.")
    newest = files[-1]
    if args.path:
        print(newest)
        return 0
    with newest.open(encoding="utf-8", errors="replace") as file:
        for line in collections.deque(file, maxlen=max(0, args.lines)):
            print(line, end="")
        for crash in (newest.with_suffix(".crashed"), newest.with_suffix(".crash")):
            if crash.is_file() and crash.stat().st_size and not args.follow:
                print(f"\nLast words of native code ({crash}):\n{crash.read_text('utf-8', 'replace')}", end="")
        while args.follow:
            line = file.readline()
            if line:
                print(line, end="", flush=True)
            elif _rotated(newest, file.fileno()):
                return 0
            else:
                time.sleep(0.3)
    return 0


def _rotated(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except OSError:
        return True
