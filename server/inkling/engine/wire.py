"""The engine's words as JSON, both ends: errors, events, states, and generations in OpenAI's format.

Extras that OpenAI's format has no place for travel in an object named `inkling`, in requests and in replies. JSON is
written with ASCII escapes, so that even a lone surrogate survives the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

from inkling.engine.protocol import (
    Chunk,
    ContextFile,
    EngineEvent,
    EngineStatus,
    GenerateRequest,
    ModelState,
    Priority,
)
from inkling.errors import InklingError

PROTOCOL_VERSION = 1
"""Grows when an older client and a newer engine, or the reverse, could misunderstand each other."""

CLIENT_HEADER = "x-inkling-client"
"""Names the window that asks, so that the engine can be fair between windows."""

MAX_TOKENS = 16_384
"""The most new tokens that one request may ask for."""

HTTP_STATUS = {
    "bad-request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "model-not-found": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "superseded": 409,
    "too-large": 413,
    "internal": 500,
    "engine-busy": 503,
    "engine-starting": 503,
    "engine-stopping": 503,
    "out-of-memory": 503,
    "timeout": 504,
}
"""HTTP status by reason; any other reason is 422: the request is well formed, this model cannot serve it."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_T = TypeVar("_T")


def dumps(value: Any) -> bytes:
    """Compact ASCII JSON. Raises `InklingError("bad-output")` for a NaN or infinity, which JSON cannot say."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    except ValueError:
        raise InklingError(
            "bad-output",
            "The model computed numbers that are not finite.",
            "Its weights may be damaged: load it again, or choose another model or quantization.",
        ) from None


def loads(data: bytes | str) -> Any:
    """JSON to plain values, lone surrogates replaced by U+FFFD (same length, so offsets hold)."""
    try:
        return clean(json.loads(data))
    except (ValueError, RecursionError):
        raise InklingError("bad-request", "The request's body is not JSON.") from None


def clean(value: Any) -> Any:
    """Replace lone surrogates in every string: tokenizers refuse them."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def sse(value: Any, event: str = "") -> bytes:
    """One server-sent event with a JSON payload."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + dumps(value) + b"\n\n"


# Errors


def error_body(error: InklingError) -> dict[str, Any]:
    """`type` repeats the reason where OpenAI's clients look for it."""
    return {
        "error": {
            "reason": error.reason,
            "message": error.message,
            "hint": error.hint,
            "type": error.reason,
        }
    }


def error_status(error: InklingError) -> int:
    """The HTTP status that fits the reason."""
    return HTTP_STATUS.get(error.reason, 422)


def error_from(body: Any, status: int) -> InklingError:
    """The error that a reply holds, whoever wrote it."""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        reason = error.get("reason") or error.get("type") or "engine-error"
        return InklingError(str(reason), error["message"], str(error.get("hint") or ""))
    return InklingError("engine-error", f"The engine answered with HTTP status {status}.")


# Generations


def generate_body(request: GenerateRequest) -> dict[str, Any]:
    """A request as `/v1/completions` or `/v1/chat/completions` takes it, streamed."""
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream": True,
    }
    if request.messages:
        body["messages"] = [dict(message) for message in request.messages]
    else:
        body["prompt"] = request.prompt
    if request.suffix is not None:
        body["suffix"] = request.suffix
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = list(request.stop)
    body["inkling"] = {
        "priority": int(request.priority),
        "cache_key": request.cache_key,
        "quantization": request.quantization,
        "deadline_s": request.deadline_s,
        "context": [{"path": file.path, "text": file.text} for file in request.context],
    }
    return body


def _bad(message: str) -> InklingError:
    return InklingError("bad-request", message)


def field_of(body: Mapping[str, Any], key: str, kind: type[_T] | tuple[type, ...], default: _T) -> _T:
    """A typed field, `default` when absent or null. Raises `InklingError("bad-request")` naming the field."""
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _bad(f"`{key}` has the wrong type: {type(value).__name__}.")
    return value  # type: ignore[return-value]


def extras_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `inkling` object of a request."""
    extras: dict[str, Any] = field_of(body, "inkling", dict, {})
    return extras


def priority_of(extras: Mapping[str, Any], default: Priority = Priority.ACTION) -> Priority:
    """Raises `InklingError("bad-request")` for a number that is no priority."""
    try:
        return Priority(field_of(extras, "priority", int, int(default)))
    except ValueError:
        raise _bad("`inkling.priority` is 0 (completion) to 3 (background).") from None


def deadline_of(extras: Mapping[str, Any]) -> float | None:
    """Seconds from now, or None."""
    deadline = field_of(extras, "deadline_s", (int, float), 0.0)
    return float(deadline) if deadline > 0 else None


def _stops(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop")
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(item, str) for item in stops):
        raise _bad("`stop` is a string or a list of strings.")
    return tuple(item for item in stops if item)


def _message(message: Any) -> dict[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _bad("each of `messages` is an object with `role` and `content`.")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise _bad("each message's `content` is text.")
    return {"role": message["role"], "content": content}


def generate_request(body: Mapping[str, Any], *, prompt: str = "", chat: bool = False) -> GenerateRequest:
    """The request in a body of OpenAI's format; `prompt` is given by the caller, who splits lists of prompts."""
    for key in ("n", "best_of"):
        if field_of(body, key, int, 1) != 1:
            raise _bad(f"`{key}` other than 1 is not supported.")
    if body.get("echo"):
        raise _bad("`echo` is not supported.")
    extras = extras_of(body)
    messages: tuple[Mapping[str, str], ...] = ()
    if chat:
        given: list[Any] = field_of(body, "messages", list, [])
        if not given:
            raise _bad("`messages` is missing.")
        messages = tuple(_message(message) for message in given)
    limit = field_of(body, "max_completion_tokens", int, field_of(body, "max_tokens", int, 256 if chat else 16))
    if limit < 1:
        raise _bad("`max_tokens` is at least 1.")
    model = field_of(body, "model", str, "")
    if not model:
        raise _bad("`model` is missing.")
    files: list[Any] = field_of(extras, "context", list, [])
    return GenerateRequest(
        model=model,
        prompt=prompt,
        suffix=body["suffix"] if isinstance(body.get("suffix"), str) else None,
        messages=messages,
        context=tuple(
            ContextFile(field_of(file, "path", str, ""), field_of(file, "text", str, ""))
            for file in files
            if isinstance(file, dict)
        ),
        max_tokens=min(limit, MAX_TOKENS),
        temperature=max(0.0, float(field_of(body, "temperature", (int, float), 1.0))),
        top_p=float(field_of(body, "top_p", (int, float), 1.0)),
        seed=body["seed"] if isinstance(body.get("seed"), int) else None,
        stop=_stops(body),
        deadline_s=deadline_of(extras),
        cache_key=field_of(extras, "cache_key", str, ""),
        quantization=field_of(extras, "quantization", str, "auto"),
        priority=priority_of(extras),
    )


def openai_finish(finish: str) -> str | None:
    """OpenAI's format knows `stop` and `length`; a deadline cuts the text as a length does."""
    return None if not finish else "stop" if finish == "stop" else "length"


def chunk_extras(chunk: Chunk) -> dict[str, Any]:
    """The `inkling` object beside a piece of generated text."""
    extras: dict[str, Any] = {"tokens": chunk.tokens, "logprob": chunk.logprob}
    if chunk.finish:
        extras["finish"] = chunk.finish
    if chunk.notices:
        extras["notices"] = list(chunk.notices)
    return extras


def chunk_from(data: Mapping[str, Any]) -> Chunk | None:
    """A piece of generated text from one event of a stream in either of OpenAI's formats; None when it holds none."""
    choices = data.get("choices")
    if not choices:
        return None
    choice = choices[0]
    delta = choice.get("delta")
    text = (delta.get("content") if delta is not None else choice.get("text")) or ""
    extras = data.get("inkling") or {}
    finish = extras.get("finish") or choice.get("finish_reason") or ""
    if not text and not finish and not extras:
        return None
    return Chunk(
        text,
        int(extras.get("tokens", 1 if text else 0)),
        float(extras.get("logprob", 0.0)),
        str(finish),
        tuple(extras.get("notices", ())),
    )


# States


def _known(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {key: value for key, value in data.items() if key in names}


def model_state(data: Mapping[str, Any]) -> ModelState:
    """Fields that this version does not know are left out."""
    return ModelState(**_known(ModelState, data))


def engine_event(data: Mapping[str, Any]) -> EngineEvent:
    """An event as `event_body` wrote it."""
    model = data.get("model")
    return EngineEvent(str(data.get("kind", "")), model_state(model) if model else None, str(data.get("message", "")))


def event_body(event: EngineEvent) -> dict[str, Any]:
    """An event as plain values."""
    return asdict(event)


def engine_status(data: Mapping[str, Any]) -> EngineStatus:
    """A status as `status_body` wrote it."""
    known = _known(EngineStatus, data)
    known["models"] = tuple(model_state(state) for state in data.get("models", ()))
    return EngineStatus(**known)


def status_body(status: EngineStatus) -> dict[str, Any]:
    """A status as plain values."""
    return {**asdict(status), "extra": dict(status.extra)}


def length_of(value: Any) -> int:
    """Characters in an inference input: batches are made of inputs of similar length."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(length_of(item) for item in value.values())
    if isinstance(value, Sequence):
        return sum(length_of(item) for item in value)
    return 1
