"""The `[engine]` table of inkling.toml: how the engine is started, shared and bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inkling.engine.protocol import Task
from inkling.engine.remote.settings import LOCAL, RemoteSettings, remote_problems


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to start and share the engine.

    They are read from user-level settings, since a workspace must not choose what runs; `remotes` and `routes` also
    from a workspace that is trusted. The first window that
    needs the engine decides: windows that join a running engine take it as it is, unless `device` differs, which
    makes a second engine beside it.
    """

    private: bool = False
    """One engine for this window alone, which dies with it, in place of the one shared by all windows."""

    device: str = "auto"
    """Where models run: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""

    threads: int = 0
    """Compute threads on the CPU; 0 takes one per physical core, at most 8."""

    idle_seconds: float = 300.0
    """The engine leaves this long after its last window or command has gone, so that the next need not load models."""

    unload_seconds: float = 900.0
    """A model leaves memory after this long without a request."""

    memory_budget_mb: int = 0
    """Memory for models, in MiB; 0 takes 70 % of what is free when the engine starts."""

    queue_limit: int = 256
    """Requests that may wait per model; more are refused with `engine-busy`. One window may hold a quarter."""

    start_seconds: float = 60.0
    """How long to wait for the engine's process to answer before saying that it does not start."""

    request_seconds: float = 600.0
    """The longest that one request without a deadline of its own may take, loading of the model included."""

    crash_limit: int = 5
    """After this many crashes within `crash_window_seconds` the engine stays down until it is restarted by hand."""

    crash_window_seconds: float = 180.0
    """See `crash_limit`."""

    remotes: Mapping[str, RemoteSettings] = field(default_factory=dict)
    """Engines elsewhere, each a table `[engine.remotes.NAME]`: see docs/remote.md."""

    routes: Mapping[str, str] = field(default_factory=dict)
    """Where each task's text goes: a task, or `"*"` for all others, = a remote's name or `local`."""


def route(settings: EngineSettings, task: str) -> str:
    """The name of the engine that serves a task: a remote's, or `local`."""
    return settings.routes.get(task) or settings.routes.get("*") or LOCAL


def engine_problems(settings: EngineSettings) -> list[tuple[str, str]]:
    """(dotted key, what is wrong) of routes that lead nowhere and remotes that cannot be asked."""
    from inkling.settings.problem import did_you_mean

    found: list[tuple[str, str]] = []
    for task, name in settings.routes.items():
        key = f"engine.routes.{task}"
        if task != "*" and task not in set(Task):
            found.append((key, f'There is no task "{task}".{did_you_mean(task, Task)}'))
        if name != LOCAL and name not in settings.remotes:
            near = did_you_mean(name, settings.remotes)
            found.append((key, f'"{name}" is no remote engine: there is no [engine.remotes.{name}].{near}'))
    for name, remote in settings.remotes.items():
        found += remote_problems(name, remote)
    return found
