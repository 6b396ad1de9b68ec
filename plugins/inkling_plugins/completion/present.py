"""What of a generation may be shown while it still grows, so that nothing shown has to be taken back.

`present` is pure: it looks at the text so far and says what is certain. The plugin calls it each time the text grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inkling_plugins.completion.filters import MULTI_LINE, SINGLE_LINE, apply, close_docstring
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.site import Site

LOW_CONFIDENCE = "low-confidence"
_ENOUGH_TOKENS = 4
"""Tokens before the mean of their probabilities says anything."""


@dataclass(frozen=True, slots=True)
class Manners:
    """`lines`: several lines suit the place; `min_confidence`: the mean probability that a line needs, 0 to 1."""

    lines: bool
    min_confidence: float


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be shown; `final` when nothing that the model still says can add to it."""

    text: str
    final: bool


def present(
    text: str, tokens: int, done: bool, site: Site, manners: Manners, confidence: Callable[[int, int], float]
) -> Shown | Rejected | None:
    """The part of `text` to show at `site`, the reason to show none of it, or None to wait for more.

    `confidence(start, end)` is the mean probability of a stretch of the text. Until `done`, the text is shown to the
    end of its last whole word, and held back while it could still turn out to repeat what is around the cursor.
    """
    certain = text if done else _whole_words(text, manners.lines)
    body = certain.lstrip("\n")
    if not done and (tokens < _ENOUGH_TOKENS or not body.strip() or _may_repeat(certain, site)):
        return None
    first_end = len(certain) - len(body) + len(body.partition("\n")[0])
    if confidence(0, max(first_end, 1)) < manners.min_confidence:
        return Rejected(LOW_CONFIDENCE) if done or first_end < len(text) else None
    sure = _confident_lines(certain, first_end, manners.min_confidence, confidence) if manners.lines else certain
    kept = apply(sure, site, MULTI_LINE if manners.lines else SINGLE_LINE)
    if isinstance(kept, Rejected):
        return None if not done and kept.reason in ("empty", "too-short") else kept
    final = done or len("".join(kept.split())) < len("".join(certain.split()))
    return Shown(close_docstring(kept, site) if final else kept, final)


def _whole_words(text: str, lines: bool) -> str:
    """Up to the last whole word; past the first line, up to the last whole line, since filters judge lines."""
    lead = len(text) - len(text.lstrip("\n"))
    newline = text.rfind("\n")
    if newline >= lead:
        return text[:newline] if lines else text[lead:].partition("\n")[0]
    end = len(text)
    while end and (text[end - 1].isalnum() or text[end - 1] == "_"):
        end -= 1
    return text[:end].rstrip()


def _may_repeat(text: str, site: Site) -> bool:
    """True while the first line could become the line below, the line above or the rest of the line."""
    line = text.strip("\n").partition("\n")[0].strip()
    around = (site.line_below.strip(), site.line_above.strip(), site.line_after.strip())
    return any(other.startswith(line) for other in around if other)


def _confident_lines(text: str, first_end: int, least: float, confidence: Callable[[int, int], float]) -> str:
    """Drop the lines from the first unsure one on: a model that has lost the thread seldom finds it again."""
    end = first_end
    while end < len(text):
        following = text.find("\n", end + 1)
        following = len(text) if following < 0 else following
        if text[end:following].strip() and confidence(end, following) < least:
            return text[:end]
        end = following
    return text
