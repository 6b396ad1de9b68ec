"""What is wrong with a setting, in words for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad setting. The rest of the settings hold; this one has the value of the layer below, or its default.

    `reason` is `unknown-key`, `unknown-table`, `wrong-type`, `out-of-range`, `restricted`, `refused`, `bad-value` or
    `unreadable`;
    `key` is dotted, as in inkling.toml, with list positions as in `rule[0].model`; `line` counts from 1.
    """

    reason: str
    key: str
    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"{place}: {self.message}" if place else self.message


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` for the nearest known word, or an empty string."""
    names = {name.replace("_", "").lower(): name for name in known}
    bare = word.replace("_", "").replace("-", "").lower()
    close = difflib.get_close_matches(bare, names, n=1, cutoff=0.6)
    return f' Did you mean "{names[close[0]]}"?' if close else ""
