"""The models that ship with Inkling answer through the store; instruction models summarize and translate by chat."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkling.engine.backend import Stop
from inkling.engine.models.catalog import list_starters, resolve
from inkling.engine.models.store import create_backend
from inkling.engine.protocol import Chunk, GenerateRequest, Task
from inkling.engine.tasks.chat import ChatTask
from inkling.errors import InklingError

HEADS = [entry.id for entry in list_starters() if entry.source and entry.source.is_adapter]


def test_there_are_starter_heads() -> None:
    assert HEADS


@pytest.mark.parametrize("model", HEADS)
def test_starter_heads_answer_as_any_classifier(model: str, load: Any) -> None:
    source = resolve(model)
    labels = set(json.loads((source.path / "config.json").read_text())["id2label"].values())
    head = load(model, source.task)
    texts = ["Write to ada@example.org, please.", "", "you wrote this like a fool", "x " * 3000] * 5
    results = head.run(texts, {}, Stop())
    assert len(results) == len(texts)
    for text, rows in zip(texts, results, strict=True):
        json.dumps(rows)
        if source.task == Task.TEXT_CLASSIFICATION:
            assert {row["label"] for row in rows} == labels
            assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
            assert abs(sum(row["score"] for row in rows) - 1) < 1e-3
        else:
            assert {row["entity_group"] for row in rows} <= labels
            assert all(text[row["start"] : row["end"]] == row["word"] for row in rows)
    assert results[:4] == results[4:8]
    stopped = Stop()
    stopped.set()
    assert head.run(texts, {}, stopped) == []
    with pytest.raises(InklingError, match="does not generate text"):
        head.generate(GenerateRequest(model), Stop())
    with pytest.raises(InklingError, match="cannot do"):
        load(model, Task.SUMMARIZATION)


def test_the_shared_encoder_is_counted_once() -> None:
    backend = create_backend(device="cpu", threads=2)
    before = [backend.estimate_bytes(model, resolve(model).task, quantization="auto") for model in HEADS]
    assert min(before) > 90_000_000
    models = [("starter:encoder", "feature-extraction"), (HEADS[0], resolve(HEADS[0]).task),
              ("starter:encoder", "zero-shot-classification")]  # fmt: skip
    first, *others = [backend.load(*model, quantization="auto", on_progress=lambda _: None).bytes for model in models]
    assert first > 90_000_000
    assert max(others) < 5_000_000
    assert max(backend.estimate_bytes(*model, quantization="auto") for model in models) < 45_000_000


class Recorder:
    """A generator that notes what it was asked and says one thing."""

    id, task, device, quantization, quantization_why, bytes = "chat", "text-generation", "cpu", "none", "", 7

    def __init__(self) -> None:
        self.requests: list[GenerateRequest] = []
        self.closed = False

    def run(self, *_: Any) -> list[Any]:
        raise NotImplementedError

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        self.requests.append(request)
        yield Chunk(" Ada ")
        yield Chunk("writes.\n", finish="stop")

    def counters(self) -> dict[str, int]:
        return {"generated_tokens": 2}

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("task", "parameters", "result", "asked"),
    [
        ("summarization", {"max_sentences": 1}, {"summary_text": "Ada writes.", "kind": "abstractive", "spans": []},
         "at most 1 sentence,"),
        ("translation", {"src_lang": "German", "tgt_lang": "French"}, {"translation_text": "Ada writes."},
         "from German into French"),
        ("translation", {}, {"translation_text": "Ada writes."}, "into English"),
    ],
)  # fmt: skip
def test_chat_tasks(task: str, parameters: Any, result: Any, asked: str) -> None:
    recorder = Recorder()
    model = ChatTask(recorder, task)
    assert model.run(["Ada schreibt.", "Und rechnet."], parameters, Stop()) == [result, result]
    system, user = recorder.requests[1].messages
    assert asked in system["content"]
    assert user == {"role": "user", "content": "Und rechnet."}
    assert (model.bytes, model.counters()) == (7, {"generated_tokens": 2})
    stopped = Stop()
    stopped.set()
    assert model.run(["a"], parameters, stopped) == []
    model.close()
    assert recorder.closed


def test_a_causal_model_with_a_template_summarizes(tiny_lm: Callable[[str], Path], load: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_lm("llama"), tmp_path / "chat"))
    if "summarization" not in resolve(str(folder)).tasks:
        (folder / "chat_template.jinja").write_text(
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        )
    (result,) = load(str(folder), "summarization").run(["def f():\n    return 1"], {"max_new_tokens": 4}, Stop())
    assert result["kind"] == "abstractive"
    assert isinstance(result["summary_text"], str)
