"""Find the per-user engine, or start it, from any number of windows at once.

Two locks keep this free of races. The engine holds one for its whole life, so there is never a second engine at the
same place, and only its holder touches the socket. A client holds the other while it spawns, so that forty windows
that open together spawn one process; the rest wait until it answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from inkling.engine import runtime
from inkling.engine.options import arguments_for
from inkling.engine.runtime import Info, Place, engine_environment, is_running, read_info
from inkling.engine.settings import EngineSettings
from inkling.engine.wire import PROTOCOL_VERSION
from inkling.errors import InklingError

_POLL_S = 0.04
_ANSWER_S = 5.0


def http_client(info: Info, *, read_s: float | None = None) -> Any:
    """An `httpx2.AsyncClient` for an engine; `read_s` bounds the silence between two pieces of a reply."""
    import httpx2

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=16)
    # No TLS here, so no certificates to load, which would take longer than everything else. trust_env off: a proxy or
    # a netrc of the user's has no say in talk between two of our processes.
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    uds = info.socket or None
    transport = httpx2.AsyncHTTPTransport(verify=tls, uds=uds, limits=limits, trust_env=False)
    base = "http://inkling" if uds else f"http://127.0.0.1:{info.port}"
    return httpx2.AsyncClient(
        transport=transport,
        base_url=base,
        headers={"authorization": f"Bearer {info.token}"} if info.token else {},
        timeout=httpx2.Timeout(_ANSWER_S, read=read_s),
        trust_env=False,
    )


async def answers(info: Info) -> bool:
    """True when the engine answers within 5 s."""
    import httpx2

    async with http_client(info, read_s=_ANSWER_S) as http:
        try:
            reply = await http.get("/health")
        except (httpx2.TransportError, OSError):
            return False
    return bool(reply.status_code == 200)


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
    import httpx2

    patience_s = 0.5
    with suppress(httpx2.TransportError, OSError):
        async with http_client(info, read_s=2.0) as http:
            await http.post("/inkling/shutdown")
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
