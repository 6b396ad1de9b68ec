"""The decode loop: prefill in chunks, then one token or one verified draft per step.

The loop is a generator. Between two of its values the caller may run other sequences of the same model, or drop it:
everything it needs is in its sequence. It never looks back at text; stop strings are the caller's (see `stops`).
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch

from inkling.engine.backend import Stop
from inkling.engine.generation import prefix_cache
from inkling.engine.generation.decoder import Decoder, Interrupted, never
from inkling.engine.generation.drafting import DraftLength, LookUp
from inkling.engine.generation.healing import Spelling
from inkling.engine.generation.sampling import Sampler, most_likely
from inkling.shared_prefix import common_prefix

PREFILL_CHUNK = 256
"""Most prompt tokens per forward pass. A stop interrupts the pass between two layers."""
SMALLEST_CHUNK = 32
PATIENCE_S = 0.06
"""A stop is to be noticed within this time: where a layer takes longer over a chunk, the next chunks are smaller."""
ONE_THREAD_TOKENS = 16
"""A small model computes so many tokens faster on one thread than several can agree on who does what."""


@dataclass(slots=True)
class Counters:
    """What a model has done so far; only grows."""

    generated_tokens: int = 0
    prefill_tokens: int = 0
    reused_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Tokens chosen in one forward pass with their log-probabilities; none while the prompt is being read."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Stopped(Exception):
    """The client went away or the deadline passed."""


class Loop:
    """Decodes sequences on one model. Holds what requests teach each other: draft lengths and counters."""

    def __init__(self, decoder: Decoder, *, draft: bool = True, small: bool = False) -> None:
        self._small = small
        self.decoder = decoder
        self.counters = Counters()
        self.draft = draft and decoder.croppable
        self._length = DraftLength()
        self._chunk = PREFILL_CHUNK

    def decode(
        self,
        sequence: prefix_cache.Sequence,
        prompt: Sequence[int],
        sampler: Sampler,
        limit: int,
        stop: Stop,
        spelling: Spelling | None = None,
    ) -> Generator[Step, None, None]:
        """Yield at least once per prefill chunk and forward pass, `limit` tokens in all unless the caller ends it.

        With `spelling`, the first tokens are held to it.

        `sequence.ids` is a proper prefix of `prompt`. Raises Stopped between two layers once `stop` is set or late. The
        sequence is consistent at every yield and after every exception.
        """
        self.counters.reused_tokens += len(sequence.ids)
        rest = list(prompt[len(sequence.ids) :])
        whole = len(rest) if not self.decoder.croppable else 0
        if whole and sequence.ids:
            whole = 1
        while len(rest) > (size := whole or self._chunk):
            self._forward(sequence, rest[:size], 1, stop)
            self.counters.prefill_tokens += size
            del rest[:size]
            yield Step()
        logits = self._forward(sequence, rest, 1, stop)
        self.counters.prefill_tokens += len(rest)

        look_up = LookUp() if self.draft and sampler.greedy else None
        unseen = list(prompt)  # by the look-up, which is filled once the first token is on its way
        drafted: list[int] = []
        match, produced = 0, 0
        while True:
            # logits[i] follows drafted[:i]; the draft is right as long as it names the greedy choices
            if drafted:
                chosen, chances = most_likely(logits)
                accepted = common_prefix(chosen, drafted)
                del chosen[accepted + 1 :], chances[accepted + 1 :]
                self._length.learn(match, len(drafted), accepted)
                self.counters.accepted_tokens += accepted
                sequence.crop(len(sequence.ids) - len(drafted) + accepted)
            elif spelling is not None and spelling.rest:
                token, chance = sampler.choose(spelling.restrict(logits[0]))
                spelling.take(token)
                chosen, chances = [token], [chance]
            else:
                token, chance = sampler.choose(logits[0])
                chosen, chances = [token], [chance]
            del chosen[limit - produced :], chances[limit - produced :]
            produced += len(chosen)
            self.counters.generated_tokens += len(chosen)
            yield Step(chosen, chances)
            if produced >= limit or len(sequence.ids) + 1 >= self.decoder.context:
                return
            drafted, match = [], 0
            if look_up is not None:
                look_up.extend(unseen + chosen)
                unseen = []
                if spelling is None or not spelling.rest:
                    room = min(limit - produced, self.decoder.context - len(sequence.ids)) - 1
                    drafted, match = self._propose(look_up, room)
            began = time.perf_counter()
            logits = self._forward(sequence, [chosen[-1], *drafted], 1 + len(drafted), stop)
            self._length.timed(1 + len(drafted), time.perf_counter() - began)
            self.counters.drafted_tokens += len(drafted)

    def _propose(self, look_up: LookUp, room: int) -> tuple[list[int], int]:
        draft, match = look_up.propose(room)
        return draft[: self._length.best(match)] if draft else draft, match

    def _forward(self, sequence: prefix_cache.Sequence, ids: list[int], keep: int, stop: Stop) -> torch.Tensor:
        if stop.is_set or stop.is_late:
            raise Stopped
        watch = _Watch(stop)
        self.decoder.interrupt = watch
        threads = torch.get_num_threads()
        if self._small and len(ids) <= ONE_THREAD_TOKENS:
            torch.set_num_threads(1)  # of this thread alone
        try:
            logits = self.decoder.forward(ids, sequence.cache, keep)
        except Interrupted:
            if not self.decoder.croppable:  # its state is part way through the tokens: of no use to anyone
                sequence.ids.clear()
                sequence.cache = self.decoder.new_cache()
            raise Stopped from None
        finally:
            torch.set_num_threads(threads)
            self.decoder.interrupt = never
        sequence.ids.extend(ids)
        if len(ids) >= self._chunk > SMALLEST_CHUNK and watch.longest_s > PATIENCE_S:
            self._chunk = max(self._chunk // 2, SMALLEST_CHUNK)
        elif len(ids) >= self._chunk and watch.longest_s < PATIENCE_S / 3:
            self._chunk = min(self._chunk * 2, PREFILL_CHUNK)
        return logits


class _Watch:
    """Whether a pass is to be given up, and how long it went without asking."""

    __slots__ = ("_asked", "_stop", "longest_s")

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._asked = time.perf_counter()
        self.longest_s = 0.0

    def __call__(self) -> bool:
        now = time.perf_counter()
        self.longest_s = max(self.longest_s, now - self._asked)
        self._asked = now
        return self._stop.is_set or self._stop.is_late
