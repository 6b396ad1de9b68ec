"""`inkling cluster up`: join or start Ray, serve, wait, drain."""

from __future__ import annotations

import http.client
import os
import signal
import threading
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
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InklingError("ray-down", f"Ray cannot be started or joined: {reason}", "See `ray status`.") from None
    # Its own handler for SIGTERM would end the process before anything has drained.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        serve.start(
            proxy_location="EveryNode",
            http_options={"host": settings.host, "port": settings.port},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        say("starting the replicas …")
        try:
            serve.run(build(settings.arguments()), name=APPLICATION, route_prefix="/")
        except RuntimeError as error:
            hint = "Ray's own logs are in its session's folder, under logs/serve."
            raise InklingError("cluster-failed", why_not_started(_told(serve) or str(error)), hint) from None
        guarded = "with a token" if tokens else "without a token, for this machine alone"
        say(f"serving on http://{settings.host}:{settings.port} {guarded}")
        if detach and address:
            return
        _watch(stop, settings)
        say("draining …")
        serve.delete(APPLICATION)
        serve.shutdown()
    finally:
        with suppress(Exception):
            ray.shutdown()


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
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host  # noqa: S104
    failures = 0
    while not stop.wait(_PROBE_S):
        connection = http.client.HTTPConnection(host, settings.port, timeout=_PROBE_S)
        try:
            connection.request("GET", "/health")
            failures = 0 if connection.getresponse().status == HTTPStatus.OK else failures + 1
        except (OSError, http.client.HTTPException):
            failures += 1
        finally:
            connection.close()
        if failures >= _FAILURES:
            raise InklingError(
                "cluster-lost", "The cluster does not answer any more.", "See `ray status` and its logs."
            )
