"""OpenAI's wire format: completions, chat, embeddings, models."""

from __future__ import annotations

import base64
import struct
import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from inkling.engine.asgi import EventStream, Json, Last, Watched, read_json
from inkling.engine.openai_format import (
    chunk_extras,
    deadline_of,
    extras_of,
    field_of,
    generate_request,
    openai_finish,
    priority_of,
)
from inkling.engine.protocol import Chunk, GenerateRequest, Task
from inkling.engine.wire import CLIENT_HEADER, sse
from inkling.engine.work import Work
from inkling.errors import InklingError

_MAX_PROMPTS = 16


def routes() -> list[Route]:
    """Routes under `/v1`."""
    return [
        Route("/v1/models", models),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
    ]


async def models(request: Request) -> Response:
    """Models in memory."""
    scheduler: Work = request.app.state.scheduler
    ready = dict.fromkeys(state.id for state in scheduler.pool.states() if state.state == "ready")
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "inkling"} for name in ready]
    return Json({"object": "list", "data": data})


async def completions(request: Request) -> Any:
    """`POST /v1/completions`; a list of prompts gives one choice each, one after the other."""
    body = await read_json(request)
    prompt = body.get("prompt", "")
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list) or not all(isinstance(item, str) for item in prompts) or not prompts:
        raise InklingError("bad-request", "`prompt` is text or a list of texts; token ids are not supported.")
    if len(prompts) > _MAX_PROMPTS:
        raise InklingError("bad-request", f"More than {_MAX_PROMPTS} prompts in one request.")
    return _reply(request, body, [generate_request(body, prompt=item) for item in prompts], chat=False)


async def chat_completions(request: Request) -> Any:
    """`POST /v1/chat/completions`."""
    body = await read_json(request)
    return _reply(request, body, [generate_request(body, chat=True)], chat=True)


def _reply(request: Request, body: Mapping[str, Any], requests: list[GenerateRequest], *, chat: bool) -> Any:
    scheduler: Work = request.app.state.scheduler
    client = request.headers.get(CLIENT_HEADER, "")
    frame = _Frame(requests[0].model, chat)
    if field_of(body, "stream", bool, False):
        options: dict[str, Any] = field_of(body, "stream_options", dict, {})
        return EventStream(_stream(scheduler, requests, client, frame, bool(options.get("include_usage"))))
    return Watched(lambda: _unary(scheduler, requests, client, frame))


_DONE = b"data: [DONE]\n\n"


class _Frame:
    """The fields that every piece of one reply repeats."""

    def __init__(self, model: str, chat: bool) -> None:
        self.chat = chat
        kind = "chat.completion" if chat else "text_completion"
        self.common = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    def piece(self, index: int, chunk: Chunk, first: bool) -> dict[str, Any]:
        """One streamed event."""
        choice: dict[str, Any] = {"index": index, "finish_reason": openai_finish(chunk.finish), "logprobs": None}
        frame = self.common
        if self.chat:
            frame = {**frame, "object": "chat.completion.chunk"}
            role = {"role": "assistant"} if first else {}
            choice["delta"] = {**role, "content": chunk.text}
        else:
            choice["text"] = chunk.text
        return {**frame, "choices": [choice], "inkling": chunk_extras(chunk)}

    def whole(self, index: int, text: str, finish: str) -> dict[str, Any]:
        """One choice of an unstreamed reply."""
        choice: dict[str, Any] = {"index": index, "finish_reason": openai_finish(finish), "logprobs": None}
        return {**choice, **({"message": {"role": "assistant", "content": text}} if self.chat else {"text": text})}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _stream(
    scheduler: Work, requests: list[GenerateRequest], client: str, frame: _Frame, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    prompt_tokens = completion_tokens = 0
    for index, request in enumerate(requests):
        usage: dict[str, int] = {}
        first = True
        async with aclosing(scheduler.generate(request, client=client, usage=usage)) as chunks:
            async for chunk in chunks:
                completion_tokens += chunk.tokens
                piece = sse(frame.piece(index, chunk, first))
                if chunk.finish and index == len(requests) - 1 and not include_usage:
                    yield Last(piece + _DONE)
                    return
                yield piece
                first = False
        prompt_tokens += usage.get("prompt_tokens", 0)
    if include_usage:
        yield sse({**frame.common, "choices": [], "usage": _usage(prompt_tokens, completion_tokens)})
    yield Last(_DONE)


async def _unary(scheduler: Work, requests: list[GenerateRequest], client: str, frame: _Frame) -> Response:
    choices: list[dict[str, Any]] = []
    notices: list[str] = []
    prompt_tokens = completion_tokens = 0
    for index, request in enumerate(requests):
        usage: dict[str, int] = {}
        texts: list[str] = []
        finish = ""
        async with aclosing(scheduler.generate(request, client=client, usage=usage)) as chunks:
            async for chunk in chunks:
                texts.append(chunk.text)
                notices.extend(chunk.notices)
                completion_tokens += chunk.tokens
                finish = chunk.finish
        prompt_tokens += usage.get("prompt_tokens", 0)
        choices.append(frame.whole(index, "".join(texts), finish))
    extras = {"notices": list(dict.fromkeys(notices))} if notices else {}
    usage_body = _usage(prompt_tokens, completion_tokens)
    return Json({**frame.common, "choices": choices, "usage": usage_body, "inkling": extras})


async def embeddings(request: Request) -> Any:
    """`POST /v1/embeddings`, as numbers or as base64 of little-endian floats."""
    body = await read_json(request)
    scheduler: Work = request.app.state.scheduler
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise InklingError("bad-request", "`input` is text or a list of texts; token ids are not supported.")
    model = field_of(body, "model", str, "")
    if not model:
        raise InklingError("bad-request", "`model` is missing.")
    encoding = field_of(body, "encoding_format", str, "float")
    if encoding not in ("float", "base64"):
        raise InklingError("bad-request", "`encoding_format` is `float` or `base64`.")
    extras = extras_of(body)

    async def work() -> Response:
        vectors = await scheduler.run(
            Task.FEATURE_EXTRACTION,
            model,
            texts,
            {},
            priority=priority_of(extras),
            client=request.headers.get(CLIENT_HEADER, ""),
            deadline_s=deadline_of(extras),
        )
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
            for index, vector in enumerate(vectors)
        ]
        return Json({"object": "list", "data": data, "model": model, "usage": _usage(0, 0)})

    return Watched(work)


def _encoded(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
