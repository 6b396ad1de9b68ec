"""Holes punched into real files, and how near a completion came to what was there. Pure, seeded, no model."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KINDS = ("rest", "line", "block")
LARGEST_BYTES = 200_000
BLOCK_LINES = 5


@dataclass(frozen=True, slots=True)
class Hole:
    """A file with a piece taken out. `kind` is `rest` (of a begun line), `line` or `block` (up to five lines).

    `before` and `after` are the text around the cursor, `expected` what stood there, without its last line ending.
    """

    path: Path
    kind: str
    before: str
    after: str
    expected: str


def source_files(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files below `root` with these suffixes, sorted: those that git tracks, else all outside hidden folders."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        paths = [root / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [
            path for path in root.rglob("*") if not any(part.startswith(".") for part in path.relative_to(root).parts)
        ]
    return sorted(path for path in paths if path.suffix in suffixes and _fits(path))


def punch(files: Sequence[Path], count: int, *, kinds: Sequence[str] = KINDS, seed: int = 0) -> Iterator[Hole]:
    """At most `count` holes, the kinds in turn, each in a file chosen at random; files without a fit line are left."""
    chosen = random.Random(seed)  # noqa: S311 -- a repeatable sample, not a secret
    made = 0
    for attempt in range(count * 20):
        if made == count or not files:
            return
        path = chosen.choice(files)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        hole = _punch(path, text, kinds[(made + attempt // (count * 10)) % len(kinds)], chosen)
        if hole is not None:
            made += 1
            yield hole


def _fits(path: Path) -> bool:
    try:
        return 0 < path.stat().st_size <= LARGEST_BYTES
    except OSError:
        return False


def _punch(path: Path, text: str, kind: str, chosen: random.Random) -> Hole | None:
    lines = text.splitlines(keepends=True)
    fit = [number for number, line in enumerate(lines) if number > 2 and len(line.strip()) >= 8]
    if not fit:
        return None
    number = chosen.choice(fit)
    line = lines[number]
    body = line.rstrip("\r\n")
    indent = len(body) - len(body.lstrip())
    last = number + 1
    cut = indent
    if kind == "rest":
        cut = chosen.randint(indent + 3, len(body) - 3)
    elif kind == "block":
        while last < min(len(lines), number + BLOCK_LINES) and _indent(lines[last]) >= indent:
            last += 1
    taken = "".join([body[cut:], line[len(body) :], *lines[number + 1 : last]])
    expected = taken.rstrip("\r\n")
    ending = taken[len(expected) :]
    return Hole(path, kind, "".join(lines[:number]) + body[:cut], ending + "".join(lines[last:]), expected)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip()) if line.strip() else -1


def is_exact(shown: str, expected: str) -> bool:
    """The first line is right; trailing space does not count."""
    return shown.split("\n", 1)[0].rstrip() == expected.split("\n", 1)[0].rstrip()


def is_right_so_far(shown: str, expected: str) -> bool:
    """The first line is right as far as it goes; a suggestion may stop where the model is unsure."""
    return expected.split("\n", 1)[0].startswith(shown.split("\n", 1)[0].rstrip())


def edit_similarity(shown: str, expected: str) -> float:
    """1 minus the Levenshtein distance over the longer length; 1 is equal, 0 has nothing in common."""
    longest = max(len(shown), len(expected))
    return 1.0 if longest == 0 else 1 - levenshtein(shown, expected) / longest


def levenshtein(a: str, b: str) -> int:
    """Fewest insertions, deletions and replacements of characters that make `b` of `a`; O(len(a) len(b))."""
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (x != y)))
        previous = current
    return previous[-1]
