"""Okapi BM25 over slots that come and go: the lexical half of the search."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_K1, _B = 1.2, 0.75


class Bm25:
    """Terms by slot. Removing a slot leaves its postings, which the caller masks in `scores` until it starts over."""

    def __init__(self) -> None:
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        self._lengths: array[float] = array("f")
        self._alive = 0
        self._total = 0.0

    def add(self, terms: Iterable[str]) -> int:
        """Take a text's terms; returns its slot, one more than the last."""
        counts = Counter(terms)
        slot, length = len(self._lengths), float(sum(counts.values()))
        self._lengths.append(length)
        for term, count in counts.items():
            slots, numbers = self._postings.setdefault(term, (array("I"), array("f")))
            slots.append(slot)
            numbers.append(count)
        self._alive += 1
        self._total += length
        return slot

    def remove(self, slot: int) -> None:
        """The slot counts no more towards the averages."""
        self._alive -= 1
        self._total -= self._lengths[slot]

    def scores(self, terms: Iterable[str]) -> NDArray[np.float32]:
        """[slots]: how well each text matches the terms; 0 where none occurs."""
        import numpy as np

        found = np.zeros(len(self._lengths), np.float32)
        if not self._alive:
            return found
        average = max(1.0, self._total / self._alive)
        lengths = np.frombuffer(self._lengths, np.float32)
        for term in dict.fromkeys(terms):
            if (posting := self._postings.get(term)) is None:
                continue
            slots, counts = np.frombuffer(posting[0], np.uint32), np.frombuffer(posting[1], np.float32)
            rarity = (
                math.log1p((self._alive - len(slots) + 0.5) / (len(slots) + 0.5)) if len(slots) < self._alive else 0.01
            )
            found[slots] += rarity * counts * (_K1 + 1) / (counts + _K1 * (1 - _B + _B * lengths[slots] / average))
        return found
