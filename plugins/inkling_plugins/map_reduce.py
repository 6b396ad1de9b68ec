"""Summaries of text of any length: cut it at sentence ends, summarize the parts, then the summaries."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from inkling.api import Summary

_BREAK = re.compile(r"\n\s*\n|(?<=[.!?])\s+|\n")
_MOST_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """`done` of `total` parts summarized so far in this round."""

    done: int
    total: int
    round: int


def split(text: str, most: int) -> list[str]:
    """`text` in parts of at most `most` characters, cut at blank lines if it can be, else at sentence or line ends.

    A single sentence that is longer is cut where it must be. Joined by nothing, the parts hold all words in order.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > most:
        window = text[start : start + most]
        cut = max(window.rfind("\n\n") + 2 if "\n\n" in window[most // 2 :] else 0, 0)
        if not cut:
            ends = [match.end() for match in _BREAK.finditer(window) if match.end() > most // 4]
            cut = ends[-1] if ends else (window.rfind(" ") + 1 or most)
        parts.append(text[start : start + cut])
        start += cut
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


async def summarize_long(
    text: str, most: int, summarize: Callable[[str], Awaitable[Summary]], report: Callable[[Plan], None]
) -> Summary:
    """Summarize parts of at most `most` characters, then their summaries, until one is left.

    `report` is called before each part. The result says `abstractive` unless every step chose key sentences; spans
    are given only when the text needed no cutting.
    """
    kinds: set[str] = set()
    for number in range(1, _MOST_ROUNDS + 1):
        parts = split(text, most)
        summaries: list[Summary] = []
        for index, part in enumerate(parts):
            report(Plan(index, len(parts), number))
            summaries.append(await summarize(part))
        if len(summaries) == 1 and number == 1:
            return summaries[0]
        kinds |= {summary.kind for summary in summaries}
        shorter = "\n\n".join(summary.text for summary in summaries)
        if len(summaries) == 1 or len(shorter) >= len(text):
            break
        text = shorter
    return Summary(shorter, kinds.pop() if len(kinds) == 1 else "abstractive")
