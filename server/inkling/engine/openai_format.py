"""Generations in OpenAI's wire format, both ends: a request as a body and back, a chunk as an event and back.

Extras that the format has no place for travel in an object named `inkling`, in requests and in replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from inkling.engine.protocol import Chunk, ContextFile, GenerateRequest, Priority
from inkling.errors import InklingError

MAX_TOKENS = 16_384
"""The most new tokens that one request may ask for."""

_T = TypeVar("_T")


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
        "heal": request.heal,
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
        heal=field_of(extras, "heal", bool, False),
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
