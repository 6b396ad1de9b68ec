"""Routes that mean something else on a cluster than in one process; they come before the engine's own."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inkling import __version__
from inkling.engine.asgi import Json
from inkling.engine.cluster.work import ClusterWork
from inkling.engine.wire import PROTOCOL_VERSION, status_body
from inkling.errors import InklingError

OPEN_PATHS = frozenset({"/health"})
"""Served without a token: what a load balancer asks."""


def routes() -> list[Route]:
    """The routes of a gateway."""
    return [
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/inkling/status", status),
        Route("/inkling/shutdown", shutdown, methods=["POST"]),
    ]


async def health(request: Request) -> Response:
    """200 while this gateway takes requests."""
    return Json({"status": "ok", "version": __version__, "protocol": PROTOCOL_VERSION})


async def metrics(request: Request) -> Response:
    """The whole cluster's metrics."""
    work: ClusterWork = request.app.state.scheduler
    return PlainTextResponse(await work.page(), media_type="text/plain; version=0.0.4")


async def status(request: Request) -> Response:
    """The whole cluster as one `EngineStatus`."""
    work: ClusterWork = request.app.state.scheduler
    return Json(status_body(await work.overview()))


async def shutdown(request: Request) -> Response:
    """No client stops what others use."""
    raise InklingError("forbidden", "A cluster is not stopped by its clients.", "Stop `inkling cluster up`.")
