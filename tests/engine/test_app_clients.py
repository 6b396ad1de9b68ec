"""Hugging Face's own client against the app on loopback: it must read our replies without knowing of Inkling."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from typing import Any

import pytest
import uvicorn

from inkling.engine.app import create_app
from inkling.engine.fake_backend import FakeBackend


@pytest.fixture
async def url() -> AsyncGenerator[str, None]:
    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            return nullcontext()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        app = create_app(FakeBackend)
        server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await running


async def ask(url: str, task: str, call: Callable[[Any], Any]) -> Any:
    import huggingface_hub

    client = huggingface_hub.InferenceClient(f"{url}/models/org/fake/pipeline/{task}", token="unused")
    return await asyncio.to_thread(call, client)


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # it would refuse even loopback
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


async def test_every_task_of_the_inference_client(url: str) -> None:
    labels = await ask(url, "text-classification", lambda hub: hub.text_classification("bad"))
    assert [(label.label, round(label.score, 3)) for label in labels] == [("bad", 0.9), ("good", 0.1)]
    zero = await ask(url, "zero-shot-classification", lambda hub: hub.zero_shot_classification("a b", ["x", "b"]))
    assert [label.label for label in zero] == ["b", "x"]
    entities = await ask(url, "token-classification", lambda hub: hub.token_classification("to Ada"))
    assert [(entity.word, entity.start, entity.end) for entity in entities] == [("Ada", 3, 6)]
    fills = await ask(url, "fill-mask", lambda hub: hub.fill_mask("a [MASK]"))
    assert fills[0].sequence == "a word"
    answer = await ask(url, "question-answering", lambda hub: hub.question_answering(question="?", context="Paris is"))
    assert answer[0].answer == "Paris"
    summary = await ask(url, "summarization", lambda hub: hub.summarization("One. Two."))
    assert summary.summary_text == "One"
    translation = await ask(url, "translation", lambda hub: hub.translation("ja"))
    assert translation.translation_text == "JA"
    vector = await ask(url, "feature-extraction", lambda hub: hub.feature_extraction("x"))
    assert vector.tolist() == [[1.0, 0.0, 0.0, 0.0]]


async def test_text_generation_of_the_inference_client(url: str) -> None:
    whole = await ask(url, "text-generation", lambda hub: hub.text_generation("p", max_new_tokens=2))
    assert whole == "w0 w1 "
    stream = await ask(
        url, "text-generation", lambda hub: list(hub.text_generation("p", max_new_tokens=2, stream=True))
    )
    assert stream == ["w0 ", "w1 "]


async def test_chat_of_the_inference_client(url: str) -> None:
    import huggingface_hub

    client = huggingface_hub.InferenceClient(base_url=f"{url}/v1", token="unused")
    said = [{"role": "user", "content": "hi"}]

    def whole() -> Any:
        return client.chat_completion(said, model="fake", max_tokens=2)

    def stream() -> Any:
        return [
            piece.choices[0].delta.content
            for piece in client.chat_completion(said, model="fake", max_tokens=2, stream=True)
        ]

    assert (await asyncio.to_thread(whole)).choices[0].message.content == "w0 w1 "
    assert await asyncio.to_thread(stream) == ["w0 ", "w1 "]
