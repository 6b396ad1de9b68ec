"""Whether a word occurs in a text: a sum over the rope, so that after an edit it costs what the edit touched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

_Part = tuple[bool, str, str]
"""Whether it occurs, and the first and the last characters, in which half of it may stand."""


@dataclass(frozen=True)
class Mentions:
    """A `Fold` for one word."""

    word: str

    def leaf(self, text: str) -> _Part:
        """A stretch of text."""
        most = len(self.word) - 1
        return self.word in text, text[:most], text[max(0, len(text) - most) :]

    def edited(self, old: _Part, old_text: str, text: str, span: tuple[int, int, int]) -> None:
        """A look is no dearer than a comparison."""

    def join(self, left: _Part, right: _Part) -> _Part:
        """Two stretches side by side."""
        most = len(self.word) - 1
        found = left[0] or right[0] or self.word in left[2] + right[1]
        tail = left[2] + right[2]
        return found, (left[1] + right[1])[:most], tail[max(0, len(tail) - most) :]


@lru_cache(maxsize=64)
def mentions(word: str) -> Mentions:
    """The one object for a word: ropes keep their sums by it."""
    return Mentions(word)
