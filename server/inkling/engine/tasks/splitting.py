"""Split text at sentences and lines, exactly: the pieces joined are the text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable

_SENTENCE_END = re.compile(
    r"""(?<=[.!?…])["'”’)\]]*\s+(?=["'“‘(\[]*[^\sa-z])   # . ! ? before anything but a lower-case letter
    | (?<=[。！？])                                      # no space follows in Chinese and Japanese
    | \s*\n\s*\n\s*                                     # a blank line
    | \n(?=\s*(?:[-*+•]|\d+[.)])\s)                     # a list item
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Za-z]|e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|Eq|approx|ca)\.$")

_CODE = re.compile(r"(``?)(?!`)[^`\n]+(?:\n[ \t]*[^`\s][^`\n]*)?\1")
"""A code span, which one line end may wrap: a full stop in it ends nothing."""


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence in code points, white space around it left out."""
    spans: list[tuple[int, int]] = []
    start = 0
    code = [match.span() for match in _CODE.finditer(text)]
    for match in _SENTENCE_END.finditer(text):
        before = bisect_left(code, (match.start(), 0)) - 1  # the last span that begins before it
        if before >= 0 and match.start() < code[before][1] - 1:
            continue
        ended = text[start : match.start()]
        if _ABBREVIATION.search(ended) and "\n" not in match.group():
            continue
        closing = len(match.group()) - len(match.group().lstrip("\"'”’)]"))
        spans.append((start, match.start() + closing))
        start = match.end()
    spans.append((start, len(text)))
    return [trimmed for span in spans if (trimmed := _trim(text, *span))[0] < trimmed[1]]


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def pack(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Pieces that fit, split at sentence ends where possible, else at spaces, else anywhere; joined they are `text`.

    `fits` must hold for every single character.
    """
    pieces: list[str] = []
    rest = text
    while rest and not fits(rest):
        ends = [end for _, end in sentence_spans(rest)][:-1]
        cut = _largest(rest, ends, fits) or _largest(rest, [m.end() for m in re.finditer(r"\s+", rest)], fits)
        cut = cut or _largest(rest, range(1, len(rest)), fits) or 1
        pieces.append(rest[:cut])
        rest = rest[cut:]
    return [*pieces, rest] if rest else pieces


def _largest(text: str, ends: list[int] | range, fits: Callable[[str], bool]) -> int:
    """The last end whose piece fits, by bisection; 0 when none does."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        if fits(text[: ends[middle]]):
            low = middle + 1
        else:
            high = middle
    return ends[low - 1] if low else 0
