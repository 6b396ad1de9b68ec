"""Text as the terms that a lexical search compares: identifiers taken apart, endings cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_STOP = frozenset(
    """a an and are as at be been but by can do does for from had has have how i if in into is it its may my no not of
    on or our should so than that the their then there these they this those to was we were what when where which while
    who will with would you your""".split()  # noqa: SIM905
)
_LONGEST = 40


def split_identifier(name: str) -> str:
    """`HTTPServer.do_get` as `HTTP Server do get`."""
    return " ".join(part for word in _WORD.findall(name) for part in _HUMP.split(word) if part)


def identifiers(question: str) -> list[str]:
    """What a question names as code does: `feed_cat`, `readLine`, the last of `json.loads`, or its only word."""
    names = _NAME.findall(question)
    if len(names) != 1 or len(question.split()) != 1:
        names = [name for name in names if "_" in name.strip("_") or "." in name or _HUMP.search(name)]
    return list(dict.fromkeys(name.rpartition(".")[2] for name in names))


def terms(text: str) -> Iterator[str]:
    """The stems of a text's words, in order; a compound identifier gives its parts and itself."""
    for word in _WORD.findall(text):
        parts = _HUMP.split(word)
        for part in [*parts, word] if len(parts) > 1 else parts:
            lower = part.lower()
            if lower not in _STOP and len(lower) <= _LONGEST:
                yield stem(lower)


def stem(word: str) -> str:
    """An English word without its commonest endings: enough that `copies`, `copied` and `copying` meet `copy`."""
    if len(word) <= 3 or not word.isascii():
        return word
    if word.endswith(("ies", "ied")):
        return word[:-3] + "y" if len(word) > 4 else word
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        base = word[: -len(ending)]
        if word.endswith(ending) and len(base) >= 3 and re.search("[aeiouy]", base):
            return (
                base[:-1]
                if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz"
                else base.removesuffix("e")
            )
    return word.removesuffix("e") if len(word) > 4 else word
