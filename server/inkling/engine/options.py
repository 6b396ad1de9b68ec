"""The settings as options of the engine's command line, and back."""

from __future__ import annotations

import argparse

from inkling.engine.runtime import HAS_UNIX_SOCKETS
from inkling.engine.settings import EngineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `inkling engine run`, one per setting that concerns the process."""
    defaults = EngineSettings()
    parser.add_argument("--device", default=defaults.device, help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--threads", type=int, default=defaults.threads, help="compute threads; 0 chooses")
    parser.add_argument("--memory-budget-mb", type=int, default=defaults.memory_budget_mb, metavar="MIB")
    parser.add_argument("--idle-seconds", type=float, default=defaults.idle_seconds, metavar="S")
    parser.add_argument("--unload-seconds", type=float, default=defaults.unload_seconds, metavar="S")
    parser.add_argument("--queue-limit", type=int, default=defaults.queue_limit, metavar="N")
    parser.add_argument("--name", default="", help="where its socket is; chosen by whoever starts it")
    parser.add_argument("--private", action="store_true", help="serve one window alone")
    parser.add_argument("--parent", type=int, default=0, metavar="PID", help="leave when this process ends")
    parser.add_argument(
        "--tcp",
        action="store_true",
        default=not HAS_UNIX_SOCKETS,
        help="loopback and a token in place of a Unix socket",
    )


def arguments_for(settings: EngineSettings, *, name: str, parent: int = 0, tcp: bool = False) -> list[str]:
    """The options that give these settings."""
    return [
        f"--device={settings.device}",
        f"--threads={settings.threads}",
        f"--memory-budget-mb={settings.memory_budget_mb}",
        f"--idle-seconds={settings.idle_seconds}",
        f"--unload-seconds={settings.unload_seconds}",
        f"--queue-limit={settings.queue_limit}",
        f"--name={name}",
        *(["--private"] if settings.private else []),
        *([f"--parent={parent}"] if parent else []),
        *(["--tcp"] if tcp else []),
    ]


def settings_of(args: argparse.Namespace) -> EngineSettings:
    """The settings that the options give."""
    return EngineSettings(
        private=args.private,
        device=args.device,
        threads=args.threads,
        memory_budget_mb=args.memory_budget_mb,
        idle_seconds=args.idle_seconds,
        unload_seconds=args.unload_seconds,
        queue_limit=args.queue_limit,
    )
