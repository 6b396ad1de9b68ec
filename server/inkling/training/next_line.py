"""Next-line quality: how often a completer says what the author wrote, at cursors in text it has not seen.

Two kinds of cursor: ``rest`` stands inside a line and asks for the rest of it; ``line`` stands on an empty line after
its indentation and asks for all of it. Cursors are drawn by a seeded generator; nobody chose them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inkling.training.corpus.build import Document

Completer = Callable[["Case"], str]


@dataclass(frozen=True)
class Case:
    """A cursor: the text before it, what the author wrote up to the line's end, and what follows that line."""

    document: Document
    kind: str
    before: str
    wanted: str
    after: str


@dataclass(frozen=True)
class Score:
    """Exact matches and mean edit similarity, both 0 to 1, over ``cases``."""

    exact: float
    similarity: float
    cases: int


def draw_cases(documents: Iterable[Document], kind: str, count: int, seed: int = 7) -> list[Case]:
    """Up to ``count`` cursors of one kind, spread evenly over the packages of ``documents``."""
    rng = np.random.default_rng((seed, kind == "line"))
    packages: dict[str, list[Document]] = {}
    for document in documents:
        packages.setdefault(document.package, []).append(document)
    cases: list[Case] = []
    for name in sorted(packages):
        found = [case for document in packages[name] for case in _cursors(document, kind, rng)]
        share = -(-(count - len(cases)) // (len(packages) - sorted(packages).index(name)))
        chosen = rng.choice(len(found), min(share, len(found)), replace=False)
        cases += [found[i] for i in chosen]
    return cases[:count]


def judge(completer: Completer, cases: Sequence[Case]) -> Score:
    """Complete every case and compare with what the author wrote, trailing blanks aside."""
    pairs = [(completer(case).split("\n")[0].rstrip(), case.wanted.rstrip()) for case in cases]
    return Score(
        exact=sum(got == wanted for got, wanted in pairs) / max(1, len(pairs)),
        similarity=sum(edit_similarity(got, wanted) for got, wanted in pairs) / max(1, len(pairs)),
        cases=len(pairs),
    )


def edit_similarity(one: str, other: str) -> float:
    """1 less the Levenshtein distance over the longer length; 1 for two empty strings."""
    if not one and not other:
        return 1.0
    previous = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        current = [i]
        for j, b in enumerate(other, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (a != b)))
        previous = current
    return 1 - previous[-1] / max(len(one), len(other))


def _cursors(document: Document, kind: str, rng: np.random.Generator) -> Iterator[Case]:
    """One cursor per line that has something to guess."""
    at = 0
    for number, line in enumerate(document.text.split("\n")):
        begin, at = at, at + len(line) + 1
        body = line.strip()
        if number < 5 or len(body) < 6:
            continue
        indent = len(line) - len(line.lstrip())
        column = indent if kind == "line" else int(rng.integers(indent + 2, max(indent + 3, len(line.rstrip()) - 2)))
        yield Case(document, kind, document.text[: begin + column], line[column:], document.text[at:])
