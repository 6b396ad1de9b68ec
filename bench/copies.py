"""Copied lines: how often they are exact by the length of the match, beside the chance that the copy source tells.

Places are drawn in 15 packages of the corpus; five other files of the package are open. The tables in
`completion/copy_source.py` were made in the same way from other places of the same packages.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator

from bench.row import Row, row
from bench.starters import corpus_folder
from inkling.training.corpus.build import Document, read
from inkling.training.next_line import Case, draw_cases
from inkling_plugins.completion.copy_source import Copy, find_copy

PACKAGES = 15
MOST_FILES = 160
LEAST_FILES = 12
MOST_BYTES = 9_000_000
OPEN = 5
BEFORE = 60_000
LEASTS = (1, 6, 12, 16, 24, 32, 40, 48, 64, 80, 96)


def rows(quick: bool = False) -> list[Row]:
    """For the rest of a line and whole ones: the share that is copied, and the share of those that is exact."""
    packages = _packages()
    files = [document for found in packages.values() for document in found[:MOST_FILES]]
    result = []
    for kind, name in (("rest", "rest of line"), ("line", "whole line")):
        cases = draw_cases(files, kind, 450 if quick else 4_500, seed=2)
        copies = [(case, _copy(case, packages[case.document.package])) for case in cases]
        result += _rows(name, kind == "rest", copies)
    return result


def _rows(name: str, begun: bool, copies: list[tuple[Case, Copy | None]]) -> Iterator[Row]:
    for least in LEASTS:
        found = [(case, copy) for case, copy in copies if copy is not None and copy.matched >= least]
        if found:
            exact = [copy.text.partition("\n")[0].rstrip() == case.wanted.rstrip() for case, copy in found]
            title = f"copies/{name}, {least} matching characters or more"
            told = statistics.fmean(copy.chance(begun) for _, copy in found)
            yield row(f"{title}: of all places", len(found) / len(copies), "share", better="more")
            yield row(f"{title}: exact", statistics.fmean(exact), "share", better="more", peer="told", peer_value=told)


def _copy(case: Case, package: list[Document]) -> Copy | None:
    others = [document.text for document in package if document.path != case.document.path]
    opened = random.Random(len(case.before)).sample(others, min(OPEN, len(others)))
    return find_copy(case.before[-BEFORE:], [case.after, *opened])


def _packages() -> dict[str, list[Document]]:
    """Some packages of the corpus, drawn by a seeded generator: not the largest, nor those of a few files."""
    found: dict[str, list[Document]] = {}
    for part in ("train", "held-out"):
        for document in read(corpus_folder() / f"{part}.jsonl"):
            found.setdefault(document.package, []).append(document)
    fitting = sorted(
        name
        for name, files in found.items()
        if len(files) >= LEAST_FILES and sum(len(file.text) for file in files) < MOST_BYTES
    )
    random.Random(1).shuffle(fitting)
    return {name: found[name] for name in fitting[:PACKAGES]}
