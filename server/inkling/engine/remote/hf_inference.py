"""Hugging Face's inference format: `POST /models/{id}/pipeline/{task}` with `{"inputs", "parameters"}`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import quote

from inkling.engine import replies
from inkling.engine.protocol import Answer, Chunk, Entity, Fill, GenerateRequest, Label, Priority, Summary, Task
from inkling.engine.remote import failures, fim
from inkling.engine.remote.base import RemoteEngine, vectors_of
from inkling.engine.remote.transport import DONE
from inkling.errors import InklingError

_T = TypeVar("_T")


class HfInferenceEngine(RemoteEngine):
    """Every task. Model names are hub ids, so starters need a place in the remote's `models`."""

    kind = "hf-inference"
    serves = frozenset(Task)

    async def model(self, name: str) -> str:
        """A hub id; Raises `model-not-found` for a starter that nothing maps."""
        there = await super().model(name)
        if there.startswith("starter:"):
            raise InklingError(
                "model-not-found",
                f"{there} ships with Inkling; {self.transport.address} does not have it.",
                f'Map it: engine.remotes.{self.transport.name}.models = {{ "{name}" = "…" }}.',
            )
        return there

    async def listed(self) -> list[str]:
        """The format has no list; what the settings map is asked for by name."""
        models = list(dict.fromkeys(self.transport.remote.models.values()))
        for model in models[:1]:
            await self.transport.get(f"/models/{quote(model, safe='/')}", timeout_s=10.0)
        return models

    async def _ask(self, task: Task, model: str, inputs: Any, parameters: Mapping[str, Any]) -> Any:
        name = quote(await self.model(model), safe="/")
        body = {"inputs": inputs, "parameters": {k: v for k, v in parameters.items() if v not in (None, "")}}
        return await self.transport.post(f"/models/{name}/pipeline/{task}", body)

    async def _each(
        self, task: Task, model: str, inputs: Sequence[Any], convert: Callable[[Any], _T], **parameters: Any
    ) -> list[_T]:
        """One request for all; one per input where the reply has another length, as some servers take no lists."""
        if len(inputs) > 1:
            items = await self._ask(task, model, list(inputs), parameters)
            if isinstance(items, list) and len(items) == len(inputs):
                return [convert(item) for item in items]
        return [convert(_single(await self._ask(task, model, one, parameters))) for one in inputs]

    async def classify(
        self,
        texts: Sequence[str],
        *,
        model: str,
        top_k: int | None = None,
        priority: Priority = Priority.DIAGNOSTICS,
    ) -> list[list[Label]]:
        """Text classification."""
        return await self._each(Task.TEXT_CLASSIFICATION, model, texts, _labels, top_k=top_k)

    async def classify_tokens(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Entity]]:
        """Token classification."""
        task = Task.TOKEN_CLASSIFICATION
        return await self._each(task, model, texts, replies.entities, aggregation_strategy="simple")

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
        """Zero-shot classification."""
        task = Task.ZERO_SHOT_CLASSIFICATION
        given = {"candidate_labels": list(labels), "hypothesis_template": template, "multi_label": multi_label}
        return await self._each(task, model, texts, _labels, **given)

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """Feature extraction."""
        items = await self._ask(Task.FEATURE_EXTRACTION, model, list(texts), {})
        return await vectors_of(items, len(texts), self.transport)

    async def answer(
        self, question: str, context: str, *, model: str, top_k: int = 3, priority: Priority = Priority.ACTION
    ) -> list[Answer]:
        """Extractive question answering."""
        inputs = {"question": question, "context": context}
        return replies.answers(await self._ask(Task.QUESTION_ANSWERING, model, inputs, {"top_k": top_k}))[:top_k]

    async def fill_mask(
        self, text: str, *, model: str, top_k: int = 5, priority: Priority = Priority.ACTION
    ) -> list[Fill]:
        """Candidates for the mask."""
        return replies.fills(_single(await self._ask(Task.FILL_MASK, model, text, {"top_k": top_k})))

    async def summarize(
        self,
        text: str,
        *,
        model: str,
        max_sentences: int = 3,
        max_tokens: int = 128,
        priority: Priority = Priority.ACTION,
    ) -> Summary:
        """Summarization."""
        limits = {"generate_parameters": {"max_new_tokens": max_tokens}}
        return replies.summary(_first(await self._ask(Task.SUMMARIZATION, model, text, limits)))

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """Translation."""
        languages = {"src_lang": source, "tgt_lang": target}
        return replies.translation(_first(await self._ask(Task.TRANSLATION, model, text, languages)))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Text generation from the prefix alone; chats go to an OpenAI-compatible remote."""
        if request.messages:
            raise InklingError(
                "remote-task",
                f"{self.transport.address} speaks {self.kind}, which has no chats.",
                f'Set engine.remotes.{self.transport.name}.kind = "openai" if it serves /v1/chat/completions.',
            )
        name = await self.model(request.model)
        found = fim.windows(request.prompt, "", request.context, self.transport.remote.prompt_tokens)
        how = self.transport.remote.fim
        format_ = fim.way(how, name, "") if request.suffix else "none"
        if not isinstance(format_, str):
            found = fim.windows(
                request.prompt, request.suffix or "", request.context, self.transport.remote.prompt_tokens
            )
        prompt = fim.render(None if isinstance(format_, str) else format_, found)
        parameters: dict[str, Any] = {"max_new_tokens": request.max_tokens, "return_full_text": False}
        if request.temperature > 0:
            parameters |= {"do_sample": True, "temperature": request.temperature, "top_p": request.top_p}
        if request.stop:
            parameters["stop"] = list(request.stop)
        body = {"inputs": prompt, "parameters": parameters, "stream": True}
        path = f"/models/{quote(name, safe='/')}/pipeline/{Task.TEXT_GENERATION}"
        loop = asyncio.get_running_loop()
        until = None if request.deadline_s is None else loop.time() + request.deadline_s
        async with aclosing(self.transport.stream(path, body)) as payloads:
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        payload = await anext(payloads, None)
                except TimeoutError:
                    yield Chunk("", 0, 0.0, "deadline")
                    return
                if payload is None:
                    raise failures.cut_short(self.transport.address)
                if payload is DONE:
                    yield Chunk("", 0, 0.0, "stop")
                    return
                try:
                    chunk = _chunk(payload)
                except (AttributeError, TypeError, ValueError, IndexError, KeyError):
                    raise failures.bad_output(self.transport.address, "a completion of an unknown shape") from None
                yield chunk
                if chunk.finish:
                    return


def _chunk(payload: Any) -> Chunk:
    if isinstance(payload, list):  # a reply in one piece
        text = str(_first(payload)["generated_text"])
        return Chunk(text, 1, 0.0, "stop")
    token = payload.get("token") or {}
    text = "" if token.get("special") else str(token.get("text") or "")
    details = payload.get("details") or {}
    over = payload.get("generated_text") is not None or details
    finish = ("length" if details.get("finish_reason") == "length" else "stop") if over else ""
    return Chunk(text, 1 if text else 0, float(token.get("logprob") or 0.0), finish)


def _single(item: Any) -> Any:
    """The result for a single input, which some tasks wrap in a list of one."""
    return item[0] if isinstance(item, list) and len(item) == 1 and isinstance(item[0], list) else item


def _first(item: Any) -> Any:
    return item[0] if isinstance(item, list) and item else item


def _labels(item: Any) -> list[Label]:
    """Best first; also from the older `{"labels": […], "scores": […]}`."""
    if isinstance(item, Mapping) and "labels" in item:
        item = [{"label": label, "score": score} for label, score in zip(item["labels"], item["scores"], strict=False)]
    return sorted(replies.labels(item), key=lambda label: -label.score)
