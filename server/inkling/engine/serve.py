"""The engine's process: take the lock, bind, say that it is ready, serve, leave when nobody needs it.

The readiness handshake is one JSON line on standard output: `{"ready": …}`, `{"held": true}` when another engine holds
the lock, or `{"error": …}`. After it standard output and error lead to the crash file beside the log.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from inkling.engine.logs import leave_terminal, log_task_error, remove_old_logs, start_logging
from inkling.engine.options import add_arguments, settings_of
from inkling.engine.runtime import (
    BACKEND_VARIABLE,
    DEFAULT_BACKEND,
    Info,
    Place,
    engine_environment,
    error_report,
    place,
    runtime_folder,
)
from inkling.engine.settings import EngineSettings
from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.events import EventHub
    from inkling.engine.scheduler import Scheduler

log = logging.getLogger("inkling.engine")

_FIRST_LEASE_S = 15.0
"""How long a fresh engine waits for its first lease at least: on a busy machine its window may be slow to come."""

_GRACEFUL_S = 2
_TICK_S = 0.25


def run(args: argparse.Namespace) -> int:
    """Serve until nobody needs the engine. 0 when it served, 3 when another engine holds the lock, 1 for an error."""
    settings = settings_of(args)
    _take_environment(settings)
    try:
        where = Place(args.name, runtime_folder()) if args.name else place(settings)
    except InklingError as error:
        _say(error_report(error))
        return 1

    import filelock

    lock = filelock.FileLock(where.lock, mode=0o600, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _say({"held": True})
        return 3
    except OSError as error:
        message = f"The lock {where.lock} cannot be taken: {error.strerror}."
        _say(error_report(InklingError("runtime-folder", message)))
        return 1
    try:
        return _Process(settings, where, tcp=args.tcp, parent=args.parent).serve()
    finally:
        lock.release()


def _take_environment(settings: EngineSettings) -> None:
    wanted = engine_environment(settings, os.environ)
    for key in set(os.environ) - set(wanted):
        del os.environ[key]
    os.environ.update(wanted)
    if hasattr(os, "umask"):
        os.umask(0o077)
    # Some model code asks on standard input whether it may run, and takes a piped answer for consent.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _say(report: dict[str, Any]) -> None:
    with suppress(OSError, ValueError):  # whoever started us may be gone
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


class _Process:
    """One engine process, from lock to exit."""

    def __init__(self, settings: EngineSettings, where: Place, *, tcp: bool, parent: int) -> None:
        self.settings = settings
        self.where = where
        self.parent = parent
        self.tcp = tcp
        self.token = secrets.token_urlsafe(32) if tcp else ""
        self.scheduler: Scheduler | None = None
        self.log_problem = ""
        self.leave: threading.Timer | None = None

    def serve(self) -> int:
        """Bind, announce, serve, clean up."""
        remove_old_logs(self.where.log.parent)
        self.log_problem = start_logging(self.where.log)
        try:
            listener = self._bind()
        except OSError as error:
            message = f"The engine cannot listen: {error.strerror or error}."
            _say(error_report(InklingError("runtime-folder", message)))
            return 1
        try:
            info = self._info(listener)
            info.write(self.where.info)
            asyncio.run(self._serve(listener, info))
        except OSError as error:
            _say(error_report(InklingError("runtime-folder", f"The engine cannot start: {error.strerror}.")))
            return 1
        finally:
            self._unlink()
            if self.leave is not None:
                self.leave.cancel()
        return 0

    def _bind(self) -> socket.socket:
        if self.tcp:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("127.0.0.1", 0))
        else:
            path = self.where.socket
            with suppress(FileNotFoundError):
                path.unlink()  # left by an engine that was killed: we hold the lock, so it is dead
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            previous = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(previous)
        listener.listen(256)
        return listener

    def _info(self, listener: socket.socket) -> Info:
        import psutil

        return Info(
            name=self.where.name,
            pid=os.getpid(),
            created=psutil.Process().create_time(),
            socket="" if self.tcp else str(self.where.socket),
            port=listener.getsockname()[1] if self.tcp else 0,
            token=self.token,
            log=str(self.where.log),
            device=self.settings.device,
            private=self.settings.private,
        )

    async def _serve(self, listener: socket.socket, info: Info) -> None:
        from inkling.engine.app import create_app
        from inkling.engine.events import EventHub
        from inkling.engine.protocol import EngineEvent

        hub = EventHub()
        stopping, accepting = asyncio.Event(), asyncio.Event()
        app = create_app(
            backend_factory(self.settings),
            self.settings,
            hub=hub,
            shutdown=stopping.set,
            token=self.token,
            hosts=frozenset({f"127.0.0.1:{info.port}", f"localhost:{info.port}"}),
            facts={"log": info.log, "log_problem": self.log_problem, "private": self.settings.private},
            on_scheduler=self._keep,
        )
        server = _uvicorn_server(app, accepting)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_task_error)
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                with suppress(NotImplementedError):
                    loop.add_signal_handler(getattr(signal, name), stopping.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        ready = asyncio.create_task(accepting.wait())
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            _say(error_report(InklingError("engine-down", "The engine's server does not start.", "See its log.")))
            await serving
            return
        _say({"ready": True, "pid": info.pid})
        leave_terminal(self.where.log.with_suffix(".crash"))
        log.info("serving as process %d", info.pid)
        why = await self._until_unneeded(stopping, serving, hub)
        log.info("leaving: %s", why)
        self._unlink()
        hub.publish(EngineEvent("stopped", message=why))
        hub.close()
        server.should_exit = True
        # A thread in the middle of a long step cannot be stopped; nothing of the user's depends on it.
        self.leave = threading.Timer(_GRACEFUL_S + 3.0, os._exit, (0,))
        self.leave.daemon = True
        self.leave.start()
        await serving

    def _keep(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler

    def _unlink(self) -> None:
        # Only ever under the lock: no other engine can have bound the socket yet.
        for path in (self.where.info, *([] if self.tcp else [self.where.socket])):
            with suppress(OSError):
                path.unlink()

    async def _until_unneeded(self, stopping: asyncio.Event, serving: asyncio.Task[None], hub: EventHub) -> str:
        born = time.monotonic()
        idle = self.settings.idle_seconds
        sweep_every = max(_TICK_S, min(10.0, self.settings.unload_seconds))
        swept, sweep = born, None
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _TICK_S)
            now = time.monotonic()
            if stopping.is_set():
                return "asked to"
            if serving.done():
                return "serving ended"
            if self.parent and os.getppid() != self.parent:
                return "its window has gone"
            if self.scheduler is not None and now - swept > sweep_every and (sweep is None or sweep.done()):
                swept, sweep = now, asyncio.create_task(self.scheduler.pool.sweep())
            if hub.leases or (self.scheduler is not None and self.scheduler.active):
                continue
            last = max(hub.last_lease, self.scheduler.last_request if self.scheduler else born)
            if now - last >= idle and (hub.had_lease or now - born >= max(idle, _FIRST_LEASE_S)):
                return "idle"


def _uvicorn_server(app: Any, accepting: asyncio.Event) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            """None of its own: on a signal the event streams must end before the connections do."""
            return nullcontext()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            accepting.set()

    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACEFUL_S,
            h11_max_incomplete_event_size=64 * 1024,
        )
    )


def backend_factory(settings: EngineSettings) -> Callable[[], Any]:
    """A function that imports and makes the model side; it is called on a thread, after the engine is ready."""
    module, _, name = os.environ.get(BACKEND_VARIABLE, DEFAULT_BACKEND).partition(":")

    def create() -> Any:
        try:
            make = getattr(importlib.import_module(module), name)
            return make(device=settings.device, threads=settings.threads)
        except (ImportError, AttributeError) as error:
            raise InklingError(
                "engine-broken",
                f"The engine's model side cannot be imported: {error}.",
                "Reinstall inkling-ls; `inkling doctor` says what is missing.",
            ) from error

    return create


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m inkling.engine`: what clients start."""
    parser = argparse.ArgumentParser(prog="python -m inkling.engine")
    add_arguments(parser)
    return run(parser.parse_args(argv))
