"""Two tokenizers side by side on one text: counts, and the words that they split differently."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from inkling.api import TokenSpan
from inkling_plugins.inline_code import inline_code

_WORD = re.compile(r"\w+|[^\w\s]+")
_LISTED = 100

Side = tuple[str, int]
"""A word with `|` where it is split, and how many tokens it takes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`words` are the distinct ones, `running` all of them; `tokens` and `unknown` are by tokenizer.

    `different` are the distinct words that are split differently, with how often they occur, most frequent first.
    """

    words: int
    running: int
    characters: int
    tokens: tuple[int, int]
    unknown: tuple[int, int]
    different: tuple[tuple[str, int, Side, Side], ...]


def compare(text: str, one: Sequence[TokenSpan], other: Sequence[TokenSpan]) -> Comparison:
    """Look at every distinct word of `text` where it first occurs."""
    words = Counter(match[0] for match in _WORD.finditer(text))
    first: dict[str, int] = {}
    for match in _WORD.finditer(text):
        first.setdefault(match[0], match.start())
    places = {start: word for word, start in first.items()}
    sides = [_sides(places, spans) for spans in (one, other)]
    different = [
        (word, words[word], sides[0][start], sides[1][start])
        for start, word in places.items()
        if sides[0][start] != sides[1][start]
    ]
    different.sort(key=lambda found: -found[1])
    return Comparison(
        words=len(words),
        running=words.total(),
        characters=len(text),
        tokens=(len(one), len(other)),
        unknown=(sum(span.unknown for span in one), sum(span.unknown for span in other)),
        different=tuple(different),
    )


def _sides(places: dict[int, str], spans: Sequence[TokenSpan]) -> dict[int, Side]:
    found = {}
    number = 0
    for start, word in sorted(places.items()):
        end = start + len(word)
        while number < len(spans) and spans[number].end <= start:
            number += 1
        cuts, count, at = set(), 0, number
        while at < len(spans) and spans[at].start < end:
            count += 1
            cuts |= {cut for cut in (spans[at].start, spans[at].end) if start < cut < end}
            at += 1
        edges = [start, *sorted(cuts), end]
        pieces = (word[low - start : high - start] for low, high in pairwise(edges))
        found[start] = ("|".join(pieces), count)
    return found


def report(models: tuple[str, str], compared: Comparison) -> str:
    """In Markdown."""
    lines = ["# Tokenizers compared", "", f"| | {models[0]} | {models[1]} |", "|---|---:|---:|"]
    rows = [
        ("tokens", [f"{count:,}" for count in compared.tokens]),
        ("tokens per word", [f"{count / max(compared.running, 1):.2f}" for count in compared.tokens]),
        ("characters per token", [f"{compared.characters / max(count, 1):.2f}" for count in compared.tokens]),
        ("unknown tokens", [f"{count:,}" for count in compared.unknown]),
    ]
    lines += [f"| {name} | {one} | {other} |" for name, (one, other) in rows]
    lines += ["", f"{len(compared.different):,} of {compared.words:,} distinct words are split differently."]
    if compared.different:
        lines += ["", "Where they differ, the most frequent first; `|` marks a split, the number tokens:", ""]
        for word, times, one, other in compared.different[:_LISTED]:
            often = f" × {times:,}" if times > 1 else ""
            sides = (f"{inline_code(split)} {count}" for split, count in (one, other))
            lines.append(f"- {inline_code(word)}{often}: {' · '.join(sides)}")
        if len(compared.different) > _LISTED:
            lines.append(f"- … and {len(compared.different) - _LISTED:,} more")
    return "\n".join(lines) + "\n"
