"""Drop files that say what another file already said: exact copies, and near copies by MinHash.

A file is the set of its word 5-grams. 64 minimum hashes estimate the Jaccard similarity of two sets; banding
(16 bands of 4) finds the pairs worth comparing without comparing all.
"""

from __future__ import annotations

import hashlib
import re
import zlib

import numpy as np

_WORD = re.compile(r"\w+|[^\w\s]")
_SHINGLE, _HASHES, _BANDS = 5, 64, 16
_ODD = np.random.default_rng(5).integers(1, 2**63, size=(2, _HASHES), dtype=np.uint64) | np.uint64(1)

Signature = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]


def signature(text: str) -> Signature:
    """The MinHash signature of a text: 64 unsigned integers."""
    words = np.array([zlib.crc32(word.encode()) for word in _WORD.findall(text)] or [0], dtype=np.uint64)
    count = max(1, len(words) - _SHINGLE + 1)
    rolled = np.zeros(count, dtype=np.uint64)
    for i in range(min(_SHINGLE, len(words))):
        rolled = rolled * np.uint64(0x9E3779B97F4A7C15) + words[i : i + count]
    rolled = np.unique(rolled)
    low = np.full(_HASHES, np.iinfo(np.uint64).max, dtype=np.uint64)
    for block in np.array_split(rolled, 1 + len(rolled) // 4096):
        if len(block):
            mixed = block[:, None] * _ODD[0] + _ODD[1]
            # the low bits of an odd multiple are weak: fold the high ones down before taking the minimum
            mixed ^= mixed >> np.uint64(29)
            low = np.minimum(low, (mixed * np.uint64(0xBF58476D1CE4E5B9)).min(axis=0))
    return low


class Seen:
    """The texts met so far. ``add`` answers which earlier text makes the new one redundant, if any."""

    def __init__(self, threshold: float = 0.7) -> None:
        self.threshold = threshold
        self._exact: dict[bytes, str] = {}
        self._bands: dict[tuple[int, bytes], list[int]] = {}
        self._signatures: list[Signature] = []
        self._names: list[str] = []

    def add(self, name: str, text: str) -> str | None:
        """Remember ``text`` under ``name``, or return the name of the text it repeats (then it is not kept)."""
        digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).digest()
        if digest in self._exact:
            return self._exact[digest]
        mine = signature(text)
        keys = [(band, rows.tobytes()) for band, rows in enumerate(mine.reshape(_BANDS, -1))]
        for other in {other for key in keys for other in self._bands.get(key, ())}:
            if float((self._signatures[other] == mine).mean()) >= self.threshold:
                return self._names[other]
        self._exact[digest] = name
        for key in keys:
            self._bands.setdefault(key, []).append(len(self._names))
        self._signatures.append(mine)
        self._names.append(name)
        return None
