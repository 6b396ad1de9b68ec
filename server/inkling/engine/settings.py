"""The `[engine]` table of inkling.toml: how the engine is started, shared and bounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to start and share the engine.

    They are read from user-level settings only, since a workspace must not choose what runs. The first window that
    needs the engine decides: windows that join a running engine take it as it is, unless `device` differs, which
    makes a second engine beside it.
    """

    private: bool = False
    """One engine for this window alone, which dies with it, in place of the one shared by all windows."""

    device: str = "auto"
    """Where models run: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""

    threads: int = 0
    """Compute threads on the CPU; 0 takes one per physical core, at most 8."""

    idle_seconds: float = 60.0
    """The engine leaves this long after its last window has gone."""

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
