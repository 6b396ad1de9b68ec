"""What is sent to each kind of server, and what is read from its replies."""

from __future__ import annotations

import base64
import struct
from contextlib import aclosing
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.engine.generation.fim import FORMATS, MARKERS
from inkling.engine.protocol import Chunk, ContextFile, GenerateRequest, Label, Priority, Task
from inkling.engine.remote import fim
from inkling.engine.remote.detect import detect
from inkling.engine.remote.hf_inference import HfInferenceEngine
from inkling.engine.remote.openai import OpenAIEngine
from inkling.engine.remote.settings import FimMarkers, FimWay
from inkling.engine.remote.tei import TeiEngine
from inkling.engine.remote.transport import Transport
from inkling.errors import InklingError

from .elsewhere import Elsewhere, elsewhere, events, models, reply, words

HOLE = GenerateRequest(
    "m",
    "def f():\n    ",
    "\n\nprint(f())\n",
    context=(ContextFile("a.py", "x = 1\n"),),
    max_tokens=9,
    stop=("\n\n",),
    priority=Priority.COMPLETION,
)
CHAT = GenerateRequest("m", messages=({"role": "user", "content": "hi"},), max_tokens=9)


async def chunks_of(engine: OpenAIEngine | HfInferenceEngine, request: GenerateRequest) -> list[Chunk]:
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def sent(there: Elsewhere, model: str, path: str = "/v1/completions", owner: str = "vllm", **changes: Any) -> Any:
    """The body of one completion at a hole."""
    there.on("/v1/models", models(model, owned_by=owner))
    there.on(path, events(*words("ok")))
    engine = OpenAIEngine(Transport("pool", there.settings(**changes)))
    await chunks_of(engine, HOLE)
    await engine.transport.close()
    return there.to(path)[-1].body


# FIM


def test_the_settings_name_every_family() -> None:
    assert set(get_args(FimWay)) == {format_.name for format_ in FORMATS} | {"auto", "none", "suffix", "infill"}


@pytest.mark.parametrize(
    ("model", "owner", "name"),
    [
        ("Qwen/Qwen2.5-Coder-7B", "vllm", "qwen"),
        ("qwen3-coder-30b-a3b", "vllm", "qwen"),
        ("Qwen/Qwen3-8B", "vllm", "none"),
        ("google/codegemma-2b", "vllm", "codegemma"),
        ("bigcode/starcoder2-3b", "vllm", "starcoder2"),
        ("bigcode/starcoderbase", "vllm", "starcoder"),
        ("deepseek-ai/deepseek-coder-6.7b-base", "vllm", "deepseek-coder"),
        ("codellama/CodeLlama-7b-hf", "vllm", "codellama"),
        ("mistralai/Codestral-22B-v0.1", "vllm", "codestral"),
        ("ByteDance-Seed/Seed-Coder-8B-Base", "vllm", "seed-coder"),
        ("anything.gguf", "llamacpp", "infill"),
        ("qwen2.5-coder:7b", "library", "suffix"),
        ("meta-llama/Llama-3.1-8B", "vllm", "none"),
    ],
)
def test_the_way_is_told_by_the_models_name(model: str, owner: str, name: str) -> None:
    found = fim.way("auto", model, owner)
    assert (found if isinstance(found, str) else found.name) == name


async def test_a_hole_is_written_with_the_models_own_markers() -> None:
    async with elsewhere() as there:
        body = await sent(there, "Qwen/Qwen2.5-Coder-7B")
        assert body["prompt"] == (
            "<|repo_name|>workspace\n<|file_sep|>a.py\nx = 1\n<|file_sep|>\n"
            "<|fim_prefix|>def f():\n    <|fim_suffix|>\n\nprint(f())\n<|fim_middle|>"
        )
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("Qwen/Qwen2.5-Coder-7B", 9, 0.0)
        assert body["stop"] == ["\n\n", "<|fim_pad|>", "<|cursor|>"]
        assert "suffix" not in body
        own = FimMarkers("[P]", "[S]", "[M]", ends=("[E]",))
        body = await sent(there, "in-house", fim=own)
        assert body["prompt"] == "# a.py\nx = 1\n\n[P]def f():\n    [S]\n\nprint(f())\n[M]"
        body = await sent(there, "codellama/CodeLlama-7b-hf")
        assert body["prompt"].endswith(" <PRE> <SUF>\n\nprint(f())\n <MID>def f():\n    ")
        body = await sent(there, "unknown")
        assert body["prompt"].endswith("def f():\n    ")


async def test_a_hole_through_the_servers_own_routes() -> None:
    async with elsewhere() as there:
        body = await sent(there, "m", owner="library")
        assert (body["prompt"].endswith("def f():\n    "), body["suffix"]) == (True, "\n\nprint(f())\n")
        there.on("/v1/models", models("m.gguf", owned_by="llamacpp"))
        pieces = [{"content": "return", "stop": False}, {"content": "", "stop": True, "stop_type": "limit"}]
        there.on("/infill", events(*pieces, done=False))
        engine = OpenAIEngine(Transport("pool", there.settings()))
        found = await chunks_of(engine, HOLE)
        assert (text(found), found[-1].finish) == ("return", "length")
        body = there.to("/infill")[0].body
        assert (body["input_prefix"], body["input_suffix"]) == ("def f():\n    ", "\n\nprint(f())\n")
        assert (body["input_extra"], body["n_predict"]) == ([{"filename": "a.py", "text": "x = 1\n"}], 9)
        there.on("/infill", reply(501, {"error": {"message": "Infill is not supported by this model"}}))
        there.on("/v1/completions", events(*words("plain")))
        found = await chunks_of(engine, HOLE)
        assert (text(found), found[0].notices) == ("plain", ("no-fim-tokens",))
        await chunks_of(engine, HOLE)
        assert len(there.to("/infill")) == 2  # refused once, not asked again
        await engine.transport.close()


async def test_a_field_that_the_server_refuses_is_left_out_from_then_on() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        bad = reply(400, {"error": {"message": "logprobs is not supported"}})
        worse = reply(400, {"error": {"message": "suffix is not currently supported"}})
        there.on("/v1/completions", bad, worse, events(*words("ok")))
        engine = OpenAIEngine(Transport("pool", there.settings(fim="suffix")))
        for _ in range(2):
            found = await chunks_of(engine, HOLE)
            assert (text(found), found[0].notices) == ("ok", ("no-fim-tokens",))
        bodies = [asked.body for asked in there.to("/v1/completions")]
        assert [("logprobs" in body, "suffix" in body) for body in bodies] == [
            (True, True), (False, True), (False, False), (False, False),
        ]  # fmt: skip
        there.on("/v1/completions", reply(400, {"error": {"message": "never"}}))
        with pytest.raises(InklingError, match="never"):
            await chunks_of(engine, HOLE)
        await engine.transport.close()


@given(st.text(max_size=60), st.sampled_from(sorted(MARKERS)), st.text(max_size=60))
def test_no_text_of_a_document_becomes_a_marker(before: str, marker: str, after: str) -> None:
    shown = fim.plain(f"{before}{marker.removeprefix('▁')}{after}")
    assert marker.removeprefix("▁") not in shown
    assert shown.replace(" ", "") == f"{before}{marker.removeprefix('▁')}{after}".replace(" ", "")


def test_ordinary_text_stays_as_it_is() -> None:
    source = "a < b | c > d; <s>gone</s> [prefix] x[SUF] List<File> <|> <T|U> <!-- note -->\n"
    assert fim.plain(source) == source


@given(st.lists(st.text("ab \n", max_size=40), max_size=60), st.integers(64, 400))
def test_windows_fit_and_stand_next_to_the_cursor(lines: list[str], tokens: int) -> None:
    prefix, suffix = "\n".join(lines), "\n".join(reversed(lines))
    files = (ContextFile("a", "x" * 300), ContextFile("b", "y\n" * 30))
    found = fim.windows(prefix, suffix, files, tokens)
    assert prefix.endswith(found.prefix)
    assert suffix.startswith(found.suffix)
    size = len(found.prefix) + len(found.suffix) + sum(len(file.text) for file in found.files)
    assert size <= tokens * fim.CHARACTERS_PER_TOKEN
    assert found.files == files[len(files) - len(found.files) :]


def test_a_window_stays_put_while_the_user_types() -> None:
    prefix = "".join(f"line {number} of the file\n" for number in range(400))
    starts = set()
    for length in range(len(prefix) - 200, len(prefix)):
        window = fim.windows(prefix[:length], "", (), 500).prefix
        assert window.startswith("line ")
        starts.add(length - len(window))
    assert len(starts) <= 2


# OpenAI's format


async def test_chunks_scores_and_finishes() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        engine = OpenAIEngine(Transport("pool", there.settings()))

        def choice(text: str, scores: list[float] | None = None, finish: str | None = None) -> dict[str, Any]:
            return {"choices": [{"text": text, "logprobs": {"token_logprobs": scores}, "finish_reason": finish}]}

        there.on("/v1/completions", events(choice("a b", [-0.1, -0.2]), choice("c", None, "length")))
        assert await chunks_of(engine, HOLE) == [
            Chunk("a b", 2, pytest.approx(-0.3), "", ("no-fim-tokens",)), Chunk("c", 1, 0.0, "length"),
        ]  # fmt: skip
        delta = [{"choices": [{"delta": {"role": "assistant"}}]}, {"choices": [{"delta": {"content": "yo"}}]}]
        usage = {"choices": [], "usage": {"total_tokens": 3}}
        there.on("/v1/chat/completions", events(*delta, usage))
        assert await chunks_of(engine, CHAT) == [Chunk("yo"), Chunk("", 0, 0.0, "stop")]  # [DONE] is an end, too
        whole = {"choices": [{"message": {"role": "assistant", "content": "all at once"}, "finish_reason": "stop"}]}
        there.on("/v1/chat/completions", reply(200, whole))
        assert text(await chunks_of(engine, CHAT)) == "all at once"
        await engine.transport.close()


async def test_model_names() -> None:
    async with elsewhere() as there:

        async def named(name: str, **changes: Any) -> str:
            engine = OpenAIEngine(Transport("pool", there.settings(**changes)))
            try:
                return await engine.model(name)
            finally:
                await engine.transport.close()

        there.on("/v1/models", models("big"))
        assert await named("big") == "big"
        assert await named("starter:code") == "big"  # a server of one model
        assert await named("starter:code", models={"starter:code": "other"}) == "other"
        assert await named("anything", models={"*": "big"}) == "big"
        there.on("/v1/models", models("a", "b"))
        assert await named("org/gateway-only") == "org/gateway-only"
        with pytest.raises(InklingError, match="It has: a, b") as caught:
            await named("starter:code")
        assert caught.value.reason == "model-not-found"
        there.on("/v1/models", reply(404, {}))
        assert await named("org/x") == "org/x"


async def test_the_prompt_fits_the_window_that_the_server_tells_of() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m", max_model_len=128))
        there.on("/v1/completions", events(*words("ok")))
        engine = OpenAIEngine(Transport("pool", there.settings()))
        await chunks_of(engine, GenerateRequest("m", "word " * 1000, max_tokens=28))
        assert 100 < len(there.asked[-1].body["prompt"]) <= (128 - 28 - 16) * fim.CHARACTERS_PER_TOKEN
        await engine.transport.close()


async def test_embeddings_summaries_translations() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        packed = base64.b64encode(struct.pack("<2f", 0.0, 2.0)).decode()
        rows = [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [3, 4]}]
        there.on("/v1/embeddings", reply(200, {"data": rows}))
        engine = OpenAIEngine(Transport("pool", there.settings()))
        assert await engine.embed(["a", "b"], model="m") == [[0.6, 0.8], [0.0, 1.0]]
        there.on("/v1/embeddings", reply(200, {"data": rows[:1]}))
        with pytest.raises(InklingError, match="not one result per input"):
            await engine.embed(["a", "b"], model="m")
        there.on("/v1/chat/completions", events(*words(" Short. ")))
        assert (await engine.summarize("Long text.", model="m")).text == "Short."
        assert await engine.translate("Guten Tag", model="m", source="German", target="English") == "Short."
        instruction = there.asked[-1].body["messages"][0]["content"]
        assert "from German into English" in instruction
        with pytest.raises(InklingError, match='"text-classification" = "local"') as caught:
            await engine.classify(["x"], model="m")
        assert caught.value.reason == "remote-task"
        await engine.transport.close()


# TEI and Hugging Face's format


async def test_tei() -> None:
    async with elsewhere() as there:
        there.on("/info", reply(200, {"model_id": "bge", "model_type": {"embedding": {}}, "max_client_batch_size": 2}))
        engine = TeiEngine(Transport("tei", there.settings()))
        assert await engine.listed() == ["bge"]
        there.on("/embed", reply(200, [[3, 4], [0, 5]]), reply(200, [[1, 0]]))
        assert await engine.embed(["a", "b", "c"], model="") == [[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]]
        assert [asked.body["inputs"] for asked in there.to("/embed")] == [["a", "b"], ["c"]]
        labels = [{"label": "bad", "score": 0.1}, {"label": "good", "score": 0.9}]
        there.on("/predict", reply(200, [labels, labels]))
        assert await engine.classify(["a", "b"], model="", top_k=1) == [[Label("good", 0.9)]] * 2
        there.on("/rerank", reply(200, [{"index": 1, "score": 2.0}, {"index": 0, "score": 2.0}]))
        assert await engine.zero_shot(["a"], ["x", "y"], model="") == [[Label("x", 0.5), Label("y", 0.5)]]
        there.on("/rerank", reply(200, [{"index": 1, "score": 2.0}]))
        with pytest.raises(InklingError, match="a ranking of an unknown shape"):
            await engine.zero_shot(["a"], ["x", "y"], model="")
        await engine.transport.close()


async def test_hugging_faces_format_in_the_shapes_that_servers_give() -> None:
    async with elsewhere() as there:
        engine = HfInferenceEngine(Transport("hub", there.settings()))
        at = "/models/org/m/pipeline/"
        good = [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}]
        there.on(at + "text-classification", reply(200, [good]))
        assert (await engine.classify(["a"], model="org/m"))[0][0] == Label("good", 0.9)
        there.on(at + "text-classification", reply(200, [good, good]))
        assert len(await engine.classify(["a", "b"], model="org/m")) == 2
        there.on(at + "text-classification", reply(200, [good]))  # a server that takes no lists
        there.asked.clear()
        assert len(await engine.classify(["a", "b"], model="org/m")) == 2
        assert [asked.body["inputs"] for asked in there.asked] == [["a", "b"], "a", "b"]
        old = {"labels": ["x", "y"], "scores": [0.2, 0.8]}
        there.on(at + "zero-shot-classification", reply(200, old))
        assert (await engine.zero_shot(["a"], ["x", "y"], model="org/m"))[0][0] == Label("y", 0.8)
        there.on(at + "feature-extraction", reply(200, [[[[2, 0], [0, 2]]]]))  # one row per token
        assert await engine.embed(["a"], model="org/m") == [[pytest.approx(0.7071, abs=1e-4)] * 2]
        there.on(at + "question-answering", reply(200, {"answer": "A", "score": 0.5, "start": 0, "end": 1}))
        assert (await engine.answer("?", "A b", model="org/m"))[0].text == "A"
        there.on(at + "fill-mask", reply(200, [{"token_str": "w", "score": 0.5, "sequence": "a w", "token": 3}]))
        assert (await engine.fill_mask("a [MASK]", model="org/m"))[0].sequence == "a w"
        there.on(at + "summarization", reply(200, [{"summary_text": "S"}]))
        assert (await engine.summarize("x", model="org/m")).text == "S"
        there.on(at + "translation", reply(200, [{"translation_text": "T"}]))
        assert await engine.translate("x", model="org/m") == "T"
        spans = [{"entity_group": "PER", "score": 0.9, "start": 3, "end": 6, "word": "Ada"}]
        there.on(at + "token-classification", reply(200, spans))
        assert (await engine.classify_tokens(["to Ada"], model="org/m"))[0][0].start == 3
        token = {"token": {"text": "w", "logprob": -0.1, "special": False}}
        last = {"token": {"text": "</s>", "special": True}, "generated_text": "w", "details": {"finish_reason": "stop"}}
        there.on(at + "text-generation", events(token, last, done=False))
        assert text(await chunks_of(engine, GenerateRequest("org/m", "x"))) == "w"
        there.on(at + "text-generation", reply(200, [{"generated_text": "whole"}]))
        assert text(await chunks_of(engine, GenerateRequest("org/m", "x"))) == "whole"
        with pytest.raises(InklingError, match="ships with Inkling"):
            await engine.classify(["a"], model="starter:tone")
        await engine.transport.close()


@pytest.mark.parametrize(
    ("path", "answer", "kind"),
    [
        ("/health", {"status": "ok", "version": "0.1.0", "protocol": 1}, "inkling"),
        ("/info", {"model_id": "x", "model_type": {"reranker": {}}}, "tei"),
        ("/v1/models", {"object": "list", "data": []}, "openai"),
        ("/health", {"status": "ok"}, None),
        ("/info", {"model_id": "x", "sha": "1"}, None),
    ],
)
async def test_the_kind_is_told_by_what_a_server_says_of_itself(path: str, answer: Any, kind: str | None) -> None:
    async with elsewhere() as there:
        there.on(path, reply(200, answer))
        transport = Transport("pool", there.settings())
        if kind is None:
            with pytest.raises(InklingError, match=r"engine\.remotes\.pool\.kind"):
                await detect(transport)
        else:
            assert await detect(transport) == kind
        assert all(asked.method == "GET" for asked in there.asked)
        await transport.close()


def test_every_task_is_served_or_refused_with_words() -> None:
    for engine in (OpenAIEngine, TeiEngine, HfInferenceEngine):
        assert engine.serves <= set(Task)
