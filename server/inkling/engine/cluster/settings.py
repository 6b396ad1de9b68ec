"""What a cluster serves: `cluster.toml`, or the same table as arguments in a Serve config."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from inkling.engine.protocol import Task
from inkling.errors import InklingError
from inkling.settings.build import build
from inkling.settings.problem import Problem

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _number(default: Any, low: float) -> Any:
    return field(default=default, metadata={"min": low})


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: a Serve deployment with replicas of its own. The model's files are on every node that may run it."""

    id: str = ""
    """As in the catalog: `starter:code`, or `organization/name` from the local hub cache."""

    tasks: list[Task] = field(default_factory=list)
    """What it is used for, `text-generation` alone or any others; each is loaded when a replica starts."""

    quantization: Literal["auto", "none", "int8", "int4", "nf4"] = "auto"
    """The cluster decides it, whatever a request says."""

    min_replicas: int = _number(1, 0)
    """Kept when nobody asks; 0 frees the GPU at night, and the first request of the morning waits for a load."""

    max_replicas: int = _number(1, 1)
    """The most."""

    target_ongoing_requests: float = _number(2.0, 0.1)
    """Replicas are added while each has more requests in progress than this, on average."""

    max_ongoing_requests: int = _number(16, 1)
    """The most that one replica takes; more wait in the gateway."""

    max_queued_requests: int = _number(200, -1)
    """The most that wait in one gateway; more are refused with 503 and `Retry-After`. -1 for no limit."""

    upscale_seconds: float = _number(10.0, 0)
    """Load must last this long before a replica is added."""

    downscale_seconds: float = _number(300.0, 0)
    """Quiet must last this long before one is taken away."""

    cpus: float = _number(1.0, 0)
    """Cores that a replica reserves and computes on."""

    gpus: float = _number(0.0, 0)
    """GPUs that a replica reserves; 0.5 puts two on one GPU."""

    batch_size: int = _number(32, 1)
    """Requests of an encoder task that are computed together."""

    batch_wait_ms: float = _number(2.0, 0)
    """How long the first of them waits for the others."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The whole of `cluster.toml`."""

    host: str = "127.0.0.1"
    """The address that HTTP is served on. Anything but loopback needs a token."""

    port: int = field(default=8000, metadata={"min": 1, "max": 65535})
    """Its port."""

    haproxy: bool = True
    """Serve through HAProxy, which Ray brings: several times faster than its own proxy. Needs a token, since the
    gateways then listen on every interface of their nodes."""

    token_file: str = ""
    """A file of mode 0600 with one token a line, at this path on every node. Else `INKLING_CLUSTER_TOKEN` holds one."""

    min_gateways: int = _number(1, 1)
    """Gateways hold no model; two or more outlive the loss of a node."""

    max_gateways: int = _number(4, 1)
    """The most; one is added for every 200 requests in progress."""

    drain_seconds: float = _number(30.0, 0)
    """How long a replica or gateway that is to leave may finish what it is doing."""

    request_seconds: float = _number(120.0, 1)
    """The longest that a request without a deadline of its own may take, waiting for a replica included."""

    spill: int = _number(2, 0)
    """A completion leaves the replica that holds its cache while that one has so many requests more than the idlest."""

    models: list[ModelSpec] = field(default_factory=list)
    """What is served."""

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can connect."""
        return self.host in LOOPBACK and not self.haproxy

    def arguments(self) -> dict[str, Any]:
        """As plain values, without what is the default: the `args` of a Serve config."""
        plain = _without_defaults(self)
        plain["models"] = [_without_defaults(model) for model in self.models]
        return plain


def _without_defaults(settings: Any) -> dict[str, Any]:
    default = asdict(type(settings)())
    values = {key: value for key, value in asdict(settings).items() if value != default[key]}
    if "tasks" in values:
        values["tasks"] = [str(task) for task in values["tasks"]]
    return values


def read_settings(path: Path) -> ClusterSettings:
    """Raises `InklingError("cluster-settings")` with every problem of the file."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InklingError(
            "cluster-settings",
            f"{path} cannot be read: {error.strerror}.",
            'Name the pool\'s settings with -f. The smallest are: [[models]], id = "starter:code", '
            'tasks = ["text-generation"], each on a line of its own.',
        ) from None
    except ValueError as error:
        raise InklingError("cluster-settings", f"{path} is not TOML: {error}.") from None
    return settings_from(table, str(path))


def settings_from(table: Mapping[str, Any], where: str = "the cluster's settings") -> ClusterSettings:
    """From plain values. Unlike an editor's settings nothing falls back: a pool that runs half is worse than none."""
    settings, problems = build(ClusterSettings, table, where)
    found = [str(problem) for problem in (*problems, *_inconsistent(settings, where))]
    if found:
        raise InklingError("cluster-settings", "\n".join(found))
    return settings


def _inconsistent(settings: ClusterSettings, where: str) -> list[Problem]:
    found: list[Problem] = []

    def report(key: str, message: str) -> None:
        found.append(Problem("inconsistent", key, where, message))

    if not settings.models:
        report("models", "There is no [[models]]: name at least one.")
    if settings.max_gateways < settings.min_gateways:
        report("max_gateways", "max_gateways is smaller than min_gateways.")
    served: set[tuple[str, str]] = set()
    for index, model in enumerate(settings.models):
        key = f"models[{index}]"
        if not model.id:
            report(key, f"{key} has no id.")
        if not model.tasks:
            report(key, f"{key} has no tasks; tasks are {', '.join(Task)}.")
        if Task.TEXT_GENERATION in model.tasks and len(model.tasks) > 1:
            report(key, f"{key}: text-generation is scaled by itself; give the other tasks a [[models]] of their own.")
        if model.max_replicas < model.min_replicas:
            report(key, f"{key}: max_replicas is smaller than min_replicas.")
        for task in model.tasks:
            if (model.id, task) in served:
                report(key, f"{key}: {model.id} is already served for {task}.")
            served.add((model.id, task))
    return found


def deployment_names(settings: ClusterSettings) -> list[str]:
    """A name for each model's deployment, fit for a URL and a metric's label, in order."""
    names: list[str] = []
    for model in settings.models:
        slug = re.sub(r"[^A-Za-z0-9]+", "-", model.id).strip("-").lower() or "model"
        name, count = slug, 2
        while name in names:
            name, count = f"{slug}-{count}", count + 1
        names.append(name)
    return names
