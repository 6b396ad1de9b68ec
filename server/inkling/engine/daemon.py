"""Find the per-user engine, or start it, from any number of windows at once.

Two locks keep this free of races. The engine holds one for its whole life, so there is never a second engine at the
same place, and only its holder touches the socket. A client holds the other while it spawns, so that forty windows
that open together spawn one process; the rest wait until it answers.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from inkling.engine import runtime
from inkling.engine.options import arguments_for
from inkling.engine.runtime import Info, Place, engine_environment, is_running, read_info
from inkling.engine.settings import EngineSettings
from inkling.engine.wire import PROTOCOL_VERSION
from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.local_http import LocalHttp

_POLL_S = 0.04
_ANSWER_S = 5.0


async def answers(info: Info) -> bool:
    """True when the engine answers within 5 s."""
    with suppress(OSError):  # TimeoutError is one
        return (await ask(info, "GET", "/health", silence_s=_ANSWER_S))[0] == HTTPStatus.OK
    return False


async def import_http() -> Any:
    """`inkling.engine.local_http`, which takes milliseconds: not on the event loop, nor before it is needed."""
    return await asyncio.to_thread(importlib.import_module, "inkling.engine.local_http")


async def ask(info: Info, method: str, path: str, *, silence_s: float) -> tuple[int, bytes]:
    """Status and body of one reply. Raises `OSError`."""
    local_http = await import_http()
    http: LocalHttp = local_http.LocalHttp(info, silence_s=silence_s)
    try:
        return await http.ask(method, path)
    finally:
        http.close()


async def find(where: Place) -> Info | None:
    """The running engine, if one answers. Raises `InklingError("engine-version")` when it speaks another protocol."""
    info = said(where)
    return info if info is not None and await answers(info) else None


def said(where: Place) -> Info | None:
    """The engine that the info file tells of, dead or alive. Raises `InklingError("engine-version")`."""
    info = read_info(where.info)
    if info is None:
        return None
    if info.protocol != PROTOCOL_VERSION:
        raise InklingError(
            "engine-version",
            f"Inkling was upgraded to {info.version} while this window was open.",
            "Restart the language server.",
        )
    return info


async def find_or_start(where: Place, settings: EngineSettings) -> Info:
    """The running engine, started if need be. Raises `InklingError` when it does not start or does not answer."""
    import filelock

    until = time.monotonic() + settings.start_seconds
    while True:
        if (info := await find(where)) is not None:
            return info
        lock = filelock.FileLock(where.start_lock, mode=0o600, fallback_to_soft=False, preserve_lock_file=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            pass
        except OSError as error:
            raise InklingError(
                "runtime-folder", f"The lock {where.start_lock} cannot be taken: {error.strerror}."
            ) from None
        else:
            try:
                if (info := await find(where)) is not None:
                    return info
                remaining = max(1.0, until - time.monotonic())
                report = await asyncio.to_thread(spawn, where, settings, remaining)
            finally:
                lock.release()
            if "error" in report:
                told = report["error"]
                raise InklingError(told["reason"], told["message"], told.get("hint", ""))
            if report.get("ready"):
                continue
        if time.monotonic() > until:
            raise _silent(where, settings.start_seconds)
        await asyncio.sleep(_POLL_S * random.uniform(0.5, 1.5))  # noqa: S311


def _silent(where: Place, seconds: float) -> InklingError:
    info = read_info(where.info)
    if info is not None and is_running(info):
        return InklingError(
            "engine-down",
            f"The engine (process {info.pid}) runs but has not answered for {seconds:g} s.",
            "Run `inkling engine stop`, then try again.",
        )
    return InklingError(
        "engine-starting",
        f"Another window has been starting the engine for {seconds:g} s.",
        "Wait, or see `inkling engine logs`.",
    )


def spawn(where: Place, settings: EngineSettings, timeout_s: float) -> dict[str, Any]:
    """Start the process and return its readiness report; blocks, so call it on a thread.

    The process outlives this one: it has a session of its own and no pipe to us once it is ready.
    """
    if not sys.executable:
        raise InklingError("engine-down", "The engine cannot be started: this Python does not know its own path.")
    parent = os.getpid() if settings.private else 0
    # -P and a folder of ours: the engine must not import from the workspace that the editor happens to be in.
    command = [sys.executable, "-P", "-m", "inkling.engine"]
    command += arguments_for(settings, name=where.name, parent=parent, tcp=not runtime.HAS_UNIX_SOCKETS)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=where.folder,
            env=engine_environment(settings, os.environ),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise InklingError("engine-down", f"The engine cannot be started: {error.strerror}.") from None
    late = threading.Timer(timeout_s, process.kill)
    late.daemon = True
    late.start()
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        line = process.stdout.readline()
        words = b"" if line else process.stderr.read()
    late.cancel()
    # Somebody has to collect its exit status, or it stays a zombie for as long as this process lives.
    threading.Thread(target=process.wait, name="engine exit status", daemon=True).start()
    with suppress(ValueError):
        report = json.loads(line)
        if isinstance(report, dict):
            return report
    last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
    raise InklingError(
        "engine-down", f"The engine ended while starting{f': {last}' if last else '.'}", "Run `inkling doctor`."
    )


async def stop(where: Place) -> Info | None:
    """Ask the engine to leave, kill it when it does not; returns the engine that was stopped, None when none ran."""
    info = read_info(where.info)
    if info is None or not is_running(info):
        return None
    patience_s = 0.5
    with suppress(OSError):
        await ask(info, "POST", "/inkling/shutdown", silence_s=2.0)
        patience_s = 6.0
    until = time.monotonic() + patience_s
    while is_running(info):
        if time.monotonic() > until:
            import psutil

            with suppress(psutil.Error):
                psutil.Process(info.pid).kill()
            until = float("inf")
        await asyncio.sleep(_POLL_S)
    return info
