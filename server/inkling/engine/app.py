"""The ASGI app: one wire protocol for every place an engine runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from inkling.engine import routes_inkling, routes_openai, routes_tasks
from inkling.engine.asgi import Guard, on_error
from inkling.engine.backend import Backend
from inkling.engine.events import EventHub
from inkling.engine.scheduler import Scheduler
from inkling.engine.settings import EngineSettings
from inkling.engine.work import Work
from inkling.errors import InklingError


def create_app(
    create_backend: Callable[[], Backend],
    settings: EngineSettings | None = None,
    *,
    hub: EventHub | None = None,
    shutdown: Callable[[], None] = lambda: None,
    token: str = "",
    hosts: frozenset[str] = frozenset(),
    facts: Mapping[str, Any] | None = None,
    on_scheduler: Callable[[Scheduler], None] = lambda scheduler: None,
) -> ASGIApp:
    """The app around a model side.

    `create_backend` is called once, on a thread; `shutdown` is what `POST /inkling/shutdown` calls; with a `token`
    every request must carry it and name one of `hosts`; `facts` are added to the status; `on_scheduler` gets the
    scheduler once the app has started.
    """

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work, None]:
        scheduler = Scheduler(create_backend, settings or EngineSettings(), hub or EventHub())
        on_scheduler(scheduler)
        scheduler.pool.warm().add_done_callback(lambda task: task.exception())  # raised again by each load
        try:
            yield scheduler
        finally:
            await scheduler.close()

    app = app_around(work)
    app.state.shutdown = shutdown
    app.state.facts = dict(facts or {})
    return Guard(app, tokens=(token,) if token else (), hosts=hosts)


def app_around(work: Callable[[], AbstractAsyncContextManager[Work]], first: Sequence[Route] = ()) -> Starlette:
    """The routes around whoever does the work, which is entered when the app starts; routes in `first` come first."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
        async with work() as app.state.scheduler:
            yield

    return Starlette(
        # They are tried in this order, and what is asked most comes before what is asked now and then.
        routes=[*first, *routes_tasks.routes(), *routes_openai.routes(), *routes_inkling.routes()],
        lifespan=lifespan,
        exception_handlers={InklingError: on_error, HTTPException: on_error, Exception: on_error},
    )
