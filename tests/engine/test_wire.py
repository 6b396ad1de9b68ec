"""What one end writes the other end reads: requests, chunks, states, errors; and replies of unknown shape."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.engine import openai_format, replies, wire
from inkling.engine.crashes import CrashLimit
from inkling.engine.protocol import (
    Answer,
    Chunk,
    ContextFile,
    EngineEvent,
    EngineStatus,
    Entity,
    Fill,
    GenerateRequest,
    Label,
    ModelState,
    Priority,
    Summary,
)
from inkling.errors import InklingError

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(0, 1, allow_subnormal=False)
states = st.builds(ModelState, text, text, text, floats, text, text, st.integers(0, 2**40), text)
messages = st.lists(st.fixed_dictionaries({"role": text, "content": text}), min_size=1, max_size=3).map(tuple)


@given(
    st.builds(
        GenerateRequest,
        model=text.filter(bool),
        suffix=st.none() | text,
        context=st.lists(st.builds(ContextFile, text, text), max_size=2).map(tuple),
        max_tokens=st.integers(1, openai_format.MAX_TOKENS),
        temperature=st.floats(0, 2),
        top_p=floats,
        seed=st.none() | st.integers(0, 2**31),
        stop=st.lists(text.filter(bool), max_size=3).map(tuple),
        deadline_s=st.none() | st.floats(0.01, 100),
        cache_key=text,
        quantization=st.sampled_from(["auto", "none", "int8", "int4", "nf4"]),
        priority=st.sampled_from(Priority),
    ),
    messages | st.just(()),
    text,
)
def test_a_request_arrives_as_it_was_sent(request: GenerateRequest, chat: tuple[Any, ...], prompt: str) -> None:
    sent = replace(request, messages=chat, prompt="" if chat else prompt)
    body = wire.loads(wire.dumps(openai_format.generate_body(sent)))
    assert openai_format.generate_request(body, prompt=body.get("prompt", ""), chat=bool(chat)) == sent


@given(
    st.builds(EngineEvent, st.sampled_from(["model", "started", "crashed"]), st.none() | states, text),
    st.builds(EngineStatus, text, st.integers(0), text, st.lists(states, max_size=3).map(tuple), st.integers(0)),
)
def test_events_and_states_arrive_as_they_were_sent(event: EngineEvent, status: EngineStatus) -> None:
    assert wire.engine_event(wire.loads(wire.dumps(wire.event_body(event)))) == event
    assert wire.engine_status(wire.loads(wire.dumps(wire.status_body(status)))) == status
    assert wire.engine_status({**wire.status_body(status), "new": 1}) == status


@pytest.mark.parametrize(
    ("data", "chunk"),
    [
        ({"choices": [{"text": "a", "finish_reason": None}]}, Chunk("a")),
        ({"choices": [{"text": "", "finish_reason": "stop"}]}, Chunk("", 0, 0.0, "stop")),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}, None),
        ({"choices": [{"delta": {"content": "b"}, "finish_reason": "length"}]}, Chunk("b", 1, 0.0, "length")),
        ({"choices": [{"delta": {"content": None}, "finish_reason": None}]}, None),
        ({"choices": [], "usage": {}}, None),
        (
            {
                "choices": [{"text": "c", "finish_reason": "length"}],
                "inkling": {"tokens": 3, "logprob": -1.5, "finish": "deadline", "notices": ["n"]},
            },
            Chunk("c", 3, -1.5, "deadline", ("n",)),
        ),
    ],
)
def test_chunks_of_anyones_stream(data: dict[str, Any], chunk: Chunk | None) -> None:
    assert openai_format.chunk_from(data) == chunk


@pytest.mark.parametrize(
    ("body", "status", "reason", "message"),
    [
        (wire.error_body(InklingError("too-large", "Too large.", "Less.")), 413, "too-large", "Too large."),
        ({"error": {"message": "no", "type": "invalid_request_error"}}, 400, "invalid_request_error", "no"),
        ({"error": "text"}, 500, "engine-error", "The engine answered with HTTP status 500."),
        (None, 502, "engine-error", "The engine answered with HTTP status 502."),
    ],
)
def test_errors_of_anyones_server(body: Any, status: int, reason: str, message: str) -> None:
    error = wire.error_from(body, status)
    assert (error.reason, error.message) == (reason, message)


@given(st.text(max_size=30))
def test_text_with_lone_surrogates_keeps_its_length(given_text: str) -> None:
    cleaned = wire.loads(wire.dumps({"inputs": [given_text]}))["inputs"][0]
    joined = json.loads(json.dumps(given_text))  # two halves that meet become one character, as in any JSON
    assert len(cleaned) == len(joined)
    cleaned.encode("utf-8")
    assert all(a == b or b == "\ufffd" for a, b in zip(joined, cleaned, strict=True))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_body_in_any_encoding_of_json(encoding: str) -> None:
    assert wire.loads('{"a": "ü"}'.encode(encoding)) == {"a": "ü"}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_say(number: float) -> None:
    with pytest.raises(InklingError, match="not finite") as caught:
        wire.dumps([{"score": number}])
    assert caught.value.reason == "bad-output"


@pytest.mark.parametrize(
    ("convert", "item", "result"),
    [
        (replies.labels, [{"label": "a", "score": 1}], [Label("a", 1.0)]),
        (replies.entities, [{"entity": "X", "score": 1, "start": 2, "end": 3}], [Entity("X", 1.0, 2, 3)]),
        (replies.answers, {"answer": "a", "score": 1, "start": 0, "end": 1}, [Answer("a", 1.0, 0, 1)]),
        (replies.answers, [], []),
        (replies.fills, [{"token_str": "a", "score": 1, "sequence": "b"}], [Fill("a", 1.0, "b")]),
        (replies.summary, {"summary_text": "s"}, Summary("s", "abstractive")),
        (replies.translation, {"translation_text": "t"}, "t"),
        (replies.vector, [1, 2], [1.0, 2.0]),
        (replies.labels, {"label": "a"}, None),
        (replies.labels, [{"label": "a"}], None),
        (replies.entities, [{"score": 1}], None),
        (replies.answers, "no", None),
        (replies.summary, [], None),
        (replies.vector, [["nested"]], None),
        (replies.translation, {}, None),
    ],
)
def test_replies(convert: Any, item: Any, result: Any) -> None:
    if result is not None:
        assert convert(item) == result
        return
    with pytest.raises(InklingError, match="unknown shape"):
        convert(item)


def test_crashes_are_counted_within_a_window() -> None:
    now = [0.0]
    limit = CrashLimit(3, 100.0, clock=lambda: now[0])
    pauses = []
    for at in (0, 60, 120, 180):  # never three within 100 s
        now[0] = at
        pauses.append(limit.crashed())
    assert pauses == [0.0, 0.25, 0.25, 0.25]
    assert not limit.gave_up
    now[0] = 181
    assert limit.crashed() == 0.5
    assert limit.gave_up
    now[0] = 10_000
    assert limit.gave_up  # time alone does not forgive
    limit.reset()
    assert not limit.gave_up
    assert limit.crashed() == 0.0


async def test_a_large_reply_is_read_while_the_event_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [[(row * 768 + column) / 7 for column in range(768)] for row in range(192)]
    data = wire.dumps({"rows": rows, "count": 192, "text": "1.5"})
    assert len(data) > wire.OFF_LOOP
    turns = 0
    seen = set()

    def number(text: str) -> float:
        seen.add(turns)
        return float(text)

    monkeypatch.setattr(wire, "float", number, raising=False)
    reading = asyncio.ensure_future(wire.parse(data))
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert reading.result() == {"rows": rows, "count": 192, "text": "1.5"}
    assert len(seen) > 1  # the loop had turns between two numbers
    assert json.loads(await wire.dumps_vectors(rows)) == rows
    for broken in (data[:-1], b"[" * 400_000):
        with pytest.raises((ValueError, RecursionError)):
            await wire.parse(broken)
    with pytest.raises(InklingError, match="not finite"):
        await wire.dumps_vectors([[1.0], [float("nan")]])
