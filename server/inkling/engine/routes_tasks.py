"""Hugging Face's inference format: `POST /models/{id}/pipeline/{task}` with `{"inputs", "parameters"}`.

A single input gives the shape that Hugging Face's own clients read; a list of inputs gives one such item per input.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inkling.engine.asgi import EventStream, Json, Watched, read_json
from inkling.engine.openai_format import (
    chunk_extras,
    deadline_of,
    extras_of,
    field_of,
    generate_request,
    openai_finish,
    priority_of,
)
from inkling.engine.protocol import GenerateRequest, Priority, Task
from inkling.engine.wire import CLIENT_HEADER, dumps_vectors, sse
from inkling.engine.work import Work
from inkling.errors import InklingError

_LISTED = {Task.TEXT_CLASSIFICATION, Task.SUMMARIZATION, Task.TRANSLATION, Task.FEATURE_EXTRACTION}
"""Tasks whose reply to a single input is a list with its one item."""


def routes() -> list[Route]:
    """The one route for all tasks."""
    return [Route("/models/{model:path}/pipeline/{task}", pipeline, methods=["POST"])]


async def pipeline(request: Request) -> Any:
    """Run a task."""
    model: str = request.path_params["model"]
    try:
        task = Task(request.path_params["task"])
    except ValueError:
        known = ", ".join(Task)
        raise InklingError(
            "bad-request", f"There is no task {request.path_params['task']!r}.", f"Tasks: {known}."
        ) from None
    body = await read_json(request)
    scheduler: Work = request.app.state.scheduler
    client = request.headers.get(CLIENT_HEADER, "")
    parameters: dict[str, Any] = field_of(body, "parameters", dict, {})
    parameters = {key: value for key, value in parameters.items() if value is not None}
    if "inputs" not in body:
        raise InklingError("bad-request", "`inputs` is missing.")
    if task is Task.TEXT_GENERATION:
        return _generation(scheduler, client, model, body, parameters)
    inputs = body["inputs"]
    many = isinstance(inputs, list)
    batch = [_checked(task, item) for item in (inputs if many else [inputs])]
    extras = extras_of(body)
    quantization = field_of(extras, "quantization", str, "auto")

    async def work() -> Response:
        items = await scheduler.run(
            task,
            model,
            batch,
            parameters,
            priority=priority_of(extras, Priority.DIAGNOSTICS),
            client=client,
            quantization=quantization,
            deadline_s=deadline_of(extras),
        )
        if task is Task.FEATURE_EXTRACTION:
            return Response(await dumps_vectors(items), media_type=Json.media_type)
        return Json(items if many or task in _LISTED else items[0])

    return Watched(work)


def _checked(task: Task, item: Any) -> Any:
    if task is Task.QUESTION_ANSWERING:
        if isinstance(item, Mapping) and isinstance(item.get("question"), str) and isinstance(item.get("context"), str):
            return item
        raise InklingError("bad-request", "An input for question-answering has `question` and `context`.")
    if not isinstance(item, str):
        raise InklingError("bad-request", f"An input for {task} is text.")
    return item


def _generation(
    scheduler: Work, client: str, model: str, body: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Any:
    """Text generation as Hugging Face's clients speak it."""
    if not isinstance(body["inputs"], str):
        raise InklingError("bad-request", "An input for text-generation is text.")
    sampled = bool(parameters.get("do_sample")) or parameters.get("temperature") is not None
    request = generate_request(
        {
            "model": model,
            "max_tokens": parameters.get("max_new_tokens", 100),
            "temperature": parameters.get("temperature", 1.0) if sampled else 0.0,
            "top_p": parameters.get("top_p"),
            "seed": parameters.get("seed"),
            "stop": parameters.get("stop") or parameters.get("stop_sequences"),
            "inkling": extras_of(body),
        },
        prompt=body["inputs"],
    )
    request = replace(request, priority=priority_of(extras_of(body)))
    if field_of(body, "stream", bool, False):
        return EventStream(_stream(scheduler, client, request))

    async def work() -> Response:
        async with aclosing(scheduler.generate(request, client=client)) as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        start = request.prompt if parameters.get("return_full_text") else ""
        return Json([{"generated_text": start + text}])

    return Watched(work)


async def _stream(scheduler: Work, client: str, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
    texts: list[str] = []
    tokens = 0
    async with aclosing(scheduler.generate(request, client=client)) as chunks:
        async for chunk in chunks:
            texts.append(chunk.text)
            tokens += chunk.tokens
            piece: dict[str, Any] = {
                "index": tokens,
                "token": {"id": 0, "text": chunk.text, "logprob": chunk.logprob, "special": False},
                "generated_text": None,
                "details": None,
                "inkling": chunk_extras(chunk),
            }
            if chunk.finish:
                piece["generated_text"] = "".join(texts)
                reason = "eos_token" if openai_finish(chunk.finish) == "stop" else "length"
                piece["details"] = {"finish_reason": reason, "generated_tokens": tokens, "seed": request.seed}
            yield sse(piece)
