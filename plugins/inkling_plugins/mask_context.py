"""What a masked language model is given to read around a word, and words in another's case."""

from __future__ import annotations

import re

from inkling.api import Scope, Snapshot, scope_at

MASK = "[MASK]"
"""Understood by the engine for every model."""
MASKS = re.compile(r"\[MASK\]|<\|?mask\|?>", re.IGNORECASE)
REACH = 500
"""Characters on each side: a few sentences."""
_BLANK = re.compile(r"(?:\r\n|\r(?!\n)|\n)[ \t]*(?:\r|\n)")
_LINE = re.compile(r"\r\n|\r|\n")
_MARKS = re.compile(r"[ \t]*(?:#+|//+!?|/\*+|\*+/?|--+|;+|%+)[ \t]?")
_QUOTES = re.compile(r"\"\"\"|'''|\"|`")


def context(snapshot: Snapshot, start: int, end: int) -> tuple[str, str]:
    """The prose before and behind a span, of its paragraph alone; without comment marks, and without other masks."""
    before, after = snapshot.slice(max(0, start - REACH), start), snapshot.slice(end, end + REACH)
    before, after = _BLANK.split(before)[-1], _BLANK.split(after)[0]
    scope = scope_at(snapshot, snapshot.position(min(start + 1, end)))
    if scope is Scope.COMMENT:
        before, after = _of_comment(before, after)
    elif scope is not Scope.PROSE:
        before, after = _QUOTES.split(before)[-1], _QUOTES.split(after)[0]
        before, after = (
            "\n".join(line.strip(" \t") for line in _LINE.split(part)) for part in (f"{before}|", f"|{after}")
        )
        before, after = before[:-1], after[1:]
    return MASKS.sub("…", _LINE.sub(" ", before)).lstrip(), MASKS.sub("…", _LINE.sub(" ", after)).rstrip()


def _of_comment(before: str, after: str) -> tuple[str, str]:
    """The lines of one comment, without what marks them."""
    lines = _LINE.split(before)
    here = lines.pop()
    marks = list(_MARKS.finditer(here))
    if marks and marks[-1].start() > 0 and here[: marks[-1].start()].strip():
        return here[marks[-1].end() :], _LINE.split(after)[0]  # a comment behind code ends with its line
    marked = bool(marks) and marks[0].start() == 0
    kept = [_unmarked(here)]
    for line in reversed(lines):
        if marked != bool(_MARKS.match(line)):
            break
        kept.append(_unmarked(line))
    behind = _LINE.split(after)
    following = [_unmarked(line) for line in behind[1:] if bool(_MARKS.match(line)) == marked]
    return "\n".join(reversed(kept)), "\n".join([behind[0], *following])


def _unmarked(line: str) -> str:
    mark = _MARKS.match(line)
    return line[mark.end() :] if mark else line.lstrip(" \t")


def with_case(word: str, like: str) -> str:
    """`word` as `like` is written: in capitals, with a capital, or, for anything else, as the model has it."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    if like[:1].isupper():
        return word[:1].upper() + word[1:]
    return word
