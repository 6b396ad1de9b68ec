"""Routes of our own: health, load, status, events (the lease), shutdown, and metrics for Prometheus."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inkling import __version__
from inkling.engine.asgi import EventStream, Json, Watched, read_json
from inkling.engine.models.catalog import resolve
from inkling.engine.openai_format import field_of
from inkling.engine.protocol import EngineEvent, Task
from inkling.engine.scheduler import Scheduler
from inkling.engine.templates.files import read_template
from inkling.engine.templates.process import SHARED
from inkling.engine.wire import PROTOCOL_VERSION, event_body, sse, status_body
from inkling.engine.work import Work
from inkling.errors import InklingError

_GAUGES = {"uptime_s", "leases"}


def routes() -> list[Route]:
    """Routes for processes, not for models."""
    return [
        Route("/health", health),
        Route("/metrics", metrics),
        Route("/inkling/status", status),
        Route("/inkling/events", events),
        Route("/inkling/load", load, methods=["POST"]),
        Route("/inkling/chat-template", chat_template, methods=["POST"]),
        Route("/inkling/shutdown", shutdown, methods=["POST"]),
    ]


async def health(request: Request) -> Response:
    """200 as soon as requests are taken; models load on first use."""
    return Json({"status": "ok", "pid": os.getpid(), "version": __version__, "protocol": PROTOCOL_VERSION})


async def status(request: Request) -> Response:
    """`EngineStatus` as JSON."""
    return Json(status_body(_status(request)))


def _status(request: Request) -> Any:
    scheduler: Scheduler = request.app.state.scheduler
    return scheduler.status(**request.app.state.facts)


async def load(request: Request) -> Any:
    """Load a model now: `{"model", "task", "quantization"}` gives its `ModelState` once it is ready."""
    body = await read_json(request)
    scheduler: Work = request.app.state.scheduler
    model = field_of(body, "model", str, "")
    task = field_of(body, "task", str, "")
    if not model or task not in set(Task):
        raise InklingError("bad-request", "`model` and a known `task` are needed.")
    quantization = field_of(body, "quantization", str, "auto")

    async def work() -> Response:
        return Json(asdict(await scheduler.load(model, task, quantization)))

    return Watched(work)


async def chat_template(request: Request) -> Any:
    """A conversation through a model's chat template: `{"model", "messages", "tools", "add_generation_prompt"}`."""
    body = await read_json(request)
    model = field_of(body, "model", str, "")
    messages, tools = field_of(body, "messages", list, []), field_of(body, "tools", list, [])
    if not model or not all(isinstance(message, Mapping) for message in messages):
        raise InklingError("bad-request", "`model` and `messages`, a list of objects, are needed.")
    prompt = field_of(body, "add_generation_prompt", bool, False)

    async def work() -> Response:
        return Json(await asyncio.to_thread(_rendered, model, messages, tools, prompt))

    return Watched(work)


def _rendered(model: str, messages: list[Any], tools: list[Any], prompt: bool) -> dict[str, Any]:
    template, special = read_template(model, resolve(model).path)
    answer = SHARED.render(
        {
            "template": template,
            "special": special,
            "messages": messages,
            "tools": tools,
            "add_generation_prompt": prompt,
        }
    )
    if "refused" not in answer:
        return answer
    # only the template's own words are about a message; else the template is at fault, or a message lacks something
    words = {"raised": "{}", "missing": "It misses something: {}", "failed": "The template rejects it: {}"}
    said = words.get(answer["refused"], "The template is not usable: {}").format(answer["words"])
    return {"refused": said, "at": answer.get("at") if answer["refused"] in words else None}


async def events(request: Request) -> EventStream:
    """Events as they happen; the first is `started`. While this is open the engine stays."""
    return EventStream(_events(request.app.state.scheduler))


async def _events(scheduler: Work) -> AsyncGenerator[bytes, None]:
    if scheduler.hub.closed:
        raise InklingError("engine-stopping", "The engine is leaving.")
    started = EngineEvent("started", message=f"inkling engine {__version__}, process {os.getpid()}")
    known = (EngineEvent("model", state) for state in scheduler.pool.states())
    async with aclosing(scheduler.hub.subscribe(started, *known)) as stream:
        async for event in stream:
            yield sse(event_body(event))


async def shutdown(request: Request) -> Response:
    """Leave: open event streams get `stopped` and end, then the process exits."""
    stop: Callable[[], None] = request.app.state.shutdown
    asyncio.get_running_loop().call_soon(stop)
    return Json({"status": "stopping", "pid": os.getpid()}, 202)


async def metrics(request: Request) -> Response:
    """Counters and gauges in Prometheus's text format."""
    state = _status(request)
    numbers: list[tuple[str, str, float]] = [
        ("active_requests", "gauge", state.active_requests),
        ("queued_requests", "gauge", state.queued_requests),
        ("resident_bytes", "gauge", state.resident_bytes),
        ("loaded_models", "gauge", sum(model.state == "ready" for model in state.models)),
        ("generated_tokens_total", "counter", state.generated_tokens),
        ("prefill_tokens_total", "counter", state.prefill_tokens),
        ("cancelled_requests_total", "counter", state.cancelled_requests),
    ]
    for name, value in state.extra.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            gauge = name in _GAUGES
            numbers.append((name if gauge else f"{name}_total", "gauge" if gauge else "counter", value))
    lines: list[str] = []
    for name, kind, value in numbers:
        lines += [f"# TYPE inkling_{name} {kind}", f"inkling_{name} {value}"]
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")
