"""The words that the server and the engine share: tasks, requests, results, and the `Engine` protocol.

This module imports nothing heavy, so the server can use it at start. The HTTP client (`inkling.engine.client`), the
fake (`inkling.engine.fake`) and any remote back end satisfy `Engine`; plugins see only this protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Protocol


class Task(StrEnum):
    """Model jobs, under Hugging Face's own names."""

    TEXT_CLASSIFICATION = "text-classification"
    TOKEN_CLASSIFICATION = "token-classification"
    ZERO_SHOT_CLASSIFICATION = "zero-shot-classification"
    SUMMARIZATION = "summarization"
    TRANSLATION = "translation"
    QUESTION_ANSWERING = "question-answering"
    FILL_MASK = "fill-mask"
    FEATURE_EXTRACTION = "feature-extraction"
    TEXT_GENERATION = "text-generation"


class Priority(IntEnum):
    """Lower runs first."""

    COMPLETION = 0
    ACTION = 1
    DIAGNOSTICS = 2
    BACKGROUND = 3


@dataclass(frozen=True, slots=True)
class Label:
    """One class and its probability, 0 to 1. `label` comes from the model's `id2label`."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Entity:
    """A labelled span; `start` and `end` are code-point offsets into the input text."""

    label: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An extracted answer; `start` and `end` are code-point offsets into the context."""

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A candidate for a mask: the token's text, its probability, and the whole sequence with it filled in."""

    token: str
    score: float
    sequence: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and how it was made.

    `kind` is `abstractive` (written by a model) or `key-sentences` (chosen from the text); `spans` are the chosen
    sentences' code-point offsets into the input, empty for an abstractive one.
    """

    text: str
    kind: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as a model's chat template writes it, or why the template refuses it.

    `ends` are the offsets in `text` at which each message ends; `left_out` are the messages that add nothing to it.
    When it was refused, `refused` is in the template's words, and `at` is the message with which the refusal begins
    (None: the template itself is at fault).
    """

    text: str = ""
    ends: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    refused: str = ""
    at: int | None = None


@dataclass(frozen=True, slots=True)
class ContextFile:
    """A chunk of another document to show the model before the prompt, most relevant last."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One generation. Give `prompt` (and `suffix` for fill-in-the-middle), or `messages` for a chat model.

    The engine renders FIM markers or the chat template, since it knows the model's tokenizer. `max_tokens` counts new
    tokens; `temperature` 0 is greedy; `stop` are strings that end the text and are not part of it; `deadline_s` bounds
    the whole generation. `cache_key` names the prefix-cache slot (one per document), so that keystrokes in one
    document reuse each other's work. `quantization` is `auto`, `none`, `int8`, `int4` or `nf4`. With
    `heal`, the word at the end of `prompt` may be unfinished: the model chooses among the words that begin so.
    """

    model: str
    prompt: str = ""
    suffix: str | None = None
    messages: tuple[Mapping[str, str], ...] = ()
    context: tuple[ContextFile, ...] = ()
    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    deadline_s: float | None = None
    cache_key: str = ""
    quantization: str = "auto"
    heal: bool = False
    priority: Priority = Priority.ACTION


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of generated text: whole characters only, possibly several tokens.

    `logprob` is the sum of the chosen tokens' log-probabilities (natural log) in this piece. `finish` is empty until
    the last chunk: `stop` (end token or stop string), `length`, `deadline`. `notices` carries reasons worth telling the
    user once, such as `no-fim-tokens`.
    """

    text: str
    tokens: int = 1
    logprob: float = 0.0
    finish: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as the engine sees it. `state` is `absent`, `loading`, `ready` or `failed`; `progress` is 0 to 1."""

    id: str
    task: str
    state: str
    progress: float = 0.0
    quantization: str = ""
    quantization_why: str = ""
    bytes: int = 0
    error: str = ""
    labels: tuple[str, ...] = ()
    """What a classifier can say; set by `load` alone."""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something that the user may want to know.

    `kind` is `model` (a model's state or progress changed: see `model`), `started`, `stopped`, `crashed` (being
    restarted: see `message`), `gave-up` (crashed too often: the user must restart it), `remote-failed` (a remote engine
    does not answer: see `message`) or `remote-ready` (it answers again).
    """

    kind: str
    model: ModelState | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What `GET /inkling/status` says. Counters only grow while the process lives."""

    version: str
    pid: int
    device: str
    models: tuple[ModelState, ...] = ()
    active_requests: int = 0
    queued_requests: int = 0
    generated_tokens: int = 0
    prefill_tokens: int = 0
    cancelled_requests: int = 0
    resident_bytes: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Model work for plugins. Every method raises `inkling.errors.InklingError` with a reason when it cannot.

    Cancelling the awaiting task, or closing the generator, stops the work in the engine at the next token or batch.
    Results keep the order and number of the inputs.
    """

    async def classify(
        self, texts: Sequence[str], *, model: str, top_k: int | None = None, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Label]]:
        """Text classification: for each text its labels, best first."""
        ...

    async def classify_tokens(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.DIAGNOSTICS
    ) -> list[list[Entity]]:
        """Token classification with word-level aggregation."""
        ...

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
        """Classify against labels given now rather than trained.

        `template` is the hypothesis, with `{}` for the label; with `multi_label` each label is judged by itself.
        """
        ...

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        """Feature extraction: one unit-length vector per text."""
        ...

    async def answer(
        self, question: str, context: str, *, model: str, top_k: int = 3, priority: Priority = Priority.ACTION
    ) -> list[Answer]:
        """Extractive question answering, best first."""
        ...

    async def fill_mask(
        self, text: str, *, model: str, top_k: int = 5, priority: Priority = Priority.ACTION
    ) -> list[Fill]:
        """Candidates for the one `[MASK]` (the model's own mask token, or the literal `[MASK]`) in `text`."""
        ...

    async def summarize(
        self,
        text: str,
        *,
        model: str,
        max_sentences: int = 3,
        max_tokens: int = 128,
        priority: Priority = Priority.ACTION,
    ) -> Summary:
        """Summarize text that fits the model's window; longer text is the caller's to split."""
        ...

    async def translate(
        self, text: str, *, model: str, source: str = "", target: str = "", priority: Priority = Priority.ACTION
    ) -> str:
        """Translate; language names are the model's own."""
        ...

    async def render_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
    ) -> Rendered:
        """The conversation through the model's chat template, in a sandbox with limits; no weight is loaded.

        Raises `no-chat-template`, and `template-rejected` for one that does not end.
        """
        ...

    async def weights(self, model: str, task: str) -> str:
        """Which weights answer for a model just now: a part of the key of whatever is kept of its answers.

        Another string when a folder was trained anew, another revision pulled, a starter or a route changed; empty when
        it cannot be told. Cheap, and starts no engine: for a remote its name and the model's name there.
        """
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream a generation. Use `contextlib.aclosing`: closing is what stops the engine."""
        ...

    async def load(self, model: str, task: str, *, quantization: str = "auto") -> ModelState:
        """Load a model now, so that its first use is fast; returns when it is ready."""
        ...

    async def status(self) -> EngineStatus:
        """The engine's state and counters. Starts no engine: raises `engine-down` when none runs."""
        ...


class EngineConnection(Engine, Protocol):
    """An `Engine` as the server holds it: started on first need, kept alive by a lease, replaced when it crashes.

    Made by `inkling.engine.client.connect(settings)`; making one starts nothing.
    """

    def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Events from now on, across crashes and restarts. Open this to hold the lease; it does not start an engine."""
        ...

    async def start(self) -> None:
        """Start or join the engine now; returns when it answers."""
        ...

    async def restart(self) -> None:
        """Stop the engine and start a fresh one; also resets the crash limit."""
        ...

    async def close(self) -> None:
        """Give the lease back. The engine leaves by itself when it was the last."""
        ...
