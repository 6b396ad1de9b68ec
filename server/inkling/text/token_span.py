"""One token of a document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """One token: its id, its piece as the vocabulary spells it, and its code-point offsets in the document."""

    id: int
    piece: str
    start: int
    end: int
    special: bool = False
