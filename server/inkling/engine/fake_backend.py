"""A model side without models, for tests of the serving side and for faults that real models do not show on demand.

The model's id scripts it, as a query string after any name: `fake?token_s=0.01&load_s=0.5&bytes=1000`.

| key | means |
|---|---|
| `load_s`, `token_s`, `item_s` | seconds per load, generated token, computed input |
| `bytes` | its size |
| `deaf` | it ignores its stop flag |
| `text` | what it generates, word by word; default: `w0 w1 w2 …` |
| `load_fault`, `run_fault` | the reason of an `InklingError` to raise; or `bug`, `memory` for other exceptions |
| `poison` | an input that holds this string raises; the reason `die` kills the process |

As `INKLING_ENGINE_BACKEND=inkling.engine.fake_backend:create_backend` it stands in for the real one in a whole process.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from inkling.engine.backend import Backend, LoadedModel, Stop
from inkling.engine.protocol import Chunk, GenerateRequest, Task
from inkling.errors import InklingError

_DEFAULT_BYTES = 1024 * 1024


class FakeModel:
    """Satisfies `LoadedModel`. `batches` holds the sizes of the batches it was given; `order` what it worked on."""

    def __init__(self, model: str, task: str, quantization: str, script: Mapping[str, str]) -> None:
        self.id = model
        self.task = task
        self.device = "cpu"
        self.quantization = "none" if quantization == "auto" else quantization
        self.quantization_why = "a fake needs none"
        self.bytes = int(script.get("bytes", _DEFAULT_BYTES))
        self.script = script
        self.batches: list[int] = []
        self.order: list[str] = []
        self.threads: set[int] = set()
        self.closed = False
        self._counters: Counter[str] = Counter()

    def _seconds(self, key: str) -> float:
        return float(self.script.get(key, 0.0))

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One item per input, in Hugging Face's format."""
        self.threads.add(threading.get_ident())
        self.batches.append(len(inputs))
        self._counters["computed_batches"] += 1
        results: list[Any] = []
        for item in inputs:
            if stop.is_set or stop.is_late:
                break
            time.sleep(self._seconds("item_s"))
            text = item if isinstance(item, str) else item["context"]
            self.order.append(text)
            if "poison" in self.script and self.script["poison"] in text:
                _fault(self.script.get("run_fault", "bug"), self.id)
            self._counters["computed_inputs"] += 1
            results.append(_result(self.task, item, parameters))
        return results

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        """Words until `max_tokens`, the deadline or the stop."""
        self.threads.add(threading.get_ident())
        prompt = request.prompt or " ".join(message["content"] for message in request.messages)
        if "poison" in self.script and self.script["poison"] in prompt:
            yield Chunk("before ", 1, -0.5)
            _fault(self.script.get("run_fault", "bug"), self.id)
        self._counters["prefill_tokens"] += len(prompt.split())
        given = self.script.get("text")
        words = (f"w{n} " for n in itertools.count()) if given is None else iter(given.split(" "))
        for count, word in enumerate(words, 1):
            time.sleep(self._seconds("token_s"))
            if stop.is_set and "deaf" not in self.script:
                return
            if stop.is_late:
                yield Chunk("", 0, 0.0, "deadline")
                return
            self._counters["generated_tokens"] += 1
            self.order.append(request.cache_key or prompt)
            last = count >= request.max_tokens
            yield Chunk(word, 1, -0.5, "length" if last else "", ("fake-notice",) if count == 1 else ())
            if last:
                return
        yield Chunk("", 0, 0.0, "stop")

    def counters(self) -> Mapping[str, int]:
        """`generated_tokens`, `prefill_tokens`, `computed_inputs`."""
        return dict(self._counters)

    def close(self) -> None:
        """Notes it."""
        self.closed = True


def _result(task: str, item: Any, parameters: Mapping[str, Any]) -> Any:
    if task == Task.TEXT_CLASSIFICATION:
        score = 0.9 if "bad" in item else 0.2
        labels = [{"label": "bad", "score": score}, {"label": "good", "score": 1 - score}]
        return sorted(labels, key=lambda label: -float(str(label["score"])))[: parameters.get("top_k")]
    if task == Task.ZERO_SHOT_CLASSIFICATION:
        labels = [{"label": label, "score": float(label in item)} for label in parameters["candidate_labels"]]
        return sorted(labels, key=lambda label: -float(str(label["score"])))
    if task == Task.TOKEN_CLASSIFICATION:
        words = [word for word in item.split() if word[:1].isupper()]
        return [_entity(item, word) for word in words]
    if task == Task.FEATURE_EXTRACTION:
        return [1.0, 0.0, 0.0, 0.0]
    if task == Task.QUESTION_ANSWERING:
        first = item["context"].split(" ")[0]
        return [{"answer": first, "score": 0.5, "start": 0, "end": len(first)}]
    if task == Task.FILL_MASK:
        whole = item.replace("[MASK]", "word")
        return [{"token_str": "word", "token": 1, "score": 0.5, "sequence": whole}]
    if task == Task.SUMMARIZATION:
        first = item.split(".")[0]
        return {"summary_text": first, "kind": "key-sentences", "spans": [[0, len(first)]]}
    return {"translation_text": item.upper()}


def _entity(text: str, word: str) -> dict[str, Any]:
    start = text.index(word)
    return {"entity_group": "NAME", "score": 0.9, "word": word, "start": start, "end": start + len(word)}


def _fault(reason: str, model: str) -> None:
    if reason == "die":
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    if reason == "memory":
        raise MemoryError
    if reason == "bug":
        raise ValueError("a message that may hold the user's text")
    raise InklingError(reason, f"{model} was told to fail.", "Ask another fake.")


@dataclass
class FakeBackend:
    """Satisfies `Backend`; `models` holds what it loaded, in order. With `limit_bytes` it runs out of memory."""

    models: list[FakeModel] = field(default_factory=list)
    limit_bytes: int | None = None

    def load(self, model: str, task: str, *, quantization: str, on_progress: Callable[[float], None]) -> LoadedModel:
        """Sleeps, reporting progress, then fails or loads as the id says."""
        script = _script(model)
        for step in range(4):
            on_progress(step / 4)
            time.sleep(float(script.get("load_s", 0.0)) / 4)
        if "load_fault" in script:
            _fault(script["load_fault"], model)
        loaded = FakeModel(model, task, quantization, script)
        used = sum(other.bytes for other in self.models if not other.closed)
        if self.limit_bytes is not None and used + loaded.bytes > self.limit_bytes:
            raise MemoryError
        self.models.append(loaded)
        return loaded

    def estimate_bytes(self, model: str, task: str, *, quantization: str) -> int:
        """The scripted size, an eighth of it for int4 and a quarter for int8."""
        size = int(_script(model).get("bytes", _DEFAULT_BYTES))
        return size // {"int8": 4, "int4": 8, "nf4": 8}.get(quantization, 1)


def _script(model: str) -> dict[str, str]:
    return dict(parse_qsl(model.partition("?")[2]))


def create_backend(*, device: str, threads: int) -> Backend:
    """For `INKLING_ENGINE_BACKEND`; called as the real one is."""
    return FakeBackend()
