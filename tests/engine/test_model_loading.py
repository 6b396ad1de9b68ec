"""Loading: shards, stored precisions, devices and threads; what is in memory is what was asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from inkling.engine.backend import Stop
from inkling.engine.models.catalog import resolve
from inkling.engine.models.device import pick_dtype, set_threads
from inkling.engine.models.load import load
from inkling.engine.models.memory import available_bytes, estimate_bytes
from inkling.engine.models.store import create_backend
from inkling.errors import InklingError

TASK = "text-classification"
SHAPE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "model", "text"]


def save(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A tiny classifier in `folder`; returns the model."""
    torch.manual_seed(1)
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, num_labels=3, **SHAPE)
    model = transformers.BertForSequenceClassification(config).eval()
    model.to(dtype).save_pretrained(folder, **options)
    transformers.BertTokenizer(vocab={word: index for index, word in enumerate(WORDS)}).save_pretrained(folder)
    return model.float()


def logits_of(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=torch.tensor([[2, 5, 6, 8, 3]])).logits
    return found


def load_exact(folder: Path) -> Any:
    return load(resolve(str(folder)), TASK, device="cpu", dtype=torch.float32)


def test_shards(tmp_path: Path) -> None:
    model = save(tmp_path, max_shard_size="30KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    weights = load_exact(tmp_path)
    assert torch.equal(logits_of(weights.model), logits_of(model))
    assert weights.bytes >= sum(path.stat().st_size for path in shards) * 0.9
    shards[1].unlink()
    with pytest.raises(InklingError, match=shards[1].name):
        load_exact(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_stored_precisions_are_widened_on_the_cpu(dtype: torch.dtype, tmp_path: Path) -> None:
    model = save(tmp_path, dtype)
    weights = load_exact(tmp_path)
    assert {parameter.dtype for parameter in weights.model.parameters()} == {torch.float32}
    assert torch.allclose(logits_of(weights.model), logits_of(model), atol=1e-6)
    assert not weights.model.training
    assert not any(parameter.requires_grad for parameter in weights.model.parameters())
    source = resolve(str(tmp_path))
    estimate = estimate_bytes(source, TASK, quantization="auto")
    assert weights.bytes <= estimate <= weights.bytes + (33 << 20)


def test_progress_only_grows(tmp_path: Path) -> None:
    save(tmp_path)
    steps: list[float] = []
    load(resolve(str(tmp_path)), TASK, device="cpu", dtype=torch.float32, on_progress=steps.append)
    assert steps == sorted(steps)
    assert (steps[0] > 0, steps[-1]) == (True, 1.0)


@pytest.mark.parametrize(
    ("quantization", "dtype", "told"),
    [
        ("auto", torch.float32, "full precision"),
        ("none", torch.float32, "full precision"),
        ("bf16", torch.bfloat16, "as asked"),
        ("int8", torch.float32, "is for text generation"),
    ],
)
def test_precision_on_the_cpu(quantization: str, dtype: torch.dtype, told: str, tmp_path: Path) -> None:
    found, _, why = pick_dtype("cpu", quantization)
    assert (found, told in why) == (dtype, True)
    save(tmp_path)
    model = create_backend(device="cpu", threads=2).load(
        str(tmp_path), TASK, quantization=quantization, on_progress=lambda _: None
    )
    assert told in model.quantization_why
    (labels,) = model.run(["a good text"], {}, Stop())
    assert abs(sum(label["score"] for label in labels) - 1) < 1e-2


def test_threads() -> None:
    before = torch.get_num_threads()
    try:
        set_threads(1)
        assert torch.get_num_threads() == 1
        set_threads(0)
        assert 1 <= torch.get_num_threads() <= 8
    finally:
        torch.set_num_threads(before)


def test_available_memory_is_what_this_process_may_use() -> None:
    import psutil

    assert 0 < available_bytes() <= psutil.virtual_memory().total


@pytest.mark.timeout(300)  # a fresh interpreter imports torch and transformers
def test_loading_reaches_no_network(tmp_path: Path) -> None:
    """In a process whose every socket refuses, a model loads and answers."""
    save(tmp_path)
    code = f"""
import socket
def refuse(*arguments, **named):
    raise AssertionError("a socket was used")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = socket.getaddrinfo = refuse
from inkling.engine.backend import Stop
from inkling.engine.models.store import create_backend
backend = create_backend(device="cpu", threads=1)
for model, task in (({str(tmp_path)!r}, {TASK!r}), ("starter:encoder", "feature-extraction")):
    loaded = backend.load(model, task, quantization="auto", on_progress=lambda _: None)
    assert len(loaded.run(["a good text"], {{}}, Stop())) == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
