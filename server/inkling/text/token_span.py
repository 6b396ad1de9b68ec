"""One token of a document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """One token: its id, its piece as the vocabulary spells it, and its code-point offsets in the document.

    A character that takes several tokens (an emoji under a byte-level vocabulary) gives several spans of equal offsets.
    `added` tokens were put on top of the vocabulary; `special` ones of them are control tokens. `unknown` is the token
    that stands for what the vocabulary lacks.
    """

    id: int
    piece: str
    start: int
    end: int
    special: bool = False
    added: bool = False
    unknown: bool = False
