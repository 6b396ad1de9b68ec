"""Real third-party servers on loopback, driven through the router as the editor drives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from inkling.engine.fake import FakeEngine
from inkling.engine.protocol import Chunk, GenerateRequest, Priority, Task
from inkling.engine.remote.router import Router
from inkling.engine.remote.settings import RemoteSettings
from inkling.engine.settings import EngineSettings
from inkling.errors import InklingError

from .third_party import LLAMA_CPP, TRANSFORMERS, llama_cpp, missing, transformers_serve

CODE = 'def function_1(value, other=1):\n    """Add 1."""\n    return'
CHAT = ({"role": "user", "content": "Add 1."},)


@pytest.fixture(scope="module")
def llama_url(tiny_lm: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if why := missing(LLAMA_CPP):
        pytest.skip(why)
    with llama_cpp(tiny_lm("qwen2"), tmp_path_factory.mktemp("gguf")) as url:
        yield url


@pytest.fixture(scope="module")
def serve(tiny_lm: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    if why := missing(TRANSFORMERS):
        pytest.skip(why)
    model = tiny_lm("qwen2")
    with transformers_serve(model, tmp_path_factory.mktemp("serve")) as url:
        yield url, str(model)


def routed(url: str, **changes: Any) -> Router:
    remote = RemoteSettings(**{"url": url, "timeout_seconds": 60.0} | changes)
    return Router(EngineSettings(remotes={"pool": remote}, routes={"*": "pool"}), FakeEngine())


async def chunks_of(router: Router, request: GenerateRequest) -> list[Chunk]:
    async with aclosing(router.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_llama_cpp_pythons_server(llama_url: str) -> None:
    router = routed(llama_url)
    await router.start()
    state = router.remotes()[0]
    assert (state["kind"], state["models"]) == ("openai", ["tiny-qwen2.5-coder"])
    request = GenerateRequest("starter:code", CODE, max_tokens=12, priority=Priority.COMPLETION)
    found = await chunks_of(router, request)
    assert text(found) and len(found) > 2
    assert found[-1].finish in ("length", "stop")
    assert not any(chunk.notices for chunk in found)
    again = await chunks_of(router, request)
    assert text(again) == text(found)
    hole = GenerateRequest("starter:code", CODE, "\n\n\ndef function_2(value):\n", max_tokens=12)
    filled = await chunks_of(router, hole)
    assert text(filled) and text(filled) != text(found)  # by the name's markers
    assert not any(chunk.notices for chunk in filled)
    first = text(found).strip()[:1]
    stopped = await chunks_of(router, GenerateRequest("x", CODE, max_tokens=12, stop=(first,)))
    assert first not in text(stopped) and stopped[-1].finish == "stop"
    said = await chunks_of(router, GenerateRequest("x", messages=CHAT, max_tokens=6))
    assert said[-1].finish in ("length", "stop")
    await router.close()


async def test_transformers_serve(serve: tuple[str, str]) -> None:
    url, model = serve
    router = routed(url)
    await router.start()
    assert router.remotes()[0]["kind"] == "openai"
    found = await chunks_of(router, GenerateRequest(model, CODE, max_tokens=8, priority=Priority.COMPLETION))
    assert text(found) and found[-1].finish in ("length", "stop")
    said = await chunks_of(router, GenerateRequest(model, messages=CHAT, max_tokens=6))
    assert said[-1].finish in ("length", "stop")
    with pytest.raises(InklingError) as caught:
        await router.embed(["x"], model=model)
    assert caught.value.reason not in ("internal", "engine-error")
    with pytest.raises(InklingError) as caught:
        await router.load("x", Task.FILL_MASK)
    assert caught.value.reason == "remote-task"
    await router.close()
