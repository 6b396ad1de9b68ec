"""Which files the arguments of `inkling check` mean."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from inkling.errors import InklingError
from inkling.text.file_kinds import language_of
from inkling.text.snapshot import Snapshot
from inkling.text.walk import Skipped, paths, read

HIDDEN = "is one of the files that server.exclude or server.secret_files keeps from every model, so it was not read."


def find_root(named: Sequence[Path]) -> Path:
    """The folder whose settings apply to these files and folders; to none, those of the working folder.

    The working folder's, where all of it lies below those; else the nearest above all of it, or the working folder's
    where there are none.
    """
    here = _root_above(Path.cwd())
    folders = [path if path.is_dir() else path.parent for path in map(placed, named)]
    if not folders or (_has_settings(here) and all(folder.is_relative_to(here) for folder in folders)):
        return here
    try:
        there = _root_above(Path(os.path.commonpath(folders)))
    except ValueError:  # on two drives
        return here
    return here if _has_settings(here) and not _has_settings(there) else there


def _root_above(start: Path) -> Path:
    """The nearest folder with settings, else the repository's, else `start`."""
    for folder in (start, *start.parents):
        if _has_settings(folder) or (folder / ".git").exists():
            return folder
    return start


def _has_settings(folder: Path) -> bool:
    return (folder / "inkling.toml").is_file() or _has_table(folder / "pyproject.toml")


def _has_table(path: Path) -> bool:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    tool = data.get("tool")
    return isinstance(tool, dict) and "inkling" in tool


def documents(arguments: Sequence[Path], hidden: Callable[[str], bool], largest: int) -> Iterator[Snapshot | Skipped]:
    """Each file once: folders without what git ignores; a file that is named is read also when git ignores it.

    What is hidden by settings is left out even then, and told. Blocking. Raises InklingError for what is not there.
    """
    seen: set[Path] = set()
    for argument in arguments:
        path = placed(argument)
        if path.is_dir():
            found = paths(path)
        elif path.exists():
            found = iter([path])
        else:
            raise InklingError("no-file", f"{argument} is not there.", "Name files or folders.")
        for file in found:
            if file in seen:
                continue
            seen.add(file)
            if not hidden(file.as_uri()):
                yield read(file, file.as_uri(), largest)
            elif file == path:
                yield Skipped(file.as_uri(), "hidden", HIDDEN)


def placed(argument: Path) -> Path:
    """The absolute path that an argument means; links in it stay unless it climbs through `..`."""
    path = argument.absolute()
    return path.resolve() if ".." in path.parts else path


def repository(start: Path) -> Path:
    """The top of the repository that a folder is in, else the folder."""
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start)


def from_text(text: str, name: str, root: Path) -> Snapshot:
    """Standard input as a document that is called `name`."""
    return Snapshot.of(text, uri=(root / name).absolute().as_uri(), language=language_of(name))
