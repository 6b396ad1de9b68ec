"""Where a running engine is found: its folder, its name, its info file. Shared by the engine and its clients.

The folder is the user's own and closed to others, or nothing works: whoever can write there could stand in for the
engine and read the user's text.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import socket
import stat
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from inkling import __version__
from inkling.engine.settings import EngineSettings
from inkling.engine.wire import PROTOCOL_VERSION
from inkling.errors import InklingError

BACKEND_VARIABLE = "INKLING_ENGINE_BACKEND"
"""For tests: `module:callable` that makes the model side. An environment variable, so that no workspace can set it."""

DEFAULT_BACKEND = "inkling.engine.models.store:create_backend"

HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX") and sys.platform != "win32"

_SUN_PATH = 103
"""Bytes that a socket's path may have: 108 with the final zero on Linux, 104 on macOS."""


def runtime_folder() -> Path:
    """The folder of sockets, locks and info files, made if missing. Raises `InklingError("runtime-folder")`."""
    import platformdirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of falling back to /tmp/runtime-<uid>, which is checked below
        folder = Path(platformdirs.user_runtime_dir("inkling", appauthor=False))
    return private_folder(folder)


def log_folder() -> Path:
    """Where logs go; not checked, since nothing is read from there."""
    import platformdirs

    return Path(platformdirs.user_log_dir("inkling", appauthor=False))


def private_folder(folder: Path) -> Path:
    """Make it with mode 0700 if missing, and check that it is ours alone. Raises `InklingError("runtime-folder")`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid"):
            _check_owner(folder)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise _refused(folder, "cannot be read and written")
    except OSError as error:
        raise _refused(folder, f"cannot be used: {error.strerror or type(error).__name__}") from None
    return folder


def _check_owner(folder: Path) -> None:
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode):
        raise _refused(folder, "is not a folder")
    if state.st_uid != os.getuid():
        raise _refused(folder, "belongs to another user")
    if state.st_mode & 0o077:
        raise _refused(folder, f"is open to other users (run: chmod 700 {folder})")
    parent = folder.parent.stat()
    sticky = parent.st_mode & stat.S_ISVTX
    if parent.st_uid not in (0, os.getuid()) or (parent.st_mode & 0o022 and not sticky):
        raise _refused(folder.parent, "could be changed by another user")


def _refused(folder: Path, why: str) -> InklingError:
    return InklingError(
        "runtime-folder",
        f"The engine's folder {folder} {why}.",
        "Repair it, or set XDG_RUNTIME_DIR to a folder of your own.",
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one engine."""

    name: str
    folder: Path

    @property
    def lock(self) -> Path:
        """Held by the engine for its whole life; only its holder may unlink and bind the socket."""
        return self.folder / f"{self.name}.lock"

    @property
    def start_lock(self) -> Path:
        """Held by the one client that is starting the engine, so that the others wait rather than spawn too."""
        return self.folder / f"{self.name}.start"

    @property
    def info(self) -> Path:
        """What the engine says of itself, mode 0600."""
        return self.folder / f"{self.name}.json"

    @property
    def socket(self) -> Path:
        """The Unix socket; in a short folder of its own when this one's path is too long for a socket's address."""
        path = self.folder / f"{self.name}.sock"
        if len(os.fsencode(path)) <= _SUN_PATH:
            return path
        where = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return private_folder(Path(f"/tmp/inkling-{os.getuid()}-{where}")) / f"{self.name}.sock"  # noqa: S108

    @property
    def log(self) -> Path:
        """The log file."""
        return log_folder() / f"engine-{self.name}.log"


def place(settings: EngineSettings, *, private_to: str = "") -> Place:
    """Where the engine for these settings is or will be."""
    return Place(engine_name(settings.device, private_to), runtime_folder())


def engine_name(device: str, private_to: str = "") -> str:
    """Equal for clients that may share an engine: same protocol, code, interpreter, device and model side."""
    parts = (
        PROTOCOL_VERSION,
        __version__,
        _code_stamp(),
        sys.executable,
        device,
        os.environ.get(BACKEND_VARIABLE, DEFAULT_BACKEND),
        private_to,
    )
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


@functools.cache
def _code_stamp() -> int:
    """Newest change of the engine's own code: an upgrade in place must not join an engine of the old code."""
    here = Path(__file__).parent
    return max(path.stat().st_mtime_ns for path in here.rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Info:
    """What the info file says. `socket` or `port` with `token`; `created` is the process's start, to know it again."""

    name: str
    pid: int
    created: float
    version: str = __version__
    protocol: int = PROTOCOL_VERSION
    socket: str = ""
    port: int = 0
    token: str = ""
    log: str = ""
    device: str = "auto"
    private: bool = False

    def write(self, path: Path) -> None:
        """Atomically, mode 0600."""
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        temporary.replace(path)


def read_info(path: Path) -> Info | None:
    """None when there is none, or none that can be read."""
    try:
        data = json.loads(path.read_text("utf-8"))
        known = {item.name for item in fields(Info)}
        return Info(**{key: value for key, value in data.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def is_running(info: Info) -> bool:
    """True when the very process that wrote the file lives, not another that got its number."""
    import psutil

    try:
        process = psutil.Process(info.pid)
        same = abs(process.create_time() - info.created) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def engine_environment(settings: EngineSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment that the engine runs in: no hub token, no telemetry, no network."""
    secrets = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"}
    result = {key: value for key, value in environment.items() if key not in secrets}
    result |= {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "DO_NOT_TRACK": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONSAFEPATH": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    threads = str(settings.threads or _cores())
    if settings.threads or "OMP_NUM_THREADS" not in environment:
        result["OMP_NUM_THREADS"] = threads
    return result


def _cores() -> int:
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed, 8))


def error_report(error: InklingError) -> dict[str, Any]:
    """An error for the readiness handshake."""
    return {"error": {"reason": error.reason, "message": error.message, "hint": error.hint}}
