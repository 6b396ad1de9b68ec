"""`python -m bench.soak --minutes 10`: real servers and real engine processes, under everything that goes wrong.

A fake editor types, asks and cancels at random in the real server; faults come in between: junk bytes, broken messages,
plugins that raise and hang, the engine killed, the server killed, its input cut off. The models are scripted, so that
the minutes go into the edges and not into arithmetic; with `--engine starter` they are the real ones, loaded anew by
each engine that comes after a killed one, and the suggestions and diagnostics that got through are counted. Reported,
with what each must be: replies missing (0), replies doubled (0), mirror mismatches (0), orphan processes (0), and how
the server's memory grew (less than `GROWTH_MB`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from tests.lsp.editor import Editor, server_process

WORDS = ["some", "bad", "words\n", "é", "😀", "\f", "x = 1\n", "\u2028", "    return value\n", ""]
WAYS = ("raise", "type", "item-type", "inkling-error", "nothing", "hang")
JUNK = (
    b"Warning: printed by a library\r\n\r\n",
    b"Content-Length: 9\r\n\r\nnonsense!",
    b"Content-Length: 99999999999\r\n\r\n",
    b"Content-Length: 4000\r\n\r\n{",
    b"content-length: 2\n\n[]",
    bytes(range(256)),
)
ROUND_S = 60.0
"""One server's life; the next begins with a fresh process."""
IDLE_S = 2
FIRST_WINDOW_S = 15.0
STARTING_S = 15.0
LEFT_S = IDLE_S + FIRST_WINDOW_S + STARTING_S
"""How long an engine may outlive its last window: its idle time; but one that was being started when its window was
killed has to come up first, and then waits for a first window. How long the slowest took is in the report."""
GROWTH_MB = 32.0
"""The most that one life may add to a server that is warm. A minute, some 5,000 requests, added 4.4 MB."""


class Report:
    """What happened."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.missing = 0
        self.doubled = 0
        self.mismatches = 0
        self.compared = 0
        self.bad_exits = 0
        self.orphans = 0
        self.longest_stay = 0.0
        """Seconds until the last process of a life had gone."""
        self.shown: Counter[str] = Counter()
        self.growth: list[float] = []

    @property
    def is_clean(self) -> bool:
        """Whether everything that must be 0 is, and memory within its bound."""
        wrong = self.missing or self.doubled or self.mismatches or self.bad_exits or self.orphans
        return not wrong and self.largest_growth < GROWTH_MB

    @property
    def largest_growth(self) -> float:
        """MB that the server which grew the most had grown by."""
        return max(self.growth, default=0.0)


class Life:
    """One server's life at the hands of one user."""

    def __init__(self, editor: Editor, process: asyncio.subprocess.Process, report: Report, chance: random.Random):
        self.editor = editor
        self.process = process
        self.report = report
        self.chance = chance
        self.uris = [f"file:///soak/{number}.txt" for number in range(6)]
        self.open_ids: list[Any] = []
        self.methods: dict[Any, str] = {}
        self.actions: list[Any] = []

    async def live(self, seconds: float) -> None:
        """Until the time is up."""
        ends = time.monotonic() + seconds
        server = psutil.Process(self.process.pid)
        early = None
        steps = 0
        while time.monotonic() < ends:
            await self.step()
            steps += 1
            if steps % 40 == 0:
                await self.compare()
            if steps % 200 == 0:
                early = early or server.memory_info().rss
                self.report.growth.append((server.memory_info().rss - early) / 1e6)
            await asyncio.sleep(self.chance.choice((0, 0, 0.001, 0.02)))

    async def step(self) -> None:
        """One thing that a user, or bad luck, does."""
        deeds = (
            *[self.edit] * 10, *[self.ask] * 10, *[self.cancel] * 4, self.open, self.close, self.act, self.junk,
            self.break_rules, self.change_settings,
        )  # fmt: skip
        self.chance.choice(deeds)()
        if self.chance.random() < 0.002:
            await self.kill_engine()

    def some_open(self) -> str | None:
        """A document that is open."""
        return self.chance.choice(sorted(self.editor.texts)) if self.editor.texts else None

    def open(self) -> None:
        """Open a document; now and then one that is open."""
        uri = self.chance.choice(self.uris)
        if uri in self.editor.texts and self.chance.random() < 0.9:
            return
        self.editor.open(uri, " ".join(self.chance.choices(WORDS, k=self.chance.choice((0, 20, 2000)))))

    def close(self) -> None:
        """Close a document."""
        if uri := self.some_open():
            self.editor.close(uri)

    def edit(self) -> None:
        """Type, or delete."""
        if uri := self.some_open():
            size = len(self.editor.texts[uri])
            start = self.chance.randint(0, size)
            end = min(size, start + self.chance.choice((0, 0, 0, 1, 5, 100)))
            self.editor.edit(uri, start, end, self.chance.choice(WORDS))

    def ask(self) -> None:
        """A request as editors make them."""
        uri = self.some_open() or self.uris[0]
        place = {"line": self.chance.randint(0, 5), "character": self.chance.randint(0, 20)}
        span = {"start": {"line": 0, "character": 0}, "end": place}
        method, more = self.chance.choice(
            (
                ("hover", {"position": place}),
                ("diagnostic", {}),
                ("codeLens", {}),
                ("codeAction", {"range": span, "context": {"diagnostics": []}}),
                ("inlineCompletion", {"position": place, "context": {"triggerKind": 1}}),
                ("inlineCompletion", {"position": place, "context": {"triggerKind": 2}, "partialResultToken": "t"}),
            )
        )
        self.request(f"textDocument/{method}", {"textDocument": {"uri": uri}, **more})

    def request(self, method: str, params: Any) -> Any:
        """Send and remember."""
        self.report.requests[method] += 1
        self.open_ids.append(self.editor.request(method, params))
        self.methods[self.open_ids[-1]] = method
        return self.open_ids[-1]

    def act(self) -> None:
        """Run a command."""
        name = self.chance.choice(("count", "write", "generate", "fail", "whyNothing", "nope"))
        argument: dict[str, Any] = {"position": {"line": 0, "character": 0}}
        if uri := self.some_open():
            argument["uri"] = uri
        self.request("workspace/executeCommand", {"command": f"inkling.{name}", "arguments": [argument]})

    def cancel(self) -> None:
        """Cancel one of the last requests, done or not."""
        if self.open_ids:
            self.editor.cancel(self.chance.choice(self.open_ids[-5:]))

    def junk(self) -> None:
        """Bytes that are no message."""
        self.report.faults["junk bytes"] += 1
        self.editor.send(self.chance.choice(JUNK))

    def break_rules(self) -> None:
        """Messages that the protocol forbids."""
        self.report.faults["forbidden messages"] += 1
        document = {"uri": "file:///never/opened", "version": 1}
        self.editor.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": "x"}]})
        self.editor.notify("textDocument/didClose", {"textDocument": document})
        self.request("textDocument/hover", self.chance.choice((None, [], {"position": 3})))
        self.request("initialize", {"capabilities": {}})

    def change_settings(self) -> None:
        """Another setting, and another way for the bad plugin to be bad."""
        self.report.faults["bad plugin"] += 1
        settings = {**SETTINGS, "bad": {"way": self.chance.choice(WAYS)}, "words": {"bad": self.chance.choice("ab😀")}}
        self.editor.notify("workspace/didChangeConfiguration", {"settings": {"inkling": settings}})
        for name in ("bad", "words", "model"):
            enable = {"command": "inkling.enablePlugin", "arguments": [{"name": name}]}
            self.request("workspace/executeCommand", enable)

    async def kill_engine(self) -> None:
        """SIGKILL, as the out-of-memory killer does."""
        status = await self.editor.ask("inkling/status")
        if pid := status["engine"].get("pid"):
            self.report.faults["engine killed"] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.request("workspace/executeCommand", {"command": "inkling.restartEngine"})

    async def compare(self) -> None:
        """The server's text of every document with ours."""
        for uri in sorted(self.editor.texts):
            expected = self.editor.texts[uri]
            command = {"command": "inkling.text", "arguments": [{"uri": uri}]}
            reply = await self.editor.reply(self.editor.request("workspace/executeCommand", command), 60)
            if "result" in reply:  # refused only while the plugin that tells the text is disabled
                self.report.compared += 1
                self.report.mismatches += reply["result"] != expected

    async def settle(self) -> None:
        """Wait for every reply, and count."""
        for identifier in self.editor.sent_ids:
            try:
                await self.editor.reply(identifier, 60)
            except TimeoutError:
                self.report.missing += 1
        self.report.shown += Counter(
            self.methods[identifier] for identifier in self.methods if _shows(self.editor.replies.get(identifier))
        )
        doubled = [found for found in self.editor.replies.items() if found[0] is not None and len(found[1]) > 1]
        self.report.doubled += len(doubled)


def _shows(replies: list[Any] | None) -> bool:
    """Whether a reply brought something to show."""
    result = replies[0].get("result") if replies else None
    return bool(result.get("items") if isinstance(result, dict) and "items" in result else result)


SETTINGS = {
    "server": {"timeouts": {"hover": 0.5, "diagnostics": 2, "inline_completion": 2, "command": 5, "code_actions": 1}},
    "engine": {"idle_seconds": IDLE_S, "crash_limit": 1000},
}


async def soak(minutes: float, seed: int, console: Console, engine: str = "scripted") -> Report:
    """Live until the time is up, with the `scripted` engine or that of the `starter` models."""
    report, chance = Report(), random.Random(seed)  # for variety, not for secrets
    ends = time.monotonic() + 60 * minutes
    number = 0
    with tempfile.TemporaryDirectory() as folder:
        while (left := ends - time.monotonic()) > 1:
            number += 1
            console.print(f"life {number}: {sum(report.requests.values()):,} requests so far", highlight=False)
            await _life(Path(folder) / str(number), min(left, ROUND_S), report, chance, engine)
    return report


async def _life(folder: Path, seconds: float, report: Report, chance: random.Random, engine: str) -> None:
    runtime = _runtime_folder(folder)
    env = {
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    if engine == "scripted":
        env["INKLING_ENGINE_BACKEND"] = "inkling.engine.fake_backend:create_backend"
    probes = ("words=Words", "bad=Bad", "model=Model")
    before = {process.pid for process in psutil.process_iter()}
    async with server_process(folder / "server", *probes, env=env) as (editor, process):
        life = Life(editor, process, report, chance)
        draining = asyncio.create_task(_drain(process))
        await editor.initialize(initializationOptions=SETTINGS)
        life.open()
        await life.live(seconds)
        if chance.random() < 0.3:
            report.faults["server killed"] += 1
            process.kill()
            await process.wait()
        else:
            await life.settle()
            await editor.ask("shutdown")
            editor.notify("exit")
            try:
                report.bad_exits += await asyncio.wait_for(process.wait(), 15) != 0
            except TimeoutError:
                report.bad_exits += 1
        draining.cancel()
    began = time.monotonic()
    report.orphans += await _orphans(before, str(runtime))
    report.longest_stay = max(report.longest_stay, time.monotonic() - began)


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read what plugins print: asyncio says that a process has ended only when its pipes have been read."""
    assert process.stderr is not None
    while await process.stderr.read(1 << 16):
        pass


def _runtime_folder(folder: Path) -> Path:
    """A folder for sockets, so that no engine of the user's is touched."""
    runtime = folder / "run"
    runtime.mkdir(mode=0o700, parents=True)
    return runtime


async def _orphans(before: set[int], runtime: str) -> int:
    """Processes of ours that are there `LEFT_S` after their last window has gone."""
    deadline = time.monotonic() + LEFT_S
    while True:
        new = (process for process in psutil.process_iter() if process.pid not in before)
        found = [process for process in new if _is_ours(process, runtime)]
        if not found:
            return 0
        if time.monotonic() > deadline:
            for process in found:
                process.kill()
            return len(found)
        await asyncio.sleep(0.25)


def _is_ours(process: psutil.Process, runtime: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("XDG_RUNTIME_DIR") == runtime
    except psutil.Error:
        return False


def show(report: Report, console: Console, seconds: float) -> None:
    """The report as a table."""
    table = Table(title=f"{seconds / 60:.1f} minutes", box=None, show_header=False)
    table.add_row("requests", f"{sum(report.requests.values()):,}")
    for name, count in sorted(report.faults.items()):
        table.add_row(f"fault: {name}", f"{count:,}")
    for name, count in sorted(report.shown.items()):
        table.add_row(f"with something to show: {name.rpartition('/')[2]}", f"{count:,}")
    table.add_row("replies missing", str(report.missing))
    table.add_row("replies doubled", str(report.doubled))
    table.add_row("mirror mismatches", f"{report.mismatches} of {report.compared:,} comparisons")
    table.add_row("bad exits", str(report.bad_exits))
    table.add_row("orphan processes", f"{report.orphans} (the last had gone after {report.longest_stay:.1f} s)")
    table.add_row("largest memory growth of a server", f"{report.largest_growth:.1f} MB (below {GROWTH_MB:g})")
    console.print(table)


def main() -> int:
    """Soak; 0 when the report is clean."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None, help="the same deeds again, as far as time allows")
    parser.add_argument("--engine", choices=("scripted", "starter"), default="scripted", help="whose models")
    parser.add_argument("--json", type=Path, help="write the report there too")
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    console = Console()
    console.print(f"seed {seed}")
    began = time.monotonic()
    report = asyncio.run(soak(args.minutes, seed, console, args.engine))
    show(report, console, time.monotonic() - began)
    if args.json:
        args.json.write_text(json.dumps({"seed": seed, "engine": args.engine, **vars(report)}, indent=1, default=dict))
    return int(not report.is_clean)


if __name__ == "__main__":
    sys.exit(main())
