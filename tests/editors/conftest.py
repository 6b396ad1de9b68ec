"""Real editors, each with folders and an engine of its own.

`tests/editors/install.sh` installs what the machine lets it; a test whose editor is missing is skipped and says so.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTED = {"INKLING_ENGINE_BACKEND": "inkling.engine.fake_backend:create_backend"}
"""In place of the models: an engine whose answers and pace the model's id sets."""


def need(*programs: str) -> None:
    """Skip the test unless these are on PATH."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH; tests/editors/install.sh installs it where it can")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the test's own, short enough for sockets; no process may be left in it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="inkling-editor-"))
    (folder / "run").mkdir(mode=0o700)
    yield folder
    end_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Variables that keep an editor, the server and the engine inside `home`, with this Python's `inkling` on PATH."""
    kept = {
        name: os.environ[name] for name in ("LANG", "TMPDIR", "OMP_NUM_THREADS", "INKLING_TESTS") if name in os.environ
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "INKLING_EDITOR_HOME": str(home),
        **more,
    }


def end_all(home: Path) -> None:
    """Kill the processes that carry this home in their environment: the editor's, the servers, the engine."""
    ours = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("INKLING_EDITOR_HOME") == str(home):
                ours.append(process)
    for process in ours:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(ours, timeout=10)
