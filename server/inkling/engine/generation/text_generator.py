"""A text-generation model in memory: prompt, decode loop, stop rules and text, behind the `LoadedModel` protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers.decoders import DecodeStream

from inkling.engine.backend import Stop
from inkling.engine.generation.healing import Spelling
from inkling.engine.generation.loop import Loop, Stopped
from inkling.engine.generation.prefix_cache import PrefixCache
from inkling.engine.generation.prompts import Prompt, Prompter
from inkling.engine.generation.sampling import Sampler
from inkling.engine.generation.stops import StopStrings
from inkling.engine.generation.vocabulary import Vocabulary
from inkling.engine.models import quantize
from inkling.engine.protocol import Chunk, GenerateRequest

PROMPT_TOKENS = {"cpu": 2048, "cuda": 8192}
"""Most prompt tokens for completion: what a cold start may cost. A chat may fill the model's window."""

CACHE_BYTES = {"cpu": 512 << 20, "cuda": 2 << 30}
"""Memory for idle sequences of one model."""


class TextGenerator:
    """A causal LM that streams text. Satisfies `inkling.engine.backend.LoadedModel`; used by one thread at a time.

    Several generators may be under way at once: each keeps its state in a sequence of its own.
    """

    task = "text-generation"

    def __init__(
        self,
        model_id: str,
        folder: Path,
        *,
        quantization: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Load weights and tokenizer from `folder`; safetensors only, no code from the folder, no network.

        Raises InklingError with what is wrong with which file.
        """
        if threads:
            torch.set_num_threads(threads)
        loaded = quantize.load(folder, name=model_id, quantization=quantization, device=device, on_progress=on_progress)
        self.id = model_id
        self.device = device
        self.quantization = loaded.plan.method.quantization
        self.quantization_why = loaded.plan.told
        self.decoder = loaded.decoder
        kind = torch.device(device).type
        self.vocabulary = Vocabulary(loaded.tokenizer)
        self._ends = self.vocabulary.ends(loaded.end_ids)
        self._prompter = Prompter(self.vocabulary, PROMPT_TOKENS.get(kind, PROMPT_TOKENS["cpu"]), loaded.fim_order)
        self._prefixes = PrefixCache(self.decoder, CACHE_BYTES.get(kind, CACHE_BYTES["cpu"]))
        self._loop = Loop(self.decoder, small=loaded.small)
        self._notices = set(loaded.notices)
        self._told: set[str] = set()

    @property
    def bytes(self) -> int:
        """Weights and idle sequences."""
        return self.decoder.bytes + self._prefixes.bytes

    def counters(self) -> Mapping[str, int]:
        """What this model has done; see `loop.Counters`."""
        return asdict(self._loop.counters)

    def close(self) -> None:
        """Free the memory. The model is of no use afterwards."""
        self._prefixes.clear()
        del self.decoder, self._loop, self._prefixes

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """Hugging Face's inference format: texts in, `[{"generated_text": …}]` out; the prompt is not repeated.

        `parameters`: `max_new_tokens`, `temperature`, `top_p`, `seed`, `stop`.
        """
        results: list[Any] = []
        for text in inputs:
            if stop.is_set:
                break
            request = GenerateRequest(
                model=self.id,
                prompt=str(text),
                max_tokens=int(parameters.get("max_new_tokens", 64)),
                temperature=float(parameters.get("temperature", 0.0)),
                top_p=float(parameters.get("top_p", 1.0)),
                seed=parameters.get("seed"),
                stop=tuple(parameters.get("stop", ())),
            )
            results.append([{"generated_text": "".join(chunk.text for chunk in self.generate(request, stop))}])
        return results

    def generate(self, request: GenerateRequest, stop: Stop) -> Iterator[Chunk]:
        """Stream `request`. A chunk without tokens or text says that a part of the prompt has been read.

        Ends without a last chunk when `stop` is set; with `finish="deadline"` when the time is over.
        """
        prompt = self._prompter.build(request, self.decoder.context)
        notices = self._news(prompt.notices)
        if request.max_tokens < 1:
            yield Chunk("", tokens=0, finish="length", notices=notices)
            return
        if request.deadline_s is not None:
            stop = _Sooner(stop, Stop(request.deadline_s))
        sequence = self._prefixes.take(request.cache_key, prompt.ids)
        sampler = Sampler(request.temperature, request.top_p, request.seed)
        try:
            spelling = Spelling(self.vocabulary.pieces, self.vocabulary.pieces.spell(prompt.typed_ids))
            limit = request.max_tokens + len(prompt.typed_ids)
            with closing(self._loop.decode(sequence, prompt.ids, sampler, limit, stop, spelling)) as steps:
                for chunk in self._text(steps, prompt, limit, request, stop):
                    yield replace(chunk, notices=notices) if notices else chunk
                    notices = ()
        finally:
            self._prefixes.give_back(request.cache_key, sequence)

    def _text(
        self, steps: Iterator[Any], prompt: Prompt, limit: int, request: GenerateRequest, stop: Stop
    ) -> Iterator[Chunk]:
        """From tokens to text: whole characters, without what was typed already, end tokens and stop strings."""
        stream = DecodeStream(ids=prompt.ids[-8:], skip_special_tokens=True)
        typed = len(prompt.typed)  # characters still to come that the user has already
        strings = StopStrings(request.stop)
        tokens, chance = 0, 0.0  # of text that is held back
        produced = 0
        try:
            for step in steps:
                if not step.ids:
                    yield Chunk("", tokens=0)
                    continue
                text = ""
                for token, logprob in zip(step.ids, step.logprobs, strict=True):
                    tokens, chance, produced = tokens + 1, chance + logprob, produced + 1
                    if token in self._ends:
                        yield Chunk(text + strings.flush(), tokens, chance, "stop")
                        return
                    piece = stream.step(self.vocabulary.backend, token) or ""
                    if typed:
                        typed, piece = max(0, typed - len(piece)), piece[typed:]
                        if not piece:
                            tokens, chance = 0, 0.0
                            continue
                    text += strings.feed(piece)
                    if strings.found:
                        yield Chunk(text, tokens, chance, "stop")
                        return
                if produced >= limit:
                    break
                if text:
                    yield Chunk(text, tokens, chance)
                    tokens, chance, text = 0, 0.0, ""
            yield Chunk(text + strings.flush(), tokens, chance, "length")
        except Stopped:
            if not stop.is_set:
                yield Chunk(strings.flush(), tokens, chance, "deadline")

    def _news(self, notices: Sequence[str]) -> tuple[str, ...]:
        """Those not told before, once each for as long as the model is loaded."""
        fresh = tuple(notice for notice in (*sorted(self._notices), *notices) if notice not in self._told)
        self._told.update(fresh)
        return fresh


class _Sooner(Stop):
    """Two stop flags in one: the scheduler's and the request's own deadline."""

    def __init__(self, outer: Stop, deadline: Stop) -> None:
        super().__init__()
        self._outer = outer
        self._deadline_flag = deadline

    @property
    def is_set(self) -> bool:
        """True once the client went away."""
        return self._outer.is_set

    @property
    def is_late(self) -> bool:
        """True once either deadline has passed."""
        return self._outer.is_late or self._deadline_flag.is_late
