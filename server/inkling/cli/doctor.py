"""`inkling doctor`: what works here, what does not, and what to do about it.

Loads no model and changes nothing. Torch is looked at in a child process, so that a broken install is a finding and
not the end of the doctor.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inkling import __version__
from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.settings import EngineSettings

PACKAGES = ("pygls", "lsprotocol", "tokenizers", "torch", "transformers", "bitsandbytes", "safetensors", "httpx2")
TORCH_PROBE = """
import json, torch
cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
mps = bool(getattr(torch.backends, "mps", None) and torch.backends.mps.is_available())
cpu = torch.backends.cpu.get_cpu_capability()
print(json.dumps({"cuda": cuda, "mps": mps, "threads": torch.get_num_threads(), "cpu": cpu}))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `state` is `ok`, `off` (works without it) or `broken`; `advice` says what to do."""

    area: str
    name: str
    state: str
    detail: str
    advice: str = ""


def add_parser(subparsers: Any) -> None:
    """Describe the arguments."""
    parser: argparse.ArgumentParser = subparsers.add_parser("doctor", help="what works here and what does not")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when something is broken."""
    findings = [*_versions(), *_devices(), *_settings(), *_plugins(), *_models(), *_engine(), *_remotes()]
    if args.json:
        print(json.dumps({"inkling": __version__, "findings": [asdict(finding) for finding in findings]}, indent=1))
    else:
        _print(findings)
    return int(any(finding.state == "broken" for finding in findings))


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    marks = {"ok": ("✓", "green"), "off": ("·", "bright_black"), "broken": ("✗", "red")}
    area = ""
    for finding in findings:
        if finding.area != area:
            area = finding.area
            console.print(Text(f"\n{area}", style="bold"))
        mark, style = marks[finding.state]
        console.print(Text.assemble("  ", (mark, style), f" {finding.name}: {finding.detail}"))
        if finding.advice:
            console.print(Text(f"      {finding.advice}", style="yellow"))


def _versions() -> list[Finding]:
    found = [
        Finding("versions", "inkling", "ok", __version__),
        Finding("versions", "python", "ok", f"{platform.python_version()} ({sys.executable})"),
    ]
    for package in PACKAGES:
        try:
            found.append(Finding("versions", package, "ok", metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append(Finding("versions", package, "broken", "not installed", f"pip install {package}"))
    return found


def _devices() -> list[Finding]:
    done = subprocess.run(
        [sys.executable, "-c", TORCH_PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [Finding("devices", "torch", "broken", f"does not import: {reason}", "Reinstall torch.")]
    probe = json.loads(done.stdout.splitlines()[-1])
    gpus = probe["cuda"] or (["Apple GPU (mps)"] if probe["mps"] else [])
    free = shutil.disk_usage(Path.home()).free
    import psutil

    memory = psutil.virtual_memory()
    return [
        Finding("devices", "cpu", "ok", f"{os.cpu_count()} cores, {probe['threads']} threads used, {probe['cpu']}"),
        Finding("devices", "gpu", "ok" if gpus else "off", ", ".join(gpus) or "none: models run on the CPU"),
        Finding("devices", "memory", "ok", f"{memory.available >> 20:,} of {memory.total >> 20:,} MiB free"),
        Finding("devices", "disk", "ok" if free > 1 << 30 else "broken", f"{free >> 20:,} MiB free at home"),
    ]


def _settings() -> list[Finding]:
    """The user's and this folder's settings as the server takes them, and whether the models they name are here."""
    from inkling.engine.settings import EngineSettings, engine_problems
    from inkling.settings import Problem, ServerSettings, installed_plugins, load_for, user_file, workspace_files

    path, here = user_file(), Path.cwd()
    files = [str(file) for file in workspace_files(here) if file.is_file()]
    exists = path.is_file()
    found = [
        Finding("settings", "your own", "ok" if exists else "off", str(path) if exists else f"{path}, not there yet"),
        Finding("settings", "this folder's", "ok" if files else "off", ", ".join(files) or f"none in {here}"),
    ]
    loaded = load_for(here)
    tables: dict[str, type] = {"server": ServerSettings, "engine": EngineSettings, **installed_plugins()}
    problems = [*loaded.problems, *loaded.unknown_tables(tables)]
    engine_settings = loaded.build("engine", EngineSettings)[0]
    for name, settings_class in tables.items():
        built: tuple[Any, list[Problem]] = loaded.build(name, settings_class)
        problems += built[1]
        model = getattr(built[0], "model", "")
        if model:
            found.append(_model(f"{name}.model", model, elsewhere=bool(engine_settings.remotes)))
    problems += [Problem("bad-value", key, "", words) for key, words in engine_problems(engine_settings)]
    return found + [Finding("settings", problem.key, "broken", str(problem)) for problem in dict.fromkeys(problems)]


def _model(key: str, model: str, *, elsewhere: bool) -> Finding:
    from inkling.engine.models.catalog import resolve

    try:
        resolve(model, root=Path.cwd())
    except InklingError as error:
        if elsewhere and error.reason == "model-not-found":
            return Finding("settings", key, "off", f"{model} is not on this machine; a remote engine may have it")
        return Finding("settings", key, "broken", error.message, error.hint)
    return Finding("settings", key, "ok", model)


def _plugins() -> list[Finding]:
    found = []
    for entry in sorted(metadata.entry_points(group="inkling.plugins"), key=lambda entry: entry.name):
        source = entry.dist.name if entry.dist else "unknown"
        try:
            entry.load()
        except Exception as error:  # a plugin's import may fail in any way; that is the finding
            detail = f"from {source}, fails to import: {type(error).__name__}: {error}"
            found.append(Finding("plugins", entry.name, "broken", detail, f"Update or uninstall {source}."))
        else:
            found.append(Finding("plugins", entry.name, "ok", f"from {source}"))
    return found


def _models() -> list[Finding]:
    from inkling.engine.models.catalog import list_cached, list_starters

    found = []
    for entry in [*list_starters(), *list_cached()]:
        if entry.source is None:
            message, hint = (entry.error.message, entry.error.hint) if entry.error else ("cannot be used", "")
            found.append(
                Finding("models", entry.id, "broken" if entry.id.startswith("starter:") else "off", message, hint)
            )
            continue
        size = f"{entry.source.bytes / 1e6:,.1f} MB"
        detail = f"{entry.source.task or 'unknown task'}, {size}, {entry.source.licence or 'licence not stated'}"
        found.append(Finding("models", entry.id, "ok", detail))
    return found


def _engine_settings() -> EngineSettings:
    from inkling.engine.settings import EngineSettings
    from inkling.settings import load_for

    return load_for(Path.cwd()).build("engine", EngineSettings)[0]


def _remotes() -> list[Finding]:
    from inkling.cli.doctor_remotes import findings

    return [Finding("remote engines", *found) for found in findings(_engine_settings())]


def _engine() -> list[Finding]:
    import asyncio

    from inkling.engine.client import EngineClient

    async def ask() -> Any:
        engine = EngineClient(_engine_settings())
        try:
            return await engine.status()
        finally:
            await engine.close()

    try:
        status = asyncio.run(ask())
    except InklingError as error:
        state = "off" if error.reason == "engine-down" else "broken"
        detail = "not running: it starts when an editor needs it" if state == "off" else error.message
        return [Finding("engine", "state", state, detail, error.hint if state == "broken" else "")]
    models = ", ".join(f"{model.id} ({model.state})" for model in status.models) or "none loaded"
    device = "the device is chosen with the first model" if status.device == "auto" else f"on {status.device}"
    detail = f"running as process {status.pid}; {device}; models: {models}"
    return [Finding("engine", "state", "ok", detail)]
