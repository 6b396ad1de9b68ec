"""What of a generation may be shown while it still grows, so that nothing shown has to be taken back.

`present` is pure: it looks at the text so far and says what is certain. The plugin calls it each time the text grows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inkling_plugins.completion.filters import MULTI_LINE, SINGLE_LINE, apply, close_docstring
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.site import Site

LOW_CONFIDENCE = Rejected("low-confidence")
_ENOUGH_TOKENS = 4
"""Tokens before growing text is shown: fewer are too little to read and to judge."""
_LEAST_SHORTENED = 4
"""Visible characters that a line must keep when its unsure end is cut."""

Scores = Sequence[tuple[int, float]]
"""Where each piece of the text begins, and the log-probability of its tokens, in order; empty when none are known."""


@dataclass(frozen=True, slots=True)
class Manners:
    """`lines`: several lines suit the place; `least`: the least chance of being right that is shown, 0 to 1."""

    lines: bool
    least: float


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown; `final` when nothing that the model still says can add to it."""

    text: str
    final: bool


def present(
    text: str, tokens: int, done: bool, site: Site, manners: Manners, scores: Scores = ()
) -> Shown | Rejected | None:
    """The part of `text` to show at `site`, the reason to show none of it, or None to wait for more.

    The first line is shown as far as the chance that all of it is right stays above `manners.least`; each further line
    needs that chance by itself. Until `done`, text is shown to the end of its last whole word, and held back while it
    could still turn out to repeat what is around the cursor.
    """
    end = first_line_end(text)
    doubt = _doubt(scores, 0, len(text) if end is None else end, manners.least)
    if doubt is not None:
        return _shortened(text, doubt, site)
    certain = text if done else _whole_words(text, manners.lines)
    if not done and (tokens < _ENOUGH_TOKENS or not certain.strip() or _may_repeat(certain, site)):
        return None
    sure = _sure_lines(certain, end, scores, manners.least) if manners.lines and end is not None else certain
    kept = apply(sure, site, MULTI_LINE if manners.lines else SINGLE_LINE)
    if isinstance(kept, Rejected):
        return None if not done and kept.reason in ("empty", "too-short") else kept
    final = done or len("".join(kept.split())) < len("".join(certain.split()))
    return Shown(close_docstring(kept, site) if final else kept, final)


def first_line_end(text: str) -> int | None:
    """Where the first line that is not empty ends; None while it may still grow."""
    newline = text.find("\n", len(text) - len(text.lstrip("\n")))
    return None if newline < 0 else newline


def chance(scores: Scores, start: int, end: int) -> float:
    """The probability that the model gave the pieces that begin in `[start, end)`, all together; 1 when unknown."""
    return math.exp(sum(logprob for at, logprob in scores if start <= at < end))


def _doubt(scores: Scores, start: int, end: int, least: float) -> int | None:
    """Where the piece begins with which the chance of all since `start` falls below `least`."""
    total, bound = 0.0, math.log(least) if least > 0 else -math.inf
    for at, logprob in scores:
        if start <= at < end:
            total += logprob
            if total < bound:
                return at
    return None


def _shortened(text: str, doubt: int, site: Site) -> Shown | Rejected:
    """The whole words before the doubt, if they are worth it."""
    sure = text[:doubt] if doubt and not _joins(text, doubt) else _without_last_word(text[:doubt])
    sure = sure.rstrip()
    if len("".join(sure.split())) < _LEAST_SHORTENED or _may_repeat(sure, site):
        return LOW_CONFIDENCE
    kept = apply(sure, site, SINGLE_LINE)
    return kept if isinstance(kept, Rejected) else Shown(kept, True)


def _joins(text: str, at: int) -> bool:
    """True when `at` is inside a word."""
    return _of_word(text[at - 1]) and _of_word(text[at : at + 1])


def _of_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _without_last_word(text: str) -> str:
    end = len(text)
    while end and _of_word(text[end - 1]):
        end -= 1
    return text[:end]


def _whole_words(text: str, lines: bool) -> str:
    """Up to the last whole word; past the first line, up to the last whole line, since filters judge lines."""
    end = first_line_end(text)
    if end is None:
        return _without_last_word(text).rstrip()
    return text[: text.rfind("\n")] if lines else text[:end]


def _may_repeat(text: str, site: Site) -> bool:
    """True while the first line could become the line below, the line above or the rest of the line."""
    line = text.strip("\n").partition("\n")[0].strip()
    around = (site.line_below.strip(), site.line_above.strip(), site.line_after.strip())
    return any(other.startswith(line) for other in around if other)


def _sure_lines(text: str, first_end: int, scores: Scores, least: float) -> str:
    """Drop the lines from the first unsure one on: a model that has lost the thread seldom finds it again."""
    end = first_end
    while end < len(text):
        following = text.find("\n", end + 1)
        following = len(text) if following < 0 else following
        if text[end:following].strip() and chance(scores, end, following) < least:
            return text[:end]
        end = following
    return text
