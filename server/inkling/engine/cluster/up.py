"""`inkling cluster up`: join or start Ray, serve, wait, drain."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from inkling.engine.cluster.options import APPLICATION, ENVIRONMENT
from inkling.engine.cluster.replies import why_not_started
from inkling.engine.cluster.settings import ClusterSettings
from inkling.engine.cluster.tokens import read_tokens
from inkling.errors import InklingError

_PROBE_S = 3.0
_FAILURES = 8
_POLL_S = 0.25
_LEAVE_S = 30.0
"""How long after the draining time Ray may take to end what has finished."""
_PROXY_S = 20.0
"""How long after its replicas a proxy may take to come up on this node, if one comes at all."""
_LOGS = "Ray's own logs are in its session's folder, under logs/serve."


def prepare(settings: ClusterSettings) -> None:
    """Before ray is imported: it reads its environment then."""
    os.environ.update(ENVIRONMENT)
    # HAProxy learns at once that a gateway leaves, so a gateway need not linger for slower load balancers.
    os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "5")
    os.environ["RAY_SERVE_ENABLE_HA_PROXY"] = str(int(settings.haproxy))


def ray_and_serve() -> tuple[Any, Any]:
    """Raises `InklingError("no-ray")` where the extra is not installed."""
    try:
        import ray
        from ray import serve
    except ImportError:
        raise InklingError(
            "no-ray", "Ray is not installed here.", "Install the extra: pip install 'inkling-ls[cluster]'"
        ) from None
    return ray, serve


def up(settings: ClusterSettings, *, address: str = "", detach: bool = False, say: Callable[[str], None]) -> None:
    """Serve until a signal comes; with `detach` on a running Ray, leave it serving.

    A Ray that runs here is joined when `address` names it (`auto`, or `host:port`); else one is started on this machine
    and ends with this process.
    """
    tokens = read_tokens(settings)
    prepare(settings)
    ray, serve = ray_and_serve()
    from inkling.engine.cluster.application import build

    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    options["address"] = address or "local"  # not what a Ray that is long gone may have left in the temporary folder
    if not address:
        options["include_dashboard"] = False
        if settings.host in ("127.0.0.1", "localhost"):
            options["_node_ip_address"] = "127.0.0.1"
    try:
        ray.init(**options)
    except Exception as error:  # a node that is not ready in time is a plain Exception of Ray's
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InklingError("ray-down", f"Ray cannot be started or joined: {reason}", "See `ray status`.") from None
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # Its own handler for SIGTERM would end the process before anything has drained.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        serve.start(
            proxy_location="EveryNode",
            http_options={"host": settings.host, "port": settings.port},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        served_before = APPLICATION in serve.status().applications
        say("starting the replicas …")
        target = serve.RunTarget(build(settings.arguments()), name=APPLICATION, route_prefix="/")
        try:
            serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
            running = _until_running(serve, stop, settings, patient=not address)
        except BaseException as error:
            if not served_before:  # a pool that serves keeps what it can of its older settings
                _take_down(serve, settings)
            if isinstance(error, RuntimeError | ray.exceptions.RayError):
                raise InklingError("cluster-failed", why_not_started(str(error)), _LOGS) from None
            raise
        if running:
            guarded = "with a token" if tokens else "without a token, for this machine alone"
            say(f"serving on http://{settings.host}:{settings.port} {guarded}")
        if detach and address and (served_before or running):
            return
        _watch(stop, settings)
        say("draining …")
        _take_down(serve, settings)
    finally:
        with suppress(Exception):
            ray.shutdown()


def _until_running(serve: Any, stop: threading.Event, settings: ClusterSettings, *, patient: bool) -> bool:
    """Until every deployment has its replicas and HTTP answers here; False when a signal came before.

    Ray's own wait would not look at the signal. A node of a larger Ray that has no replica has no proxy either, so only
    the `patient` wait for HTTP as long as it takes. Raises `InklingError("cluster-failed")`.
    """
    until: float | None = None
    while not stop.wait(_POLL_S):
        found = serve.status().applications.get(APPLICATION)
        if found is None or found.status.value == "DEPLOY_FAILED":
            raise InklingError("cluster-failed", why_not_started(_told(serve)), _LOGS)
        if found.status.value == "RUNNING":
            until = until or time.monotonic() + _PROXY_S
            if _answers(settings) or (not patient and time.monotonic() > until):
                return True
    return False


def _take_down(serve: Any, settings: ClusterSettings) -> None:
    """Delete the application, wait until its replicas have finished, and end Serve unless it serves something else."""
    with suppress(Exception):  # what is lost already is down
        serve.delete(APPLICATION, _blocking=False)
        until = time.monotonic() + settings.drain_seconds + _LEAVE_S
        while APPLICATION in serve.status().applications and time.monotonic() < until:
            time.sleep(_POLL_S)
        if not set(serve.status().applications) - {APPLICATION}:
            serve.shutdown()


def _told(serve: Any) -> str:
    """What the deployments say of themselves; the application's own error only names them."""
    with suppress(Exception):
        deployments = serve.status().applications[APPLICATION].deployments.values()
        return "\n".join(str(one.message) for one in deployments if one.message)
    return ""


def _watch(stop: threading.Event, settings: ClusterSettings) -> None:
    """Until a signal. Raises `InklingError("cluster-lost")` when nothing answers any more.

    Whoever started this process, systemd or a container's restart policy, then starts it again.
    """
    failures = 0
    while not stop.wait(_PROBE_S):
        failures = 0 if _answers(settings) else failures + 1
        if failures >= _FAILURES:
            raise InklingError(
                "cluster-lost", "The cluster does not answer any more.", "See `ray status` and its logs."
            )


def _answers(settings: ClusterSettings) -> bool:
    """Whether a gateway is behind this node's port."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
