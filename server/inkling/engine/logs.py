"""What the engine writes down, never the user's text: a rotating log, and native code's last words beside it."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import logging.handlers
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

log = logging.getLogger("inkling.engine")

_LOG_BYTES = 1_000_000
_KEPT_S = 14 * 24 * 3600


def start_logging(path: Path) -> str:
    """Log to a rotating file; a full or read-only disk costs the log, not the engine. Returns what went wrong."""
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for noisy in ("httpx2", "httpcore2", "uvicorn", "asyncio", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_error
    problem = ""
    handler: logging.Handler
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=2, encoding="utf-8")
    except OSError as error:
        problem = f"no log is written: {path}: {error.strerror}"
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    return problem


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    # Type only: an exception's words may hold the user's text.
    log.error("%s in thread %s", args.exc_type.__name__, args.thread.name if args.thread else "?")


def leave_terminal(crash_file: Path) -> None:
    """From here on only a crash of native code writes to standard error; the last one's words are kept aside."""
    try:
        if crash_file.exists() and crash_file.stat().st_size:
            crash_file.replace(crash_file.with_suffix(".crashed"))
        target = os.open(crash_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        target = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    faulthandler.enable()


def log_task_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's exception handler: type only, as for threads."""
    raised = context.get("exception")
    log.error("%s: %s", context.get("message", "error on the event loop"), type(raised).__name__ if raised else "")


def remove_old_logs(folder: Path) -> None:
    """Each version of the engine logs under a name of its own: remove what no engine has written to for two weeks."""
    with suppress(OSError):
        for path in folder.glob("engine-*"):
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink()
