"""Tokenizes a text that grows by keystrokes: only what follows the last safe place before the change."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from inkling.shared_prefix import common_prefix

Encode = Callable[[str, bool], tuple[list[int], list[int]]]
"""(text, whether it continues another) to the tokens and the offsets at which they end."""


class IncrementalEncoder:
    """Gives what `encode(text, inside)` gives, and remembers the last text so that a similar one costs little.

    Tokens do not reach across a line break between two characters that are not white space: every tokenizer's
    pre-tokenizer splits there. Such a break before the first change is where encoding starts again.
    """

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._text = ""
        self._inside = False
        self._ids: list[int] = []
        self._ends: list[int] = []

    def __call__(self, text: str, inside: bool = False) -> tuple[list[int], list[int]]:
        """The tokens of `text` and the offset, in code points, at which each ends."""
        at, kept = self._resume(text) if inside == self._inside else (0, 0)
        ids, ends = self._encode(text[at:], inside or at > 0)
        self._ids = [*self._ids[:kept], *ids]
        self._ends = [*self._ends[:kept], *(end + at for end in ends)]
        self._text, self._inside = text, inside
        return list(self._ids), list(self._ends)

    def _resume(self, text: str) -> tuple[int, int]:
        """(offset to encode from, tokens before it that stay)."""
        same = common_prefix(self._text, text)
        at = same
        while (at := text.rfind("\n", 1, max(at - 1, 1)) + 1) > 0:
            if at < same and not text[at].isspace() and not text[at - 2].isspace():
                kept = bisect_left(self._ends, at)
                if kept < len(self._ends) and self._ends[kept] == at:
                    return at, kept + 1
        return 0, 0
