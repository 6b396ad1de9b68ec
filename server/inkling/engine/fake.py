"""A scripted engine for tests of everything above it: same protocol, no process, no model.

    engine = FakeEngine(labels={"todo": [Label("TODO", 0.9)]}, texts=["def f():\n", "    return 1\n"])

`labels` maps a substring of the text to its labels; `texts` are the chunks of every generation. Faults are exceptions
by method name; a delay is slept before each result and before each chunk, so that a test can cancel in between.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from inkling.engine.protocol import (
    Answer,
    Chunk,
    EngineEvent,
    EngineStatus,
    Entity,
    Fill,
    GenerateRequest,
    Label,
    ModelState,
    Priority,
    Rendered,
    Summary,
)

_NEUTRAL = (Label("neutral", 0.9), Label("notable", 0.1))


@dataclass(slots=True)
class Call:
    """One call to the fake. `outcome` is `running`, `done`, `failed` or `cancelled` (closed early counts as that)."""

    method: str
    arguments: Mapping[str, Any]
    outcome: str = "running"
    chunks: int = 0


@dataclass
class FakeEngine:
    """Satisfies `EngineConnection`. Everything that it was asked is in `calls`."""

    labels: Mapping[str, Sequence[Label]] | Callable[[str], Sequence[Label]] = field(default_factory=dict)
    entities: Callable[[str], Sequence[Entity]] = lambda text: ()
    texts: Iterable[str] | Callable[[GenerateRequest], Iterable[str]] = ("fake", " text")
    notices: tuple[str, ...] = ()
    summary: Callable[[str, int], Summary] | None = None
    answers: Sequence[Answer] = ()
    fills: Sequence[Fill] = ()
    translate_with: Callable[[str], str] = str.upper
    known_labels: tuple[str, ...] = ()
    render_with: Callable[[Sequence[Mapping[str, Any]]], Rendered] | None = None
    known_weights: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    faults: dict[str, Exception] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    running: bool = False
    _listeners: set[asyncio.Queue[EngineEvent | None]] = field(default_factory=set)

    def calls_to(self, method: str) -> list[Call]:
        """The calls of one method, in order."""
        return [call for call in self.calls if call.method == method]

    def emit(self, event: EngineEvent) -> None:
        """Send an event to every open `events()`."""
        for listener in self._listeners:
            listener.put_nowait(event)

    async def _answer(self, method: str, make: Callable[[], Any], **arguments: Any) -> Any:
        call = Call(method, arguments)
        self.calls.append(call)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if method in self.faults:
                raise self.faults[method]
            result = make()
        except asyncio.CancelledError:
            call.outcome = "cancelled"
            raise
        except Exception:
            call.outcome = "failed"
            raise
        call.outcome = "done"
        return result

    def _labels_of(self, text: str) -> list[Label]:
        if callable(self.labels):
            return list(self.labels(text))
        found = (labels for needle, labels in self.labels.items() if needle in text)
        return list(next(found, _NEUTRAL))

    async def classify(
        self,
        texts: Sequence[str],
        *,
        model: str,
        top_k: int | None = None,
        priority: Priority = Priority.DIAGNOSTICS,
    ) -> list[list[Label]]:
        """The scripted labels of the first substring that occurs in each text, else `neutral`."""

        def make() -> list[list[Label]]:
            return [self._labels_of(text)[:top_k] for text in texts]

        result: list[list[Label]] = await self._answer(
            "classify", make, texts=tuple(texts), model=model, priority=priority
        )
        return result

    async def classify_tokens(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Entity]]:
        """The scripted entities of each text."""

        def make() -> list[list[Entity]]:
            return [list(self.entities(text)) for text in texts]

        result: list[list[Entity]] = await self._answer(
            "classify_tokens", make, texts=tuple(texts), model=model, priority=priority
        )
        return result

    async def zero_shot(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        model: str,
        template: str = "",
        multi_label: bool = False,
        priority: Priority = Priority.ACTION,
    ) -> list[list[Label]]:
        """The candidate that occurs in the text gets most of the probability, else the first one does."""

        def one(text: str) -> list[Label]:
            best = next((label for label in labels if label in text), labels[0])
            rest = 0.1 / max(1, len(labels) - 1)
            scored = [Label(label, 0.9 if label == best else rest) for label in labels]
            return sorted(scored, key=lambda label: -label.score)

        result: list[list[Label]] = await self._answer(
            "zero_shot",
            lambda: [one(text) for text in texts],
            texts=tuple(texts),
            model=model,
            labels=tuple(labels),
            template=template,
        )
        return result

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """A unit vector of 8 numbers made from the text's hash: equal texts, equal vectors."""

        def one(text: str) -> list[float]:
            numbers = [byte / 255 - 0.5 for byte in hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]]
            length = math.hypot(*numbers)
            return [number / length for number in numbers]

        result: list[list[float]] = await self._answer(
            "embed", lambda: [one(text) for text in texts], texts=tuple(texts), model=model, priority=priority
        )
        return result

    async def answer(
        self, question: str, context: str, *, model: str, top_k: int = 3, priority: Priority = Priority.ACTION
    ) -> list[Answer]:
        """The scripted answers."""
        result: list[Answer] = await self._answer(
            "answer", lambda: list(self.answers)[:top_k], question=question, context=context, model=model
        )
        return result

    async def fill_mask(
        self, text: str, *, model: str, top_k: int = 5, priority: Priority = Priority.ACTION
    ) -> list[Fill]:
        """The scripted fills."""
        result: list[Fill] = await self._answer("fill_mask", lambda: list(self.fills)[:top_k], text=text, model=model)
        return result

    async def summarize(
        self,
        text: str,
        *,
        model: str,
        max_sentences: int = 3,
        max_tokens: int = 128,
        priority: Priority = Priority.ACTION,
    ) -> Summary:
        """The scripted summary, else the text's first line, as a key sentence."""

        def make() -> Summary:
            if self.summary is not None:
                return self.summary(text, max_sentences)
            line = next((line for line in text.splitlines() if line.strip()), "")
            start = text.find(line)
            return Summary(line, "key-sentences", ((start, start + len(line)),) if line else ())

        result: Summary = await self._answer("summarize", make, text=text, model=model, max_tokens=max_tokens)
        return result

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """The scripted translation, else the text in upper case."""
        result: str = await self._answer("translate", lambda: self.translate_with(text), text=text, model=model)
        return result

    async def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
    ) -> Rendered:
        """The scripted rendering, else `role: content` lines."""

        def make() -> Rendered:
            if self.render_with is not None:
                return self.render_with(messages)
            parts = [f"{message.get('role')}: {message.get('content')}\n" for message in messages]
            return Rendered("".join(parts), tuple(accumulate(map(len, parts))))

        result: Rendered = await self._answer("render_chat", make, messages=list(messages), model=model)
        return result

    async def weights(self, model: str, task: str) -> str:
        """As scripted, else the same for all. Not among the calls: nothing is computed."""
        return self.known_weights.get(model, "fake")

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """The scripted chunks, at most `max_tokens`, the last with a finish. A fault comes after the first."""
        call = Call("generate", {"request": request})
        self.calls.append(call)
        texts = list(self.texts(request) if callable(self.texts) else self.texts)
        finish = "stop" if len(texts) <= request.max_tokens else "length"
        texts = texts[: request.max_tokens] or [""]
        try:
            for index, text in enumerate(texts):
                await asyncio.sleep(self.delay_s)
                if "generate" in self.faults and index == min(1, len(texts) - 1):
                    call.outcome = "failed"
                    raise self.faults["generate"]
                last = index == len(texts) - 1
                if last:
                    call.outcome = "done"
                call.chunks += 1
                yield Chunk(text, 1, -0.1, finish if last else "", self.notices if index == 0 else ())
        finally:
            if call.outcome == "running":
                call.outcome = "cancelled"

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Ready at once; the event says so."""
        state = ModelState(model, task, "ready", 1.0, "none", "fake", 0, labels=self.known_labels)
        result: ModelState = await self._answer("load", lambda: state, model=model, task=task)
        self.emit(EngineEvent("model", result))
        return result

    async def status(self) -> EngineStatus:
        """Counters from the calls so far."""

        def make() -> EngineStatus:
            chunks = sum(call.chunks for call in self.calls)
            cancelled = sum(call.outcome == "cancelled" for call in self.calls)
            return EngineStatus("fake", 0, "cpu", generated_tokens=chunks, cancelled_requests=cancelled)

        result: EngineStatus = await self._answer("status", make)
        return result

    async def events(self) -> AsyncGenerator[EngineEvent, None]:
        """What `emit` sends, until `close`."""
        listener: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._listeners.add(listener)
        try:
            while (event := await listener.get()) is not None:
                yield event
        finally:
            with suppress(KeyError):
                self._listeners.remove(listener)

    async def start(self) -> None:
        """Marks it as running and sends `started`."""
        await self._answer("start", lambda: None)
        if not self.running:
            self.running = True
            self.emit(EngineEvent("started"))

    async def restart(self) -> None:
        """Stops and starts."""
        self.running = False
        self.emit(EngineEvent("stopped"))
        await self.start()

    async def close(self) -> None:
        """Ends every open `events()`."""
        self.running = False
        for listener in self._listeners:
            listener.put_nowait(None)
