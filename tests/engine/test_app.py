"""The app's wire formats, errors and cancellation, with a scripted model side."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import httpx2
import pytest

from inkling.engine.settings import EngineSettings

from .serving import serving, until


def sse(text: str) -> list[object]:
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [event if event == "[DONE]" else json.loads(event) for event in events]


def task_url(task: str, model: str = "org/fake") -> str:
    return f"/models/{model}/pipeline/{task}"


# Hugging Face's inference format: (task, body, reply)

LABELS = [{"label": "bad", "score": 0.9}, {"label": "good", "score": pytest.approx(0.1)}]
NAME = {"entity_group": "NAME", "score": 0.9, "word": "Ada", "start": 3, "end": 6}
ANSWER = [{"answer": "Paris", "score": 0.5, "start": 0, "end": 5}]
FILL = {"token_str": "word", "token": 1, "score": 0.5, "sequence": "a word"}
SUMMARY = {"summary_text": "One", "kind": "key-sentences", "spans": [[0, 3]]}


@pytest.mark.parametrize(
    ("task", "body", "reply"),
    [
        ("text-classification", {"inputs": "bad"}, [LABELS]),
        ("text-classification", {"inputs": ["bad", "bad"]}, [LABELS, LABELS]),
        ("text-classification", {"inputs": "bad", "parameters": {"top_k": 1}}, [LABELS[:1]]),
        ("text-classification", {"inputs": "bad", "parameters": {"top_k": None}}, [LABELS]),
        ("text-classification", {"inputs": []}, []),
        (
            "zero-shot-classification",
            {"inputs": "a b", "parameters": {"candidate_labels": ["x", "b"]}},
            [{"label": "b", "score": 1.0}, {"label": "x", "score": 0.0}],
        ),
        ("token-classification", {"inputs": "to Ada"}, [NAME]),
        ("fill-mask", {"inputs": "a [MASK]"}, [FILL]),
        ("question-answering", {"inputs": {"question": "?", "context": "Paris is"}}, ANSWER),
        ("summarization", {"inputs": "One. Two."}, [SUMMARY]),
        ("translation", {"inputs": "ja"}, [{"translation_text": "JA"}]),
        ("feature-extraction", {"inputs": "x"}, [[1.0, 0.0, 0.0, 0.0]]),
        (
            "text-generation",
            {"inputs": "p", "parameters": {"max_new_tokens": 2}},
            [{"generated_text": "w0 w1 "}],
        ),
        (
            "text-generation",
            {"inputs": "p ", "parameters": {"max_new_tokens": 1, "return_full_text": True}},
            [{"generated_text": "p w0 "}],
        ),
    ],
)
async def test_pipeline_replies(task: str, body: dict[str, object], reply: object) -> None:
    async with serving() as engine:
        response = await engine.http.post(task_url(task), json=body)
    assert response.status_code == 200
    assert response.json() == reply


# (path, body, status, reason)

BAD = [
    ("/v1/completions", b"{", 400, "bad-request"),
    ("/v1/completions", b"[]", 400, "bad-request"),
    ("/v1/completions", b"[" * 200_000, 400, "bad-request"),
    ("/v1/completions", {}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": [1, 2]}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": []}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "n": 2}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "max_tokens": "many"}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "max_tokens": True}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "max_tokens": 0}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "echo": True}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "stop": [1]}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "inkling": {"priority": 9}}, 400, "bad-request"),
    ("/v1/completions", {"model": "m", "prompt": "p", "inkling": []}, 400, "bad-request"),
    ("/v1/chat/completions", {"model": "m"}, 400, "bad-request"),
    ("/v1/chat/completions", {"model": "m", "messages": ["hi"]}, 400, "bad-request"),
    ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": 1}]}, 400, "bad-request"),
    ("/v1/embeddings", {"model": "m", "input": [[1]]}, 400, "bad-request"),
    ("/v1/embeddings", {"model": "m", "input": "x", "encoding_format": "int8"}, 400, "bad-request"),
    (task_url("juggling"), {"inputs": "x"}, 400, "bad-request"),
    (task_url("fill-mask"), {}, 400, "bad-request"),
    (task_url("fill-mask"), {"inputs": 3}, 400, "bad-request"),
    (task_url("question-answering"), {"inputs": "just text"}, 400, "bad-request"),
    ("/inkling/load", {"model": "m", "task": "juggling"}, 400, "bad-request"),
    ("/nowhere", {}, 404, "not-found"),
    ("/health", {}, 405, "method-not-allowed"),
    (task_url("fill-mask", "fake?load_fault=model-not-found"), {"inputs": "x"}, 404, "model-not-found"),
    (task_url("fill-mask", "fake?load_fault=weights-corrupt"), {"inputs": "x"}, 422, "weights-corrupt"),
    (task_url("fill-mask", "fake?load_fault=memory"), {"inputs": "x"}, 503, "out-of-memory"),
    (task_url("fill-mask", "fake?load_fault=bug"), {"inputs": "x"}, 500, "internal"),
    (task_url("fill-mask", "fake?poison=x"), {"inputs": "x"}, 500, "internal"),
    ("/v1/completions", {"model": "m?load_fault=wrong-task", "prompt": "p"}, 422, "wrong-task"),
    ("/v1/completions", {"model": "m?load_fault=wrong-task", "prompt": "p", "stream": True}, 422, "wrong-task"),
    ("/v1/completions", {"model": "m?poison=p", "prompt": "p"}, 500, "internal"),
]


@pytest.mark.parametrize(("path", "body", "status", "reason"), BAD)
async def test_errors(path: str, body: object, status: int, reason: str) -> None:
    async with serving() as engine:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await engine.http.post(path.replace("?", "%3F"), content=content)
        error = response.json()["error"]
        assert (response.status_code, error["reason"], error["type"]) == (status, reason, reason)
        assert error["message"]
        assert "user's text" not in response.text
        assert (await engine.http.get("/health")).status_code == 200


async def test_a_reply_of_the_wrong_length_is_an_error_and_lone_surrogates_are_not() -> None:
    async with serving() as engine:
        body = b'{"inputs": "\\ud800 to Ada"}'
        response = await engine.http.post(task_url("token-classification"), content=body)
    assert response.json() == [{**NAME, "start": 5, "end": 8}]
    assert engine.backend.models[0].order == ["\ufffd to Ada"]


async def test_too_large_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkling.engine.asgi.MAX_BODY", 1000)
    async with serving() as engine:
        response = await engine.http.post(task_url("fill-mask"), json={"inputs": "x" * 1000})
    assert (response.status_code, response.json()["error"]["reason"]) == (413, "too-large")


async def test_completion_whole() -> None:
    async with serving() as engine:
        body = {"model": "fake", "prompt": "three word prompt", "max_tokens": 4}
        reply = (await engine.http.post("/v1/completions", json=body)).json()
    assert reply["object"] == "text_completion"
    assert reply["model"] == "fake"
    assert reply["choices"] == [{"index": 0, "text": "w0 w1 w2 w3 ", "finish_reason": "length", "logprobs": None}]
    assert reply["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert reply["inkling"] == {"notices": ["fake-notice"]}


async def test_completion_streamed() -> None:
    async with serving() as engine:
        body = {"model": "fake", "prompt": ["a", "b"], "max_tokens": 2, "stream": True}
        body["stream_options"] = {"include_usage": True}
        response = await engine.http.post("/v1/completions", json=body)
    events = sse(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert events.pop() == "[DONE]"
    usage = events.pop()
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 4)
    assert [(e["choices"][0]["index"], e["choices"][0]["text"]) for e in events] == [
        (0, "w0 "), (0, "w1 "), (1, "w0 "), (1, "w1 ")
    ]  # fmt: skip
    assert [event["choices"][0]["finish_reason"] for event in events] == [None, "length", None, "length"]
    assert events[0]["inkling"] == {"tokens": 1, "logprob": -0.5, "notices": ["fake-notice"]}
    assert len({event["id"] for event in events}) == 1


async def test_chat_whole_and_streamed() -> None:
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]
    body = {"model": "fake?text=Good%20day", "messages": [{"role": "user", "content": parts}]}
    async with serving() as engine:
        whole = (await engine.http.post("/v1/chat/completions", json=body)).json()
        streamed = sse((await engine.http.post("/v1/chat/completions", json={**body, "stream": True})).text)
    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "Goodday"}
    assert whole["choices"][0]["finish_reason"] == "stop"
    deltas = [event["choices"][0]["delta"] for event in streamed[:-1]]
    assert deltas[0] == {"role": "assistant", "content": "Good"}
    assert "".join(delta["content"] for delta in deltas) == "Goodday"
    assert engine.backend.models[0].order[0] == "hello"


async def test_embeddings_as_numbers_and_base64() -> None:
    async with serving() as engine:
        numbers = (await engine.http.post("/v1/embeddings", json={"model": "f", "input": "x"})).json()
        body = {"model": "f", "input": ["x", "y"], "encoding_format": "base64"}
        packed = (await engine.http.post("/v1/embeddings", json=body)).json()
    assert numbers["data"] == [{"object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.0, 0.0]}]
    assert [item["index"] for item in packed["data"]] == [0, 1]
    assert struct.unpack("<4f", base64.b64decode(packed["data"][1]["embedding"])) == (1, 0, 0, 0)


async def test_hugging_face_stream() -> None:
    async with serving() as engine:
        body = {"inputs": "p", "parameters": {"max_new_tokens": 2}, "stream": True}
        events = sse((await engine.http.post(task_url("text-generation"), json=body)).text)
    assert [event["token"]["text"] for event in events] == ["w0 ", "w1 "]
    assert events[0]["generated_text"] is None
    assert events[1]["generated_text"] == "w0 w1 "
    assert events[1]["details"] == {"finish_reason": "length", "generated_tokens": 2, "seed": None}


async def test_an_error_inside_a_started_stream_is_its_last_event() -> None:
    async with serving() as engine:
        body = {"model": "fake?poison=boom", "prompt": "boom", "stream": True}
        response = await engine.http.post("/v1/completions", json=body)
    first, last = sse(response.text)
    assert response.status_code == 200
    assert first["choices"][0]["text"] == "before "
    assert last["error"]["reason"] == "internal"
    assert "user's text" not in response.text


async def test_models_status_and_metrics_tell_the_same() -> None:
    async with serving() as engine:
        assert (await engine.http.get("/v1/models")).json() == {"object": "list", "data": []}
        state = (await engine.http.post("/inkling/load", json={"model": "f", "task": "text-generation"})).json()
        await engine.http.post("/v1/completions", json={"model": "f", "prompt": "p", "max_tokens": 3})
        await engine.http.post(task_url("fill-mask", "f"), json={"inputs": "[MASK]"})  # one model, two tasks
        listed = (await engine.http.get("/v1/models")).json()
        status = (await engine.http.get("/inkling/status")).json()
        metrics = (await engine.http.get("/metrics")).text
    assert (state["state"], state["quantization"], state["progress"]) == ("ready", "none", 1.0)
    assert [model["id"] for model in listed["data"]] == ["f"]
    assert [model["task"] for model in status["models"]] == ["text-generation", "fill-mask"]
    assert status["models"][0] == state
    assert (status["generated_tokens"], status["active_requests"]) == (3, 0)
    assert "inkling_generated_tokens_total 3\n" in metrics
    assert "# TYPE inkling_leases gauge\n" in metrics
    assert "inkling_loaded_models 2\n" in metrics


# Over a real socket: departure of the client


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_decode(tmp_path, stream: bool) -> None:
    async with serving(socket_folder=tmp_path) as engine:
        body = {"model": "fake?token_s=0.005", "prompt": "p", "max_tokens": 10_000, "stream": stream}
        request = asyncio.create_task(engine.http.post("/v1/completions", json=body))
        await until(lambda: engine.scheduler.status().generated_tokens > 3)
        request.cancel()
        await until(lambda: engine.scheduler.active == 0)
        # The decode may be inside one token when the flag is set; after it nothing more is generated.
        await until(lambda: engine.scheduler.pool.queued() == 0)
        await asyncio.sleep(0.05)
        after = engine.scheduler.status()
        await asyncio.sleep(0.1)
        assert engine.scheduler.status().generated_tokens == after.generated_tokens < 1000
        assert after.cancelled_requests == 1


async def test_a_batch_whose_client_leaves_is_dropped_at_the_next_slice(tmp_path) -> None:
    async with serving(socket_folder=tmp_path) as engine:
        body = {"inputs": ["x" * 40] * 500}
        url = task_url("text-classification", "fake%3Fitem_s=0.002")
        request = asyncio.create_task(engine.http.post(url, json=body))
        await until(lambda: engine.backend.models and engine.backend.models[0].batches)
        request.cancel()
        await until(lambda: engine.scheduler.active == 0)
        await until(lambda: not engine.scheduler.pool._slots or not _worker(engine).busy)
        assert len(engine.backend.models[0].order) < 500
        assert engine.scheduler.status().cancelled_requests == 1


def _worker(engine):
    return next(iter(engine.scheduler.pool._slots.values())).worker


async def test_a_client_that_leaves_while_the_model_loads_leaves_the_load_running(tmp_path) -> None:
    async with serving(socket_folder=tmp_path) as engine:
        url = task_url("fill-mask", "fake%3Fload_s=0.3")
        request = asyncio.create_task(engine.http.post(url, json={"inputs": "[MASK]"}))
        await until(lambda: engine.scheduler.pool.states())
        request.cancel()
        await until(lambda: engine.scheduler.active == 0)
        await until(lambda: engine.scheduler.pool.states()[0].state == "ready")
        assert engine.scheduler.status().cancelled_requests == 1


async def test_the_first_token_arrives_long_before_the_last(tmp_path) -> None:
    async with serving(socket_folder=tmp_path) as engine:
        body = {"model": "fake?token_s=0.02", "prompt": "p", "max_tokens": 10, "stream": True}
        async with engine.http.stream("POST", "/v1/completions", json=body) as response:
            lines = response.aiter_lines()
            async for line in lines:
                if line.startswith("data: "):
                    break
            assert engine.scheduler.status().generated_tokens < 10
            rest = [line async for line in lines]
        assert rest[-2] == "data: [DONE]"


async def test_events_are_a_lease_and_tell_of_loading(tmp_path) -> None:
    async with serving(socket_folder=tmp_path) as engine:
        async with engine.http.stream("GET", "/inkling/events") as response:
            lines = response.aiter_lines()
            first = json.loads((await anext(lines)).removeprefix("data: "))
            assert first["kind"] == "started"
            assert engine.hub.leases == 1
            await engine.http.post("/inkling/load", json={"model": "fake", "task": "fill-mask"})
            events = []
            while not events or events[-1]["model"]["state"] != "ready":
                line = await anext(lines)
                if line:
                    events.append(json.loads(line.removeprefix("data: ")))
        states = [event["model"]["state"] for event in events]
        progress = [event["model"]["progress"] for event in events]
        assert states == ["loading"] * (len(states) - 1) + ["ready"]
        assert progress == sorted(progress)
        assert progress[-1] == 1.0
        await until(lambda: engine.hub.leases == 0)


async def test_a_quiet_stream_is_kept_alive(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkling.engine.asgi.KEEP_ALIVE_S", 0.02)
    async with serving(socket_folder=tmp_path) as engine, engine.http.stream("GET", "/inkling/events") as response:
        async for line in response.aiter_lines():
            if line.startswith(":"):
                break
        else:
            pytest.fail("no comment came")


async def test_shutdown_calls_back() -> None:
    called: list[bool] = []
    async with serving(shutdown=lambda: called.append(True)) as engine:
        response = await engine.http.post("/inkling/shutdown")
        await until(lambda: called)
    assert response.status_code == 202


async def test_a_busy_engine_says_when_to_come_back(tmp_path) -> None:
    async with serving(EngineSettings(queue_limit=4), socket_folder=tmp_path) as engine:
        url = task_url("fill-mask", "fake%3Fitem_s=0.1")
        requests = [asyncio.create_task(engine.http.post(url, json={"inputs": f"[MASK]{n}"})) for n in range(6)]
        replies = await asyncio.gather(*requests)
        refused = [reply for reply in replies if reply.status_code == 503]
        assert {reply.status_code for reply in replies} == {200, 503}
        for reply in refused:
            assert reply.json()["error"]["reason"] == "engine-busy"
            assert int(reply.headers["retry-after"]) >= 1


# Over TCP: who may enter. (headers, status)

TOKEN = {"authorization": "Bearer secret"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (TOKEN, 200),
        ({**TOKEN, "host": "localhost:7"}, 200),
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic secret"}, 401),
        ({"authorization": b"Bearer s\xe9cret"}, 401),
        ({**TOKEN, "host": "evil.example"}, 403),
        ({**TOKEN, "host": "127.0.0.1:8"}, 403),
        ({**TOKEN, "origin": "http://127.0.0.1:7"}, 403),
        ({**TOKEN, "origin": "null"}, 403),
    ],
)
async def test_the_guard(headers: dict[str, str | bytes], status: int) -> None:
    hosts = frozenset({"127.0.0.1:7", "localhost:7"})
    async with serving(token="secret", hosts=hosts) as engine:
        transport = httpx2.ASGITransport(app=engine.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:7") as http:
            for path in ("/health", "/nowhere"):
                response = await http.get(path, headers=headers)
                assert response.status_code == (404 if status == 200 and path == "/nowhere" else status)
