"""Token healing: the unfinished word at the cursor is given to the model as characters to begin with, not as tokens.

A tokenizer splits `Enco` otherwise than the beginning of `Encoding`, and a trailing space otherwise than the space of
the word that follows; a model that is asked to go on from such tokens goes astray. So the prompt ends before the last
word, and the first tokens generated are held to spelling what was typed there.

Works on vocabulary pieces, which byte-level and Metaspace tokenizers concatenate to the text in their own alphabet.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

MOST_TOKENS = 12
"""A last word of more tokens is healed at its last token alone."""
_LAST_WORD = re.compile(r"(?:[^\S\r\n]?\w{1,64}|\s{1,128}|[^\S\r\n]?[^\w\s]{1,16})\Z")
_LOOK_BACK = 160


class Pieces:
    """A vocabulary in order of its pieces, to find those that begin with some text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.enabled = _concatenates(tokenizer)
        added = tokenizer.get_added_tokens_decoder()
        vocabulary = [(piece, token) for piece, token in tokenizer.get_vocab().items() if token not in added]
        vocabulary.sort()
        self._ids = dict(vocabulary)
        self._pieces = [piece for piece, _ in vocabulary]
        self._order = torch.tensor([token for _, token in vocabulary], dtype=torch.long)
        self._of = {token: piece for piece, token in vocabulary}

    def spell(self, ids: Sequence[int]) -> str:
        """The pieces of `ids` in a row."""
        return "".join(self._of.get(token, "") for token in ids)

    def piece(self, token: int) -> str:
        """The piece of one token; empty for control and added tokens."""
        return self._of.get(token, "")

    def beginning(self, text: str) -> Tensor:
        """Ids [n] of the tokens that begin with `text`, and of those that `text` begins with."""
        first = bisect_left(self._pieces, text)
        last = bisect_left(self._pieces, text + "\U0010ffff")
        shorter = [self._ids[text[:end]] for end in range(1, len(text)) if text[:end] in self._ids]
        return torch.cat([self._order[first:last], torch.tensor(shorter, dtype=torch.long)])


class Spelling:
    """Holds one generation to spelling `rest` first."""

    def __init__(self, pieces: Pieces, rest: str) -> None:
        self._pieces = pieces
        self.rest = rest

    def restrict(self, logits: Tensor) -> Tensor:
        """Logits [vocabulary] in which only tokens that spell on are possible."""
        allowed = self._pieces.beginning(self.rest).to(logits.device)
        held = torch.full_like(logits, -torch.inf)
        held[allowed] = logits[allowed]
        return held

    def take(self, token: int) -> None:
        """`token` was chosen."""
        self.rest = self.rest[len(self._pieces.piece(token)) :]


def last_word(text: str) -> int:
    """The offset in `text` at which its last word begins, with the one blank before it; whitespace is a word too."""
    tail = text[-_LOOK_BACK:]
    found = _LAST_WORD.search(tail)
    return len(text) - len(tail) + (found.start() if found else len(tail))


def split(text: str, ids: Sequence[int], ends: Sequence[int]) -> int:
    """How many of `ids` to keep, so that what follows them is the last word; `ends` are their ends in `text`."""
    keep = bisect_left(ends, last_word(text) + 1)
    return keep if len(ids) - keep <= MOST_TOKENS else max(0, len(ids) - 1)


def _concatenates(tokenizer: Tokenizer) -> bool:
    decoder = json.dumps(json.loads(tokenizer.to_str())["decoder"], ensure_ascii=False)
    return '"ByteLevel"' in decoder or '"Metaspace"' in decoder or "▁" in decoder
