"""What a language model must beat: a 5-gram model over the same tokens, and a compressor that has seen the corpus."""

from __future__ import annotations

import lzma
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.uint64]]


class NGram:
    """Interpolated Kneser-Ney of order 5 over token ids, as sorted arrays; one discount per order.

    N-grams are told apart by 64-bit hashes: for tens of millions of them a clash is a matter of one in a million.
    """

    def __init__(self, tokens: Sequence[int] | Ids, vocabulary: int, order: int = 5) -> None:
        self.vocabulary = vocabulary
        self.order = order
        ids = np.asarray(tokens, dtype=np.uint64)
        self._levels: list[_Level] = []
        for n in range(1, order + 1):
            grams = _grams(ids, n)
            if n < order:  # Kneser-Ney counts in how many contexts an n-gram was met, not how often
                wider = _grams(ids, n + 1)
                _, first = np.unique(wider, return_index=True)
                grams = grams[1:][first]
                contexts = _grams(ids, n - 1)[1 : len(wider) + 1][first] if n > 1 else np.zeros(len(first), np.uint64)
                words = ids[n:][first]
            else:
                contexts = _grams(ids, n - 1)[: len(grams)] if n > 1 else np.zeros(len(grams), np.uint64)
                words = ids[n - 1 :]
            self._levels.append(_Level(grams, contexts, words))

    def probabilities(self, tokens: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The probability of each token given those before it in ``tokens``."""
        ids = np.asarray(tokens, dtype=np.uint64)
        chance = np.full(len(ids), 1.0 / self.vocabulary)
        for n, level in enumerate(self._levels, 1):
            if len(ids) < n:
                break
            contexts = _grams(ids, n - 1)[: len(ids) - n + 1] if n > 1 else np.zeros(len(ids), np.uint64)
            chance[n - 1 :] = level.interpolate(_grams(ids, n), contexts, chance[n - 1 :])
        return chance

    def bits(self, tokens: Sequence[int]) -> float:
        """The bits that the model needs for all of ``tokens``."""
        return float(-np.log2(self.probabilities(tokens)).sum())

    def best(self, tokens: Sequence[int]) -> int | None:
        """The likeliest next token after ``tokens``: the most frequent one in the longest context met before."""
        ids = np.asarray(tokens[-(self.order - 1) :], dtype=np.uint64)
        for n in range(min(len(ids), self.order - 1), -1, -1):
            context = _grams(ids[len(ids) - n :], n)[0] if n else np.uint64(0)
            word = self._levels[n].likeliest(context)
            if word is not None:
                return word
        return None


class _Level:
    """Counts of one order."""

    def __init__(self, grams: Ids, contexts: Ids, words: Ids) -> None:
        self.grams, first, self.counts = np.unique(grams, return_index=True, return_counts=True)
        owners, heads = contexts[first], words[first]
        ones, twos = int((self.counts == 1).sum()), int((self.counts == 2).sum())
        self.discount = ones / max(1, ones + 2 * twos)
        by_count = np.lexsort((-self.counts, owners))
        self.contexts, at = np.unique(owners[by_count], return_index=True)
        self.heads = heads[by_count][at]
        self.totals = np.add.reduceat(self.counts[by_count], at)
        self.kinds = np.diff(np.append(at, len(by_count)))

    def interpolate(self, grams: Ids, contexts: Ids, lower: Any) -> Any:
        """Probabilities of this order from those of the order below."""
        count = self._find(self.grams, self.counts, grams)
        total = self._find(self.contexts, self.totals, contexts)
        kinds = self._find(self.contexts, self.kinds, contexts)
        known = total > 0
        safe = np.where(known, total, 1)
        here = np.maximum(count - self.discount, 0) / safe + self.discount * kinds / safe * lower
        return np.where(known, here, lower)

    def likeliest(self, context: np.uint64) -> int | None:
        """The most frequent continuation of a context."""
        at = int(np.searchsorted(self.contexts, context))
        return int(self.heads[at]) if at < len(self.contexts) and self.contexts[at] == context else None

    @staticmethod
    def _find(keys: Ids, values: Any, wanted: Ids) -> Any:
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[at] == wanted, values[at], 0)


def _grams(ids: Ids, n: int) -> Ids:
    """A 64-bit hash of each run of ``n`` ids; for ``n`` = 0 one hash per position."""
    count = max(0, len(ids) - n + 1)
    mixed = np.full(count, n, dtype=np.uint64)
    for i in range(n):
        mixed = (mixed ^ (ids[i : i + count] + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def xz_bits_per_byte(context: str, texts: Iterable[str]) -> float:
    """Bits per byte that xz needs for each of ``texts`` after ``context``, which its dictionary holds whole."""
    seen = context.encode()
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]
    before = len(lzma.compress(seen, filters=chain))
    bits = size = 0
    for text in texts:
        new = text.encode()
        bits += 8 * (len(lzma.compress(seen + new, filters=chain)) - before)
        size += len(new)
    return bits / max(1, size)


def ngram_bits_per_byte(model: NGram, encoded: Iterable[tuple[Sequence[int], int]]) -> float:
    """Bits per byte of documents given as (token ids that begin with the end-of-text token, size in bytes)."""
    bits, size = 0.0, 0
    for ids, count in encoded:
        bits += model.bits(ids) + math.log2(model.probabilities(ids[:1])[0])  # the first token is given
        size += count
    return bits / max(1, size)
