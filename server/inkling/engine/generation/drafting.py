"""Prompt look-up drafting: what followed the last tokens before, proposed again and verified in one step.

Code repeats itself, so the tokens after an earlier occurrence of the current ending are often right. Verifying k
drafted tokens costs little more than one step where decoding is bound by reading the weights; how much is measured
while running, and the draft's length maximizes the expected tokens per second.
"""

from __future__ import annotations

from collections.abc import Sequence

MATCH = 2
"""Tokens that must match for a draft."""
LONGEST_MATCH = 16
_SIZES = (2, 4, 8, 16)
"""Tokens per verifying step: the last chosen token and the draft."""
_GRADES = (2, 4, 8, LONGEST_MATCH)


class LookUp:
    """The places where each pair of tokens occurs in one growing sequence."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._after: dict[tuple[int, int], list[int]] = {}

    def extend(self, ids: Sequence[int]) -> None:
        """Append tokens."""
        start = max(len(self._ids), 1)
        self._ids.extend(ids)
        tokens, after = self._ids, self._after
        for at in range(start, len(tokens)):
            after.setdefault((tokens[at - 1], tokens[at]), []).append(at + 1)

    def propose(self, limit: int) -> tuple[list[int], int]:
        """Up to `limit` tokens that followed the longest recent match of the ending, and that match's length."""
        tokens = self._ids
        if limit < 1 or len(tokens) < MATCH:
            return [], 0
        end = len(tokens)
        best, best_length = 0, 0
        places = self._after.get((tokens[-2], tokens[-1]), ())
        for place in reversed(places[-9:]):
            if place == end:
                continue
            length = MATCH
            while length < LONGEST_MATCH and place > length and tokens[place - 1 - length] == tokens[end - 1 - length]:
                length += 1
            if length > best_length:
                best, best_length = place, length
                if length == LONGEST_MATCH:
                    break
        return (tokens[best : best + limit], best_length) if best_length else ([], 0)


class DraftLength:
    """Chooses how many tokens to draft from what verifying cost and how often drafts of that grade were right.

    One per model: what one request teaches serves the next.
    """

    def __init__(self) -> None:
        self._accepted = dict.fromkeys(_GRADES, 0.6)  # probability that the next drafted token is right
        self._one = 0.0  # seconds of a step over one token
        self._cost = {size: _assumed_cost(size) for size in _SIZES}  # of a step over so many tokens, in steps over one

    def best(self, match: int) -> int:
        """The draft length with the most expected tokens per second for a match this long; 0 for none."""
        rate = self._accepted[_grade(match)]
        best, best_speed = 0, 1.0
        for size, cost in self._cost.items():
            expected = (1 - rate**size) / (1 - rate)
            if expected / cost > best_speed:
                best, best_speed = size - 1, expected / cost
        return best

    def learn(self, match: int, drafted: int, accepted: int) -> None:
        """A draft of `drafted` tokens had its first `accepted` right."""
        grade = _grade(match)
        rate = self._accepted[grade]
        for right in [1.0] * accepted + [0.0] * (accepted < drafted):
            rate = 0.95 * rate + 0.05 * right
        self._accepted[grade] = min(rate, 0.98)

    def timed(self, tokens: int, seconds: float) -> None:
        """A step over `tokens` tokens took `seconds`.

        Sizes that are not in use drift back to the assumed cost, so one slow step does not ban them for good.
        """
        if tokens == 1:
            self._one = seconds if not self._one else 0.8 * self._one + 0.2 * seconds
            for size in _SIZES:
                self._cost[size] += 0.01 * (_assumed_cost(size) - self._cost[size])
        elif self._one:
            size = next((size for size in _SIZES if size >= tokens), _SIZES[-1])
            self._cost[size] = 0.7 * self._cost[size] + 0.3 * seconds / self._one


def _assumed_cost(size: int) -> float:
    return 1 + 0.03 * (size - 1)


def _grade(match: int) -> int:
    return next((grade for grade in reversed(_GRADES) if match >= grade), _GRADES[0])
