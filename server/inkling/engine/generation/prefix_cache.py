"""Sequences kept between requests, so that a keystroke costs the new tokens alone.

Each cache key (one per document) keeps the tokens and the keys and values of its last request. A request takes the
sequence that shares most with its prompt out of the pool, crops it to the common prefix, and gives it back when it
ends, also when it was cancelled. While it is out nobody else sees it, so requests on one model may interleave.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence as Tokens
from typing import Any

from inkling.engine.generation.decoder import Decoder
from inkling.shared_prefix import common_prefix

FORK_GAIN = 64
"""Tokens that another document's sequence must share beyond our own to be worth copying."""


class Sequence:
    """Tokens whose keys and values are in `cache`: always `len(ids) == cache.length` between requests."""

    def __init__(self, ids: list[int], cache: Any) -> None:
        self.ids = ids
        self.cache = cache

    def crop(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < self.cache.length:
            self.cache.crop(length)
        del self.ids[length:]


class PrefixCache:
    """The pool of idle sequences of one model, least recently used first, under a memory bound."""

    def __init__(self, decoder: Decoder, limit_bytes: int) -> None:
        self._decoder = decoder
        self._limit = limit_bytes
        self._idle: OrderedDict[str, Sequence] = OrderedDict()

    def take(self, key: str, prompt: Tokens[int]) -> Sequence:
        """A sequence whose tokens are a proper prefix of `prompt`: at least one token is left to compute."""
        room = len(prompt) - 1
        own = self._idle.pop(key, None)
        shared = 0 if own is None else self._usable(own, prompt, room)
        other, best = self._best_other(prompt, room)
        if other is not None and best >= shared + FORK_GAIN:
            if own is not None and not self._decoder.croppable:
                self._idle[key] = own
            return Sequence(list(other.ids[:best]), other.cache.copy(best))
        if own is None or shared == 0:
            return Sequence([], self._decoder.new_cache())
        own.crop(shared)
        return own

    def give_back(self, key: str, sequence: Sequence) -> None:
        """Keep `sequence` for the next request with this key; may forget the oldest ones."""
        sequence.crop(min(len(sequence.ids), sequence.cache.length))
        self._idle[key] = sequence
        self._idle.move_to_end(key)
        while len(self._idle) > 1 and self.bytes > self._limit:
            self._idle.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._idle.clear()

    @property
    def bytes(self) -> int:
        """Memory of the idle sequences."""
        return sum(sequence.cache.bytes for sequence in self._idle.values())

    def __len__(self) -> int:
        return len(self._idle)

    def _best_other(self, prompt: Tokens[int], room: int) -> tuple[Sequence | None, int]:
        if not self._decoder.croppable:
            return None, 0
        found = [(self._usable(sequence, prompt, room), sequence) for sequence in self._idle.values()]
        length, sequence = max(found, key=lambda pair: pair[0], default=(0, None))
        return sequence, length

    def _usable(self, sequence: Sequence, prompt: Tokens[int], room: int) -> int:
        """How many of the sequence's tokens the prompt begins with; a state that cannot go back is all or nothing."""
        shared = min(common_prefix(sequence.ids, prompt), room)
        if not self._decoder.croppable and shared < len(sequence.ids):
            return 0
        return shared
