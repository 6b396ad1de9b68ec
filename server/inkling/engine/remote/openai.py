"""OpenAI's wire format, as vLLM, llama.cpp's server, Ollama, TGI, `transformers serve` and gateways speak it."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncGenerator, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from inkling.engine.generation.fim import FimFormat
from inkling.engine.generation.stops import StopStrings
from inkling.engine.openai_format import chunk_from
from inkling.engine.protocol import Chunk, GenerateRequest, ModelState, Priority, Summary, Task
from inkling.engine.remote import failures, fim
from inkling.engine.remote.base import RemoteEngine, vectors_of
from inkling.engine.remote.instructions import summary_request, translation_request
from inkling.engine.remote.transport import DONE, Transport
from inkling.errors import InklingError

NO_FIM = "no-fim-tokens"

_REFUSALS = frozenset({"remote-refused", "remote-error", "bad-output"})
"""What a server answers to a field that it does not know."""

_NO_LIST = frozenset({"remote-not-found", "remote-refused", "remote-error", "bad-output", "remote-not-engine"})
"""What a server without a usable list of models answers; its models may work all the same."""

_OPTIONAL = ("logprobs", "suffix")

_MOST_STOPS = 4
_EMBED_BATCH = 64


class OpenAIEngine(RemoteEngine):
    """Generation, embeddings, and by chat also summaries and translations."""

    kind = "openai"
    serves = frozenset({Task.TEXT_GENERATION, Task.FEATURE_EXTRACTION, Task.SUMMARIZATION, Task.TRANSLATION})

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._models: dict[str, Mapping[str, Any]] | None = None
        self._asking = asyncio.Lock()
        self._refused: set[str] = set()
        """Optional fields that the server has refused: not sent again."""

    # Models

    async def listed(self) -> list[str]:
        """`/v1/models`."""
        data = await self.transport.get("/v1/models", timeout_s=10.0)
        rows = data.get("data") if isinstance(data, Mapping) else None
        if not isinstance(rows, list):
            raise failures.bad_output(self.transport.address, "no list of models")
        self._models = {str(row["id"]): row for row in rows if isinstance(row, Mapping) and row.get("id")}
        return list(self._models)

    async def _facts(self, model: str) -> Mapping[str, Any]:
        """What the list says of a model; nothing where a gateway has no list."""
        return (await self._known()).get(model, {})

    async def _known(self) -> Mapping[str, Mapping[str, Any]]:
        async with self._asking:
            if self._models is None:
                try:
                    await self.listed()
                except InklingError as error:
                    if error.reason not in _NO_LIST:
                        raise
                    self._models = {}
            return self._models or {}

    async def model(self, name: str) -> str:
        """A name that the settings map, or that is served; else the one model of a server that has no other."""
        there = await super().model(name)
        known = await self._known()
        if there in known or not known or there != name:
            return there
        if len(known) == 1 or name.startswith("starter:"):
            if len(known) == 1:
                return next(iter(known))
            names = ", ".join(list(known)[:8])
            raise InklingError(
                "model-not-found",
                f"{self.transport.address} does not have {name}. It has: {names}.",
                f'Name one of them, or map yours: engine.remotes.{self.transport.name}.models = {{ "{name}" = "…" }}.',
            )
        return there  # a gateway may serve more than it lists; it will say

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Ready when the list has it."""
        if task not in self.serves:
            raise self.lacks(Task(task))
        return await super().load(model, task, quantization=quantization)

    # Generation

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation. Never begun again once a piece has come."""
        loop = asyncio.get_running_loop()
        until = None if request.deadline_s is None else loop.time() + request.deadline_s
        dropped, unknown = set(self._refused), set[str]()
        while True:
            began = False
            try:
                async with asyncio.timeout_at(until):
                    model = await self.model(request.model)
                    path, body, notices = await self._request(replace(request, model=model), dropped)
            except TimeoutError:
                yield Chunk("", 0, 0.0, "deadline")
                return
            try:
                async with aclosing(self._chunks(path, body, request, until)) as chunks:
                    async for chunk in chunks:
                        yield chunk if began or not notices else replace(chunk, notices=(*notices, *chunk.notices))
                        began = True
                self._refused |= unknown
                return
            except InklingError as error:
                field = "infill" if path == "/infill" else next((key for key in _OPTIONAL if key in body), "")
                if began or error.reason not in _REFUSALS or not field:
                    raise
                dropped.add(field)
                if error.reason == "remote-refused" or field == "infill":  # not for a server that only stumbled
                    unknown.add(field)

    async def _request(
        self, request: GenerateRequest, without: Set[str]
    ) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        """Path, body `without` the fields that the server refuses, and what the user should be told."""
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": True,
        }
        if request.top_p != 1.0:
            body["top_p"] = request.top_p
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)[:_MOST_STOPS]
        wants_chance = request.priority is Priority.COMPLETION and "logprobs" not in without
        if request.messages:
            body["messages"] = [dict(message) for message in request.messages]
            return "/v1/chat/completions", {**body, **({"logprobs": True} if wants_chance else {})}, ()
        facts = await self._facts(request.model)
        remote = self.transport.remote
        how = fim.way(remote.fim, request.model, str(facts.get("owned_by", "")))
        if isinstance(how, str) and how in without:
            how = "none"
        has_suffix = bool(request.suffix and request.suffix.strip())
        room = _room(facts, remote.prompt_tokens, request.max_tokens)
        found = fim.windows(request.prompt, (request.suffix or "") if how != "none" else "", request.context, room)
        if how == "infill":
            return "/infill", _infill_body(body, found), ()
        if wants_chance:
            body["logprobs"] = 1
        notices: tuple[str, ...] = ()
        if isinstance(how, FimFormat):
            body["prompt"] = fim.render(how, found)
            ends = [end for end in how.ends if end not in request.stop]
            if has_suffix and ends:
                body["stop"] = [*request.stop, *ends][:_MOST_STOPS]
        else:
            body["prompt"] = fim.render(None, found)
            if how == "suffix" and has_suffix:
                body["suffix"] = found.suffix
            elif has_suffix:
                notices = (NO_FIM,)
        return "/v1/completions", body, notices

    async def _chunks(
        self, path: str, body: Mapping[str, Any], request: GenerateRequest, until: float | None
    ) -> AsyncGenerator[Chunk, None]:
        """A stream's pieces up to one with a finish; a stream that ends without raises `remote-cut`."""
        stops = StopStrings(tuple(dict.fromkeys((*request.stop, *body.get("stop", ())))))
        most = 64 * request.max_tokens + 4096
        sent, read = 0, False
        async with aclosing(self.transport.stream(path, body)) as payloads:
            while True:
                try:
                    async with asyncio.timeout_at(until):
                        payload = await anext(payloads, None)
                except TimeoutError:
                    yield Chunk(stops.flush(), 0, 0.0, "deadline")
                    return
                if payload is None:
                    raise failures.cut_short(self.transport.address)
                if payload is DONE:
                    if not read:
                        raise failures.bad_output(self.transport.address, "no completion")
                    yield Chunk(stops.flush(), 0, 0.0, "stop")
                    return
                try:
                    chunk = _chunk(payload)
                except (AttributeError, TypeError, ValueError, IndexError, KeyError):
                    raise failures.bad_output(self.transport.address, "a completion of an unknown shape") from None
                if chunk is None:
                    continue
                read = True
                text = stops.feed(chunk.text)
                sent += len(text)
                finish = "stop" if stops.found else chunk.finish or ("length" if sent > most else "")
                if finish and not stops.found:
                    text += stops.flush()
                yield replace(chunk, text=text, finish=finish)
                if finish:
                    return

    # Other tasks

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """`/v1/embeddings`."""
        name = await self.model(model)
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _EMBED_BATCH):
            batch = list(texts[start : start + _EMBED_BATCH])
            data = await self.transport.post("/v1/embeddings", {"model": name, "input": batch})
            rows = data.get("data") if isinstance(data, Mapping) else None
            try:
                ordered = sorted(rows or [], key=lambda row: int(row["index"]))
                found = await asyncio.to_thread(lambda rows: [_numbers(row["embedding"]) for row in rows], ordered)
            except (KeyError, TypeError, ValueError, struct.error):
                raise failures.bad_output(self.transport.address, "embeddings of an unknown shape") from None
            vectors += await vectors_of(found, len(batch), self.transport)
        return vectors

    async def summarize(
        self,
        text: str,
        *,
        model: str,
        max_sentences: int = 3,
        max_tokens: int = 128,
        priority: Priority = Priority.ACTION,
    ) -> Summary:
        """A summary by instruction."""
        request = summary_request(text, model, max_sentences, max_tokens, priority)
        return Summary(await self._written(request), "abstractive")

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """A translation by instruction."""
        return await self._written(translation_request(text, model, source, target, priority))

    async def _written(self, request: GenerateRequest) -> str:
        async with aclosing(self.generate(request)) as chunks:
            return "".join([chunk.text async for chunk in chunks]).strip()


def _room(facts: Mapping[str, Any], prompt_tokens: int, max_tokens: int) -> int:
    """Tokens for the prompt, within the context window that vLLM and llama.cpp tell of."""
    meta = facts.get("meta")
    window = facts.get("max_model_len") or (meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    if isinstance(window, int) and window > 0:
        return max(32, min(prompt_tokens, window - min(max_tokens, window // 2) - 16))
    return prompt_tokens


def _infill_body(body: Mapping[str, Any], found: fim.Windows) -> dict[str, Any]:
    """llama.cpp's `/infill`: it knows its model's markers."""
    rest = {key: value for key, value in body.items() if key not in ("model", "max_tokens")}
    extra = [{"filename": file.path, "text": file.text} for file in found.files]
    return {
        **rest,
        "n_predict": body["max_tokens"],
        "input_prefix": found.prefix,
        "input_suffix": found.suffix,
        "input_extra": extra,
        "cache_prompt": True,
    }


def _chunk(payload: Mapping[str, Any]) -> Chunk | None:
    """A piece in OpenAI's formats, whole replies included, or in llama.cpp's own; None when there is nothing in it.

    Raises one of the errors that Python has for another shape.
    """
    if "content" in payload and "choices" not in payload:  # /infill
        over = bool(payload.get("stop"))
        finish = ("length" if payload.get("stop_type") == "limit" else "stop") if over else ""
        return Chunk(str(payload["content"]), 1 if payload["content"] else 0, 0.0, finish)
    choices = payload.get("choices")
    if choices and isinstance(choices[0].get("message"), Mapping):  # a reply in one piece
        choice = choices[0]
        whole = str(choice["message"].get("content") or "")
        return Chunk(whole, 1 if whole else 0, 0.0, _finish(choice.get("finish_reason") or "stop"))
    chunk = chunk_from(payload)
    if chunk is None:
        return None
    scores = _scores(choices[0].get("logprobs") if choices else None)
    if scores and "inkling" not in payload:
        chunk = replace(chunk, tokens=len(scores), logprob=sum(scores))
    return replace(chunk, finish=_finish(chunk.finish))


def _finish(reason: str) -> str:
    return reason if reason in ("", "length", "deadline") else "stop"


def _scores(logprobs: Any) -> list[float]:
    if not isinstance(logprobs, Mapping):
        return []
    if isinstance(logprobs.get("token_logprobs"), list):
        return [float(score) for score in logprobs["token_logprobs"] if score is not None]
    content = logprobs.get("content")
    return [float(token["logprob"]) for token in content] if isinstance(content, list) else []


def _numbers(embedding: Any) -> list[float]:
    if isinstance(embedding, str):
        data = base64.b64decode(embedding)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    return [float(number) for number in embedding]
