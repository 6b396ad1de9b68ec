"""Hugging Face's and OpenAI's own clients against the app on loopback: they know nothing of Inkling."""

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


@pytest.fixture
async def openai_client(url: str) -> AsyncGenerator[Any, None]:
    import openai

    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


async def test_openais_client_completes_and_chats(openai_client: Any) -> None:
    said = [{"role": "user", "content": "hi"}]
    whole = await openai_client.completions.create(model="fake", prompt="p", max_tokens=2)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("w0 w1 ", "length")
    assert whole.usage.completion_tokens == 2
    stream = await openai_client.completions.create(model="fake", prompt="p", max_tokens=2, stream=True)
    assert [piece.choices[0].text async for piece in stream] == ["w0 ", "w1 "]
    chat = await openai_client.chat.completions.create(model="fake", messages=said, max_tokens=2)
    assert chat.choices[0].message.content == "w0 w1 "
    options = {"include_usage": True}
    stream = await openai_client.chat.completions.create(
        model="fake", messages=said, max_tokens=2, stream=True, stream_options=options
    )
    pieces = [piece async for piece in stream]
    assert "".join(piece.choices[0].delta.content for piece in pieces if piece.choices) == "w0 w1 "
    assert pieces[-1].usage.completion_tokens == 2
    filled = await openai_client.completions.create(model="fake", prompt="p", suffix="s", max_tokens=1)
    assert filled.choices[0].text == "w0 "


async def test_openais_client_embeds_and_lists(openai_client: Any) -> None:
    vectors = await openai_client.embeddings.create(model="fake", input=["x", "y"])
    assert [row.embedding for row in vectors.data] == [[1.0, 0.0, 0.0, 0.0]] * 2
    assert [model.id async for model in await openai_client.models.list()] == ["fake"]


async def test_openais_client_understands_our_errors(openai_client: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="other than 1 is not supported"):
        await openai_client.completions.create(model="fake", prompt="p", n=2)
    with pytest.raises(openai.NotFoundError) as caught:
        await openai_client.completions.create(model="fake?load_fault=model-not-found", prompt="p")
    assert caught.value.type == "model-not-found"
    stream = await openai_client.completions.create(model="fake?poison=boom", prompt="boom", max_tokens=4, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


async def test_openais_client_and_the_token() -> None:
    import httpx2
    import openai

    app = create_app(FakeBackend, token="s3cret", hosts=frozenset({"127.0.0.1:1"}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        client = openai.AsyncOpenAI(base_url="http://127.0.0.1:1/v1", api_key="wrong", max_retries=0, http_client=http)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
