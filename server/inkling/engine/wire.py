"""The engine's words as JSON, both ends: errors, events, states. Generations are in `openai_format`.

JSON is written with ASCII escapes, so that even a lone surrogate survives the way.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from inkling.engine.protocol import (
    EngineEvent,
    EngineStatus,
    ModelState,
)
from inkling.errors import InklingError

PROTOCOL_VERSION = 1
"""Grows when an older client and a newer engine, or the reverse, could misunderstand each other."""

CLIENT_HEADER = "x-inkling-client"
"""Names the window that asks, so that the engine can be fair between windows."""

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
    "engine-crashed": 503,
    "engine-starting": 503,
    "engine-stopping": 503,
    "out-of-memory": 503,
    "timeout": 504,
}
"""HTTP status by reason; any other reason is 422: the request is well formed, this model cannot serve it."""

OFF_LOOP = 256 * 1024
"""JSON of more bytes is read beside the event loop, in a thread."""
FEW_VECTORS = 8
"""More of them are thousands of numbers each, and are read and written beside the event loop, too."""

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_SURROGATE = re.compile("[\ud800-\udfff]")


def dumps(value: Any) -> bytes:
    """Compact ASCII JSON. Raises `InklingError("bad-output")` for a NaN or infinity, which JSON cannot say."""
    try:
        return _ENCODER.encode(value).encode("ascii")
    except ValueError:
        raise InklingError(
            "bad-output",
            "The model computed numbers that are not finite.",
            "Its weights may be damaged: load it again, or choose another model or quantization.",
        ) from None


def loads(data: bytes | str) -> Any:
    """JSON to plain values, lone surrogates replaced by U+FFFD (same length, so offsets hold)."""
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        value = json.loads(text)
        # Plain ASCII without escapes cannot hold one, which is quicker to see than by looking into each string.
        return value if text.isascii() and "\\u" not in text else clean(value)
    except (ValueError, RecursionError):
        raise InklingError("bad-request", "The request's body is not JSON.") from None


async def parse(data: bytes) -> Any:
    """JSON to plain values, a large one in a thread. Raises ValueError or RecursionError."""
    return await asyncio.to_thread(_in_steps, data) if len(data) > OFF_LOOP else json.loads(data)


def _in_steps(data: bytes) -> Any:
    # What makes a reply large is numbers. One call into the parser keeps every other thread waiting to its end, unless
    # it comes back here for each of them.
    return json.loads(data, parse_float=lambda text: float(text))


async def dumps_vectors(items: Sequence[Any]) -> bytes:
    """`dumps` of a list whose items are many numbers, one by one in a thread unless they are few."""
    if len(items) <= FEW_VECTORS:
        return dumps(items)
    return await asyncio.to_thread(lambda: b"[" + b",".join(map(dumps, items)) + b"]")


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


# States


def _known(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {key: value for key, value in data.items() if key in names}


def model_state(data: Mapping[str, Any]) -> ModelState:
    """Fields that this version does not know are left out."""
    known = _known(ModelState, data)
    return ModelState(**known | {"labels": tuple(known.get("labels") or ())})


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
