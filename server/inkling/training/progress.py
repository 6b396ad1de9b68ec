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
        self._note = " ".join(f"{key} {value}" for key, value in metrics.items())
        self.reached(step)

    def reached(self, step: int) -> None:
        """Show that a step is done, beside the metrics of the last one that had some."""
        self._bar.update(self._task, completed=step, note=self._note)
        if self._bar.disable and time.monotonic() - self._last > self._every:
            self._last = time.monotonic()
            self._file.flush()
            print(f"{self._title} {step}/{self._steps} {self._note}", file=sys.stderr, flush=True)  # noqa: T201
