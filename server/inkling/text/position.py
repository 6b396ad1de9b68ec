"""Positions inside Inkling: zero-based line, and column in code points.

Code points are what a Python `str` is indexed by, so no plugin ever meets UTF-16. The conversion from and to the
client's encoding happens once, at the edge (`inkling.lsp`), with `inkling.text.encoding`.
"""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """A place between two characters. `character` may lie past the end of the line: readers clamp."""

    line: int
    character: int


class Range(NamedTuple):
    """A half-open span, `start` ≤ `end`."""

    start: Position
    end: Position

    @property
    def is_empty(self) -> bool:
        """True for a bare cursor."""
        return self.start == self.end
