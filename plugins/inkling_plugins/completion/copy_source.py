"""Suggestions copied from open documents: find where the text before the cursor occurred before, take what followed.

No model runs. A long match is right often enough to be shown alone; a shorter one is for the model to agree with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

KEY = 12
"""Characters that must match before a place is looked at."""
WORDS = 4
"""Letters and digits among them before a whole line."""
LONGEST = 256
"""Characters after which a match counts as no better."""
MOST_PLACES = 64
"""Places looked at, over all documents: bounds the time."""
MOST_CHARACTERS = 600_000
"""Characters searched, over all documents, nearest first: about a millisecond."""

_BEGUN = (
    (96, 0.93), (64, 0.77), (48, 0.73), (32, 0.67), (24, 0.56), (16, 0.44), (12, 0.36), (6, 0.30), (1, 0.24)
)  # fmt: skip
_WHOLE = ((96, 0.73), (64, 0.64), (48, 0.34), (32, 0.31), (24, 0.28), (16, 0.18), (12, 0.16), (6, 0.08), (1, 0.02))
"""(characters, chance): how often a copy that matches so many, blanks not counted, is exact; see `bench/copies.py`."""
_DISAGREEING = 0.25
"""What is left of the chance where no line has a majority of the places."""
_AGREEING = 0.55
"""The chance that a copy is right when the model begins in the same way, as measured."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What followed the longest earlier occurrence of the text before the cursor.

    `matched` is its length in characters, blanks not counted; `votes` the number of places that continue with the same
    line, of `places` that matched as long.
    """

    text: str
    matched: int
    votes: int = 1
    places: int = 1

    def chance(self, begun: bool) -> float:
        """How often such a copy is exactly right: the rest of a line that has been `begun`, or a whole line.

        Measured on 4,500 places of each kind in Python packages, by the length of the match. Places that disagree make
        it a guess.
        """
        table = _BEGUN if begun else _WHOLE
        known = next((chance for least, chance in table if self.matched >= least), 0.0)
        return known if 2 * self.votes > self.places else known * _DISAGREEING

    def stands_alone(self, begun: bool, least: int) -> bool:
        """Whether it is right often enough to be shown without a model.

        The rest of a line is exact in 0.79 of the cases from 40 matching characters on, a whole line in 0.68 from twice
        as many. Places that disagree make it a guess.
        """
        return self.matched >= (least if begun else 2 * least) and 2 * self.votes > self.places

    def chance_beside(self, said: str, begun: bool) -> float:
        """`chance`, where what a model says there is known too."""
        return max(self.chance(begun), _AGREEING if self.agrees(said) else 0.0)

    def agrees(self, said: str) -> bool:
        """True when a model's text begins as this does, far enough to count as a second opinion."""
        line, other = (text.strip("\n").partition("\n")[0] for text in (self.text, said))
        needed = max(4, 2 * len(other) // 3)
        return len(line) >= needed and line[:needed] == other[:needed]


def find_copy(
    before: str, texts: Sequence[str], *, lines: int = 1, indexed: Iterable[tuple[str, int]] = ()
) -> Copy | None:
    """The best continuation of `before` out of itself and the other `texts`, most relevant first, or None.

    `indexed` are further texts with the place of each to compare (see `line_index`), less relevant.
    Up to `lines` lines are taken. Where several places match equally long, the line that most of them continue with
    wins, then the nearest.
    """
    key = _key(before)
    if not key:
        return None
    best = 0
    followers: list[str] = []
    known = ((text, end) for text, end in indexed if end >= len(key) and text.startswith(key, end - len(key)))
    for text, end in chain(_places(key, before, texts), known):
        matched = _match_length(before, text, end, len(key))
        follower = _lines(text, end, lines)
        if matched >= best and follower.strip():
            if matched > best:
                best, followers = matched, []
            followers.append(follower)
    if not followers:
        return None
    heads = [follower.partition("\n")[0] for follower in followers]
    winner = max(range(len(followers)), key=lambda i: (heads.count(heads[i]), -i))
    visible = sum(not character.isspace() for character in before[-best:])
    return Copy(followers[winner], visible, heads.count(heads[winner]), len(followers))


def _key(before: str) -> str:
    """The end of `before` that must match: `KEY` characters; for a whole line back to where it holds `WORDS` letters.

    Indentation and closing brackets are alike everywhere and say nothing of the line that follows them. Empty when
    there are too few.
    """
    begun = bool(before.rpartition("\n")[2].strip())
    letters = WORDS if begun else 0
    for size, character in enumerate(reversed(before[-LONGEST:]), 1):
        letters += character.isalnum()
        if size >= KEY and letters >= WORDS:
            return before[-size:]
    return ""


def _places(key: str, before: str, texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Where `key` ended before: the cursor's own document backwards from the cursor, then the other texts."""
    left, budget = MOST_PLACES, MOST_CHARACTERS
    stop = len(before) - 1
    start = max(0, stop - budget)
    while left and (found := before.rfind(key, start, stop)) >= 0:
        yield before, found + len(key)
        left, stop = left - 1, found + len(key) - 1
    budget -= len(before) - start
    for text in texts:
        position = 0
        while left and budget > 0 and (found := text.find(key, position, budget)) >= 0:
            yield text, found + len(key)
            left, position = left - 1, found + 1
        budget -= len(text)
        if budget <= 0 or not left:
            return


def _match_length(before: str, text: str, end: int, least: int) -> int:
    """How many characters before the cursor equal those before `end`: `least`, as known, up to `LONGEST`."""
    most = min(LONGEST, len(before), end)
    if before[-most:] == text[end - most : end]:
        return most
    low, high = least, most  # the longest common suffix by bisection: slices compare at C speed
    while high - low > 1:
        middle = (low + high) // 2
        if before[-middle:] == text[end - middle : end]:
            low = middle
        else:
            high = middle
    return low


def _lines(text: str, start: int, count: int) -> str:
    """The next `count` lines from `start`, without the last line end."""
    end = start
    for _ in range(count):
        newline = text.find("\n", end)
        if newline < 0:
            return text[start:]
        end = newline + 1
    return text[start : end - 1]
