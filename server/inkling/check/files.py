"""Which files the arguments of `inkling check` mean."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from inkling.errors import InklingError
from inkling.text.file_kinds import language_of
from inkling.text.snapshot import Snapshot
from inkling.text.walk import Skipped, paths, read


def find_root(start: Path) -> Path:
    """The folder whose settings apply: the nearest that has some, else the repository's, else `start`."""
    for folder in (start, *start.parents):
        if (folder / "inkling.toml").is_file() or _has_table(folder / "pyproject.toml"):
            return folder
        if (folder / ".git").exists():
            return folder
    return start


def _has_table(path: Path) -> bool:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    tool = data.get("tool")
    return isinstance(tool, dict) and "inkling" in tool


def documents(arguments: Sequence[Path], hidden: Callable[[str], bool], largest: int) -> Iterator[Snapshot | Skipped]:
    """Each file once: folders without what git ignores; a file that is named is read also when git ignores it.

    What is hidden by settings is left out even then. Blocking. Raises InklingError for what is not there.
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
            if file not in seen and not hidden(file.as_uri()):
                seen.add(file)
                yield read(file, file.as_uri(), largest)


def placed(argument: Path) -> Path:
    """The absolute path that an argument means; links in it stay unless it climbs through `..`."""
    path = argument.absolute()
    return path.resolve() if ".." in path.parts else path


def from_text(text: str, name: str, root: Path) -> Snapshot:
    """Standard input as a document that is called `name`."""
    return Snapshot.of(text, uri=(root / name).absolute().as_uri(), language=language_of(name))
