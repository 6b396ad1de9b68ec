"""The engine's end of the process in which chat templates run."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from inkling.errors import InklingError

TIME_LIMIT_S = 3.0
START_S = 30.0
"""For a starved machine; the process is ready within a fraction of a second."""
MOST_ENDLESS = 16
LARGEST = 4_000_000
"""Characters of one conversation."""


class TemplateProcess:
    """Blocking, one conversation at a time; from any thread. The process is kept for the next."""

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._time_limit_s = time_limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._endless: set[str] = set()
        """Templates that were stopped: they are not run again at every keystroke."""

    def render(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The child's answer, see `child.Conversation`. Raises InklingError `too-large` or `template-rejected`."""
        if request["template"] in self._endless:
            raise self._late()
        line = json.dumps(request)
        if len(line) > LARGEST:
            raise InklingError("too-large", f"The conversation has over {LARGEST:,} characters.", "Shorten it.")
        with self._lock:
            process = self._process if self._process is not None and self._process.poll() is None else self._start()
            assert process.stdin is not None
            try:
                process.stdin.write(line + "\n")
                process.stdin.flush()
                said = self._read(process, self._time_limit_s + 2.0)
            except OSError:
                said = ""
            if not said:
                self._end()
                self._endless = {*list(self._endless)[-MOST_ENDLESS:], str(request["template"])}
                raise self._late()
        answer: dict[str, Any] = json.loads(said)
        return answer

    def _late(self) -> InklingError:
        return InklingError(
            "template-rejected",
            f"The model's chat template was stopped: it did not end within {self._time_limit_s:g} s.",
            "Use another model, or mend its chat template.",
        )

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _start(self) -> subprocess.Popen[str]:
        self._end()
        # -P and a folder without modules: nothing may be imported from where the engine happens to run
        command = [sys.executable, "-P", "-m", "inkling.engine.templates.child", str(self._time_limit_s)]
        self._process = process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=tempfile.gettempdir(),
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "MALLOC_ARENA_MAX": "2"},
            encoding="utf-8",
            errors="surrogatepass",
        )
        if not self._read(process, START_S):
            self._end()
            raise InklingError("engine-down", "The process that renders chat templates does not start.")
        return process

    def _read(self, process: subprocess.Popen[str], seconds: float) -> str:
        """A line, or nothing when the process ended or was killed for being late."""
        assert process.stdout is not None
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
            return line if line.endswith("\n") else ""
        except ValueError:  # half a character, from a process that was killed
            return ""
        finally:
            timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.wait()


SHARED = TemplateProcess()
"""The engine's one process for templates; it is started on first need and ends with the engine."""
atexit.register(SHARED.close)
