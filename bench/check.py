"""`inkling check` on a thousand files: with a warm cache beside a cold one, with the engine up in both.

One file in twenty has a finding, so that the warm run has files of both kinds: known to be clean, and to be looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.classify import sentence
from bench.row import Row, row

FILES = 1_000
EVERY = 20
RULES = '[[rule]]\nname = "tone"\nlabels = { hostile = "warning" }\n'


def rows(quick: bool) -> list[Row]:
    """Seconds of the whole command, its start included."""
    files = FILES // 5 if quick else FILES
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        work, small = root / "work", root / "small"
        _fill(work, files)
        _fill(small, 2)
        _check(small, root / "cache")  # starts the engine and loads the model
        cold = _check(work, root / "cache")
        warm = min(_check(work, root / "cache") for _ in range(3))
    name = f"check/{files:,} files, warm cache"
    return [row(name, warm, "s", better="less", peer="cold cache", peer_value=cold)]


def _fill(folder: Path, files: int) -> None:
    """Files of ten sentences, none twice; an insult in one file of twenty."""
    folder.mkdir()
    (folder / "inkling.toml").write_text(RULES)
    for number in range(files):
        lines = [sentence(number * 10 + line, number) for line in range(10)]
        if number % EVERY == 0:
            lines[4] = f"You are a stupid idiot for writing page {number}."
        (folder / f"page{number}.md").write_text("\n".join(lines) + "\n")


def _check(folder: Path, cache: Path) -> float:
    """Seconds of one run. Python may keep what it compiles, as it does for whoever installs Inkling."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "inkling", "check", "--fail-on", "never"],
        cwd=folder,
        env={**own, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return time.perf_counter() - began
