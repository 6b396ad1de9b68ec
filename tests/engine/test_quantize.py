"""Quantization: the choice and its reason, every method on real files, the cache on disk, what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from inkling.engine.backend import Stop
from inkling.engine.generation.text_generator import TextGenerator
from inkling.engine.models import quantize, quantize_cache, quantize_compare
from inkling.engine.models.quantize_plan import Machine, Method, choose
from inkling.engine.protocol import GenerateRequest
from inkling.errors import InklingError

IDS = [int(i) for i in torch.randint(5, 600, (60,), generator=torch.Generator().manual_seed(1))]
GB = 1 << 30
PC = Machine("cpu", 16 * GB, packed=True, bfloat16=True)
AVX2 = Machine("cpu", 16 * GB, packed=True, bfloat16=False, int4=False)
OLD = Machine("cpu", 16 * GB, packed=False, bfloat16=False)
GPU = Machine("cuda", 20 * GB, packed=False, bfloat16=True)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(quantize, "WORTH_CACHING_BYTES", 0)
    monkeypatch.setattr(quantize_cache, "KEEP_FREE_BYTES", 0)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: True)  # else int4 is not chosen; its kernel runs


@pytest.mark.parametrize(
    ("asked", "machine", "millions", "stored", "method"),
    [
        ("auto", PC, 5, "BF16", Method.INT8),
        ("auto", PC, 500, "BF16", Method.INT8),
        ("auto", PC, 15_000, "BF16", Method.BNB_NF4),
        ("auto", OLD, 500, "BF16", Method.FLOAT32),
        ("auto", GPU, 500, "BF16", Method.BFLOAT16),
        ("auto", GPU, 15_000, "BF16", Method.BNB_NF4),
        ("none", PC, 500, "BF16", Method.BFLOAT16),
        ("none", PC, 500, "F32", Method.FLOAT32),
        ("none", OLD, 500, "F16", Method.FLOAT32),
        ("int8", PC, 500, "BF16", Method.INT8),
        ("int8", GPU, 500, "BF16", Method.BNB_INT8),
        ("int4", OLD, 500, "BF16", Method.BNB_NF4),
        ("int4", PC, 500, "BF16", Method.INT4),
        ("int4", AVX2, 500, "BF16", Method.INT8),
        ("auto", AVX2, 500, "BF16", Method.INT8),
        ("nf4", PC, 500, "BF16", Method.BNB_NF4),
        ("bnb-int8", PC, 500, "BF16", Method.BNB_INT8),
    ],
)
def test_choice(asked: str, machine: Machine, millions: int, stored: str, method: Method) -> None:
    plan = choose(asked, machine, parameters=millions * 1_000_000, stored=stored)
    assert plan.method == method
    assert plan.why


def test_unknown_quantization_is_refused() -> None:
    with pytest.raises(InklingError, match="not a quantization") as caught:
        choose("int3", PC, parameters=1, stored="F32")
    assert caught.value.reason == "bad-quantization"


def exact(folder: Path) -> torch.Tensor:
    with torch.inference_mode():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(torch.tensor([IDS])).logits[0]


def distance(folder: Path, method: str) -> float:
    """Mean Kullback–Leibler divergence from the exact model, in nats a token."""
    decoder = quantize.load(folder, quantization=method).decoder
    got = decoder.forward(IDS, decoder.new_cache(), len(IDS))
    want = exact(folder).log_softmax(-1)
    return float((want.exp() * (want - got.log_softmax(-1))).sum(-1).mean())


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "gpt-neox", "starcoder2"])
@pytest.mark.parametrize(
    ("method", "allowed"),
    [("none", 1e-6), ("bfloat16", 0.05), ("int8", 0.05), ("int4", 3.0), ("nf4", 3.0), ("bnb-int8", 0.2)],
)
def test_methods_stay_near_the_exact_model(
    tiny_lm: Callable[[str], Path], architecture: str, method: str, allowed: float
) -> None:
    assert distance(tiny_lm(architecture), method) < allowed


@pytest.mark.parametrize("method", ["int8", "int4", "nf4"])
def test_quantized_once_then_read_from_disk(
    tiny_lm: Callable[[str], Path], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_lm("qwen2")

    def logits() -> torch.Tensor:
        decoder = quantize.load(folder, quantization=method).decoder
        return decoder.forward(IDS, decoder.new_cache(), 1)

    first = logits()
    [entry] = quantize_cache.root().glob(f"*-{'bnb-nf4' if method == 'nf4' else method}-*")
    stamps = {path: path.stat().st_mtime_ns for path in entry.iterdir()}
    assert torch.equal(logits(), first)
    assert {path: path.stat().st_mtime_ns for path in entry.iterdir()} == stamps
    damaged = next(path for path in entry.iterdir() if path.suffix == ".safetensors")
    damaged.write_bytes(damaged.read_bytes()[:50])
    assert torch.equal(logits(), first)
    assert damaged.stat().st_size > 50


@pytest.mark.parametrize("method", ["int8", "nf4"])
def test_a_full_disk_costs_only_the_cache(
    tiny_lm: Callable[[str], Path], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize_cache, "KEEP_FREE_BYTES", 1 << 60)
    generator = TextGenerator("tiny", tiny_lm("llama"), quantization=method)

    def notices() -> list[str]:
        chunks = generator.generate(GenerateRequest("tiny", prompt="def f(", max_tokens=4), Stop())
        return [notice for chunk in chunks for notice in chunk.notices]

    assert notices() == [quantize_cache.UNAVAILABLE]
    assert notices() == []
    assert not any(path.name.startswith(".partial") for path in quantize_cache.root().iterdir())


def test_the_reason_is_told(tiny_lm: Callable[[str], Path]) -> None:
    generator = TextGenerator("tiny", tiny_lm("gpt2"))
    assert generator.quantization in ("int8", "none")
    assert ": " in generator.quantization_why
    assert "architecture gpt2" in generator.quantization_why


def test_comparison_has_every_method(tiny_lm: Callable[[str], Path]) -> None:
    text = "".join(f"def function_{n}(value):\n    return value + {n}\n\n" for n in range(60))
    compared = quantize_compare.compare(tiny_lm("llama"), text, most_tokens=200, decode_tokens=3)
    rows = {row.method: row for row in compared}
    assert set(rows) == set(quantize_compare.methods("cpu"))
    exact_row = rows[Method.FLOAT32]
    for row in rows.values():
        assert row.error == ""
        assert row.bytes > 0
        assert min(row.load_s, row.prefill_tokens_per_s, row.decode_tokens_per_s) > 0
        assert row.perplexity == pytest.approx(exact_row.perplexity, rel=0.5)
    assert rows[Method.INT8].perplexity == pytest.approx(exact_row.perplexity, rel=0.05)
    with pytest.raises(InklingError) as caught:
        list(quantize_compare.compare(tiny_lm("llama"), "short"))
    assert caught.value.reason == "too-short"


def test_perplexity_is_what_transformers_computes(tiny_lm: Callable[[str], Path]) -> None:
    folder = tiny_lm("qwen2")
    decoder = quantize.load(folder, quantization="float32").decoder
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        mean = float(model(torch.tensor([IDS]), labels=torch.tensor([IDS])).loss)
    got = quantize_compare.negative_log_likelihood(decoder, [], IDS, tokens_per_pass=7)
    assert got / len(IDS) == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:900]),
            "weights-corrupt",
        ),
        (lambda f: (f / "model.safetensors").unlink(), "weights-missing"),
        (lambda f: (f / "tokenizer.json").write_text("{"), "no-tokenizer"),
        (lambda f: edit(f / "config.json", auto_map={"AutoModelForCausalLM": "x.X"}), "remote-code"),
        (lambda f: edit(f / "config.json", model_type="unheard-of"), "unknown-architecture"),
        (lambda f: edit(f / "config.json", num_hidden_layers=9), "weights-corrupt"),
        (lambda f: edit(f / "config.json", hidden_size=128), "weights-corrupt"),
    ],
)
def test_damaged_models_are_named(
    tiny_lm: Callable[[str], Path], tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_lm("llama"), folder)
    damage(folder)
    with pytest.raises(InklingError) as caught:
        quantize.load(folder, name="org/damaged")
    assert caught.value.reason == reason
    assert caught.value.hint
    assert "damaged" in caught.value.message


def test_a_missing_package_is_named(tiny_lm: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    with pytest.raises(InklingError, match="bitsandbytes") as caught:
        quantize.load(tiny_lm("llama"), quantization="nf4")
    assert caught.value.reason == "missing-package"


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
