"""Filters about repetition: of what follows the cursor, of what stands above it, and of the text itself."""

from __future__ import annotations

import re

from inkling_plugins.completion.brackets import CLOSERS
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.site import Site

_SHORTEST = 3
_LONG = 10
"""Characters of a repeated piece."""
_TELLING = 12
"""Characters of a line that code seldom repeats to the letter."""
_CLOSE = 4
"""Lines within which it does so only by going round in circles."""
_NEAR = 0.05
"""Share of characters that may differ between texts that count as the same."""

_IMPORT = re.compile(r"\s*(?:import|from|use|using|require|#include)\b")


def stop_at_suffix(text: str, site: Site) -> str | Rejected:
    """Stop where the text begins to repeat what follows the cursor."""
    below = site.lines_below[:3]
    rest = site.line_after.strip()
    visible = [line for line in text.split("\n") if line.strip()]
    if not visible:
        return text
    if rest and text.strip() == rest:
        return Rejected("duplicate-of-suffix")
    if below and site.line_before.strip() == "" and near("\n".join(visible[:3]), "\n".join(below[: len(visible[:3])])):
        return Rejected("duplicate-of-suffix")
    if not below:
        return text
    lines = text.split("\n")
    for index, line in enumerate(lines):
        short = len(line.strip()) <= 2
        if index and line.strip() and (line.rstrip() == below[0].rstrip() if short else near(line, below[0])):
            return "\n".join(lines[:index])
    return text


def drop_typed_ending(text: str, site: Site) -> str | Rejected:
    """Cut an ending that stands right of the cursor already: `foo(bar|)` needs `baz`, not `baz)`."""
    rest = site.line_after.rstrip()
    first, newline, more = text.partition("\n")
    if not rest.strip() or (newline and more.strip()):
        return text
    for size in range(min(len(rest), len(first)), 0, -1):
        if first.endswith(rest[:size]) and (size == len(rest) or rest[:size].strip() in (*CLOSERS, '"', "'", "`")):
            kept = first[:-size]
            return kept if kept.strip() else Rejected("duplicate-of-suffix")
    return text


def drop_echo(text: str, site: Site) -> str | Rejected:
    """Refuse a line that repeats the line above, or lines that repeat the lines above."""
    if site.line_before.strip():
        whole = site.line_before + text.split("\n")[0]
        repeats = whole.strip() == site.line_above.strip() and len(whole.strip()) > 8
        return Rejected("duplicate-of-line-above") if repeats else text
    lines = [line.strip() for line in text.split("\n") if line.strip()][:3]
    above = [line.strip() for line in site.lines_above[-len(lines) :]]
    if len("".join(lines)) > 8 and above == lines:
        return Rejected("duplicate-of-line-above")
    return text


def stop_at_repetition(text: str, site: Site) -> str | Rejected:
    """Stop where a model has begun to go round in circles."""
    start = _loop_start(text)
    if start is not None:
        return text[:start].rstrip() or Rejected("repetition")
    lines = text.split("\n")
    for index in range(2, len(lines)):
        same = lines[index].strip()
        if len(same) > 2 and same == lines[index - 1].strip() == lines[index - 2].strip():
            return "\n".join(lines[: index - 1])
    whole = [(site.line_before + lines[0]).strip(), *(line.strip() for line in lines[1:])]
    for index, line in enumerate(whole):
        if len(line) >= _TELLING and line in whole[max(0, index - _CLOSE) : index]:
            return "\n".join(_without_openers(lines[:index]))
    return text


def stop_at_known_import(text: str, site: Site) -> str | Rejected:
    """Stop at a line that imports, to the letter, what a line above does: a model that has run dry begins anew."""
    lines = text.split("\n")
    known = {line.strip() for line in site.lines_above if _IMPORT.match(line)}
    for index, line in enumerate(lines):
        whole = site.line_before + line if index == 0 else line
        if _IMPORT.match(whole) and whole.strip() in known:
            return "\n".join(lines[:index]) if "".join(lines[:index]).strip() else Rejected("repetition")
        if _IMPORT.match(whole):
            known.add(whole.strip())
    return text


def _without_openers(lines: list[str]) -> list[str]:
    """Drop the last lines while they open a block: what they open was cut."""
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].rstrip().endswith((":", "{", "(", "["))):
        lines = lines[:-1]
    return lines


def _loop_start(text: str) -> int | None:
    """Where the text begins to end in repetitions: 6 of a short piece, 4 of a longer one."""
    for size in range(_SHORTEST, len(text) // 4 + 1):
        piece = text[-size:]
        times = 6 if size < _LONG else 4
        if text.endswith(piece * times) and len(set(piece)) > 1:  # a ruler of one character is no loop
            start = len(text) - size * times
            while start >= size and text[start - size : start] == piece:
                start -= size
            return start
    return None


def near(a: str, b: str) -> bool:
    """True when two texts are the same but for white space around them and one character in twenty."""
    a, b = a.strip(), b.strip()
    if a == b:
        return True
    bound = int(max(len(a), len(b)) * _NEAR)
    return bound > 0 and abs(len(a) - len(b)) <= bound and edit_distance(a, b, bound) <= bound


def edit_distance(a: str, b: str, bound: int) -> int:
    """Levenshtein's distance, or `bound + 1` as soon as it is known to be more."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        low, high = max(1, i - bound), min(len(b), i + bound)
        above, row = row, [bound + 1] * (len(b) + 1)
        if low == 1:
            row[0] = i
        for j in range(low, high + 1):
            row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != b[j - 1]))
        if min(row[max(0, low - 1) : high + 1]) > bound:
            return bound + 1
    return min(row[len(b)], bound + 1)
