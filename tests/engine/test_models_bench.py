"""`inkling models bench` and `quantize`: figures for the model that was named, in words and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkling.cli import main, models_bench
from inkling.engine.models import quantize_compare
from inkling.engine.models.quantize_plan import Method

COMMON = ("--device", "cpu", "--threads", "2", "--json")


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ITEMS", 6), ("NEW_TOKENS", 8), ("PROMPT_REPEATS", 2)):
        monkeypatch.setattr(models_bench, name, value)


def test_bench_of_a_generator(tiny_lm: Callable[[str], Path], capsys: Any) -> None:
    assert main(["models", "bench", str(tiny_lm("llama")), "--quantization", "none", *COMMON]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["task"], figures["device"]) == ("text-generation", "cpu")
    assert all(figures[name] > 0 for name in ("prompt_tokens_per_s", "new_tokens_per_s", "first_token_s", "memory_mb"))


@pytest.mark.parametrize("task", ["feature-extraction", "zero-shot-classification", "summarization"])
def test_bench_of_an_encoder(task: str, capsys: Any) -> None:
    assert main(["models", "bench", "starter:encoder", "--task", task, *COMMON]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["task"] == task
    assert figures["batched_inputs_per_s"] > 0 and figures["single_input_ms"] > 0


def test_quantize_compares(tiny_lm: Callable[[str], Path], capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize_compare, "methods", lambda device: (Method.FLOAT32, Method.INT8))
    monkeypatch.chdir(tiny_lm("llama").parent)
    folder = f"./{tiny_lm('llama').name}"
    assert main(["models", "quantize", folder, "--tokens", "200", *COMMON]) == 0
    exact, packed = json.loads(capsys.readouterr().out)
    assert (exact["method"], packed["method"]) == ("float32", "int8")
    assert packed["bytes"] < exact["bytes"]
    assert abs(packed["bits_per_byte"] / exact["bits_per_byte"] - 1) < 0.1
    assert main(["models", "quantize", folder, "--tokens", "200", "--text", __file__]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in table] == ["precision", "float32", "int8", "auto"]
    assert "+0.0%" in table[1].split() and table[-1].split()[1].endswith(":")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bench", "org/absent"], "org/absent is not on this machine"),
        (["bench", "starter:encoder", "--task", "translation"], "cannot do translation"),
        (["bench", "starter:encoder", "--device", "gpu"], '"gpu" is not a device'),
        (["quantize", "starter:encoder"], "cannot do text-generation"),
        (["quantize", "starter:code", "--text", "/no/such/file"], "/no/such/file cannot be read"),
    ],
)
def test_refusals(words: list[str], says: str, capsys: Any) -> None:
    assert main(["models", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
