"""`TextGenerator`: from a request to streamed text."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from inkling.engine.backend import Stop
from inkling.engine.generation.text_generator import TextGenerator
from inkling.engine.protocol import Chunk, GenerateRequest

PROMPT = "def function_1(value):\n    return value\n\ndef function_2("


@pytest.fixture(scope="module")
def generator(tiny_lm: Callable[[str], Path]) -> TextGenerator:
    return TextGenerator("tiny", tiny_lm("llama"), quantization="none")


def generate(generator: TextGenerator, flag: Stop | None = None, **request: object) -> list[Chunk]:
    return list(generator.generate(GenerateRequest("tiny", **{"prompt": PROMPT, **request}), flag or Stop()))  # type: ignore[arg-type]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_streams_the_text_that_generate_gives(generator: TextGenerator, tiny_lm: Callable[[str], Path]) -> None:
    folder = tiny_lm("llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(PROMPT, return_tensors="pt", return_token_type_ids=False)
    out = AutoModelForCausalLM.from_pretrained(folder).generate(**inputs, do_sample=False, max_new_tokens=30)
    expected = tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    chunks = generate(generator, max_tokens=30)
    assert text(chunks) == expected.rstrip("�")
    assert sum(chunk.tokens for chunk in chunks) == 30
    assert [chunk.finish for chunk in chunks] == [""] * (len(chunks) - 1) + ["length"]
    assert all(chunk.logprob < 0 for chunk in chunks if chunk.tokens)


def test_stop_strings_never_leak(generator: TextGenerator) -> None:
    whole = text(generate(generator, max_tokens=40))
    for start, length in itertools.product(range(0, len(whole) - 6, 3), (1, 2, 5)):
        stop = whole[start : start + length]
        chunks = generate(generator, max_tokens=40, stop=(stop,))
        assert text(chunks) == whole[: whole.index(stop)]
        assert chunks[-1].finish == "stop"


def test_a_set_stop_ends_at_the_next_token(generator: TextGenerator) -> None:
    stop = Stop()
    chunks = generator.generate(GenerateRequest("tiny", prompt=PROMPT, max_tokens=40), stop)
    next(chunks)
    before = generator.counters()["generated_tokens"]
    stop.set()
    assert list(chunks) == []
    assert generator.counters()["generated_tokens"] == before


def test_a_late_deadline_says_so(generator: TextGenerator) -> None:
    assert [chunk.finish for chunk in generate(generator, deadline_s=0.0)] == ["deadline"]
    assert generate(generator, flag=Stop(0.0))[-1].finish == "deadline"


def test_requests_may_interleave_even_in_one_document(generator: TextGenerator) -> None:
    alone = [text(generate(generator, max_tokens=20)), text(generate(generator, prompt=PROMPT + "x", max_tokens=20))]
    requests = [
        GenerateRequest("tiny", prompt=prompt, max_tokens=20, cache_key="document")
        for prompt in (PROMPT, PROMPT + "x", PROMPT)
    ]
    streams = [generator.generate(request, Stop()) for request in requests]
    got = ["", "", ""]
    for chunks in itertools.zip_longest(*streams):
        for index, chunk in enumerate(chunks):
            got[index] += chunk.text if chunk else ""
    assert got == [*alone, alone[0]]


def test_seeds_reproduce(generator: TextGenerator) -> None:
    def sample(seed: int) -> str:
        return text(generate(generator, temperature=5.0, top_p=0.9, seed=seed, max_tokens=24))

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(4)}) > 1


def test_run_gives_hugging_faces_format(generator: TextGenerator) -> None:
    [[result]] = generator.run([PROMPT], {"max_new_tokens": 30}, Stop())
    assert result == {"generated_text": text(generate(generator, max_tokens=30))}
