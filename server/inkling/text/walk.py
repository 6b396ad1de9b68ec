"""The text files below some folders, as snapshots: without what git ignores, and reasons for what cannot be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inkling.text.file_kinds import language_of
from inkling.text.snapshot import Snapshot

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

SNIFFED = 8192
"""Bytes at the start of a file in which a zero byte means that it is no text."""
_NEVER = frozenset([".git", ".hg", ".svn", ".jj"])


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out: `reason` is `too-large`, `binary`, `not-utf-8`, `unreadable` or `hidden`; `detail`
    is for people.

    What git ignores is not told of, nor what is hidden and was not named itself.
    """

    uri: str
    reason: str
    detail: str


def walk(folders: Sequence[Path], hidden: Callable[[str], bool], largest: int) -> Iterator[Snapshot | Skipped]:
    """Every file once, in the order of the folders and of names. Blocking: not for the event loop.

    `hidden(uri)` leaves a file out before it is opened. `largest` is in characters; a UTF-8 file of more than four
    times as many bytes is not read at all. Links are not followed, so that the walk ends and stays below its folders.
    """
    seen: set[Path] = set()
    for folder in folders:
        for path in paths(folder):
            if path in seen:
                continue
            seen.add(path)
            uri = path.as_uri()
            if not hidden(uri):
                yield read(path, uri, largest)


def paths(folder: Path) -> Iterator[Path]:
    """The files below a folder that git would not ignore, by its `.gitignore` files and `.git/info/exclude`."""
    folder = folder.absolute()
    yield from _below(folder, [*_enclosing(folder), _Ignore(folder, folder / ".git" / "info" / "exclude")])


def read(path: Path, uri: str, largest: int) -> Snapshot | Skipped:
    """A file's text, or why there is none."""
    try:
        # a named pipe must not keep us waiting for its other end
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return Skipped(uri, "unreadable", "It is no regular file.")
            if status.st_size > 4 * largest:
                return Skipped(uri, "too-large", f"It has over {largest:,} characters.")
            head = file.read(SNIFFED)
            if b"\0" in head:
                return Skipped(uri, "binary", "It is no text file.")
            data = head + file.read(4 * largest)
    except OSError as error:
        return Skipped(uri, "unreadable", f"It cannot be read: {type(error).__name__}.")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        return Skipped(uri, "not-utf-8", "It is not in UTF-8.")
    if len(text) > largest:
        return Skipped(uri, "too-large", f"It has over {largest:,} characters.")
    return Snapshot.of(text, uri=uri, language=language_of(path))


class _Ignore:
    """One file of patterns, which are relative to `base`."""

    def __init__(self, base: Path, file: Path) -> None:
        from pathspec import GitIgnoreSpec

        self._base = base
        self._spec: GitIgnoreSpec | None = None
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            self._spec = GitIgnoreSpec.from_lines(lines)
        except (OSError, ValueError):
            pass  # no such file, or one that git itself would not understand

    def verdict(self, path: Path, is_folder: bool) -> bool | None:
        """Ignored, let in again, or not spoken of."""
        if self._spec is None:
            return None
        name = path.relative_to(self._base).as_posix() + ("/" if is_folder else "")
        verdict: bool | None = self._spec.check_file(name).include
        return verdict


def _enclosing(folder: Path) -> list[_Ignore]:
    """The ignore files above a folder, when it lies inside a repository."""
    above = []
    if not (folder / ".git").exists():
        for parent in folder.parents:
            above.append(_Ignore(parent, parent / ".gitignore"))
            if (parent / ".git").exists():
                return [_Ignore(parent, parent / ".git" / "info" / "exclude"), *reversed(above)]
    return []


def _below(folder: Path, ignores: list[_Ignore]) -> Iterator[Path]:
    ignores = [*ignores, _Ignore(folder, folder / ".gitignore")]
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        is_folder = entry.is_dir(follow_symlinks=False)
        path = folder / entry.name
        if entry.name in _NEVER or entry.is_symlink() or _ignored(path, is_folder, ignores):
            continue
        if is_folder:
            yield from _below(path, ignores)
        elif entry.is_file(follow_symlinks=False):
            yield path


def _ignored(path: Path, is_folder: bool, ignores: Sequence[_Ignore]) -> bool:
    """The nearest file of patterns that speaks of it decides."""
    for ignore in reversed(ignores):
        verdict = ignore.verdict(path, is_folder)
        if verdict is not None:
            return verdict
    return False
