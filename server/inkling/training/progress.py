"""What a run shows while it works: a bar on a terminal, a line now and then elsewhere, and metrics.jsonl always."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def say(words: str) -> None:
    """What a run does now that has no steps: where it is silent for a minute, it looks as if it hung."""
    print(f"{words} …", file=sys.stderr, flush=True)  # noqa: T201


class RunLog:
    """Progress and metrics of one run, as a context manager."""

    def __init__(self, folder: Path, title: str, steps: int = 0, *, every: float = 30.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
            console=self._console, disable=not sys.stderr.isatty(), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(title, total=steps, note="")
        self._every, self._last, self._title, self._steps = every, 0.0, title, steps
        self._note = ""
        self._began: tuple[float, int] | None = None

    def __enter__(self) -> RunLog:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._file.close()

    def set_total(self, steps: int) -> None:
        """How long the run is, where that was not known when it began."""
        self._steps = steps
        self._bar.update(self._task, total=steps)

    def step(self, step: int, **metrics: Any) -> None:
        """Record the metrics of one step."""
        self._file.write(json.dumps({"step": step, "time": round(time.time(), 1), **metrics}) + "\n")
        self._note = " ".join(f"{key} {_short(value)}" for key, value in metrics.items())
        self.reached(step)

    def reached(self, step: int) -> None:
        """Show that a step is done, beside the metrics of the last one that had some."""
        self._bar.update(self._task, completed=step, note=self._note)
        now = time.monotonic()
        self._began = self._began or (now, step)  # a run that goes on has its first steps behind it
        if self._bar.disable and now - self._last > self._every:
            self._last = now
            self._file.flush()
            words = (f"{self._title} {step}/{self._steps}", self._left(now, step), self._note)
            print(*filter(None, words), file=sys.stderr, flush=True)  # noqa: T201

    def _left(self, now: float, step: int) -> str:
        """How long the rest will take at the pace so far, in words; empty before there is one."""
        began, first = self._began or (now, step)
        if step == first or step >= self._steps:
            return ""
        seconds = (now - began) / (step - first) * (self._steps - step)
        return f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
