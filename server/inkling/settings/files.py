"""Settings files: where they are, reading them with line numbers, changing one key."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from inkling.errors import InklingError
from inkling.settings.problem import Problem
from inkling.settings.source import Kind, Source

if TYPE_CHECKING:
    from tomlkit.items import Table

WORKSPACE_FILE = "inkling.toml"
MAX_FILE_BYTES = 1_000_000
"""A settings file above this size is a mistake, and reading it would block."""
_SEARCHED = 16_000
"""Characters of a file in which a mistake without a line is looked for by reading parts of it again."""


def user_file() -> Path:
    """The user's own settings file; the environment variable INKLING_CONFIG names another."""
    if path := os.environ.get("INKLING_CONFIG"):
        return Path(path).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir("inkling", appauthor=False)) / "inkling.toml"


def workspace_files(root: Path) -> list[Path]:
    """The settings files of a workspace folder that exist, weakest first."""
    return [path for name in ("pyproject.toml", WORKSPACE_FILE) if (path := root / name).is_file()]


def read_source(path: Path, kind: Kind, *, trusted: bool = False) -> Source:
    """Read one TOML file. Never raises: what cannot be read has empty data and one problem with its line."""
    where, text = str(path), ""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise OSError(f"it is larger than {MAX_FILE_BYTES // 1_000_000} MB")
        text = path.read_bytes().decode("utf-8-sig")
        data: Any = tomllib.loads(text)
        lines = line_numbers(text)
        if path.name == "pyproject.toml":
            data, lines = _tool_table(data, lines)
        if not isinstance(data, Mapping):
            raise ValueError("tool.inkling is not a table")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is nested too deeply"
        message = f"These settings could not be read: {reason}. None of this file's settings apply."
        problem = Problem("unreadable", "", where, message, _line_of(error, text))
        return Source(kind, {}, where, trusted, problems=(problem,))
    return Source(kind, data, where, trusted, lines, folder=path.absolute().parent)


def _line_of(error: Exception, text: str) -> int | None:
    """The line of a mistake. What has no end is only missed at the end of the text: there, where it seems to begin."""
    if told := re.search(r"at line (\d+)", str(error)):
        return int(told[1])
    if not isinstance(error, tomllib.TOMLDecodeError) or len(text) > _SEARCHED:
        return None
    rows, starts = text.split("\n"), sorted(set(line_numbers(text).values()))

    def broken_before(line: int) -> bool:
        try:
            tomllib.loads("\n".join(rows[: line - 1]))
        except (ValueError, RecursionError):
            return True
        return False

    return starts[max(0, bisect_left(starts, True, key=broken_before) - 1)] if starts else len(rows)


def _tool_table(data: Mapping[str, Any], lines: Mapping[str, int]) -> tuple[Any, dict[str, int]]:
    tool = data.get("tool")
    start = "tool.inkling."
    inner = {key.removeprefix(start): line for key, line in lines.items() if key.startswith(start)}
    return (tool.get("inkling", {}) if isinstance(tool, Mapping) else {}), inner


_TABLE = re.compile(r"\s*(\[{1,2})\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")


def line_numbers(text: str) -> dict[str, int]:
    """Dotted key → line, from 1, of valid TOML; array tables as `rule[0]`.

    tomllib keeps no positions. This scan reads headers and keys at line starts; inside a multi-line value it may note
    a key that is none, which nobody asks for, and the first mention of a key wins.
    """
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if header := _TABLE.match(line.rstrip("\r")):
            name = _bare(header[2])
            for parent in sorted(counts, key=len, reverse=True):
                if name.startswith(f"{parent}."):
                    name = f"{parent}[{counts[parent] - 1}]{name[len(parent) :]}"
                    break
            if header[1] == "[[":
                index = counts[name] = counts.get(name, 0) + 1
                lines.setdefault(name, number)
                name = f"{name}[{index - 1}]"
            table = name
            lines.setdefault(table, number)
        elif assignment := _KEY.match(line):
            key = f"{table}.{_bare(assignment[1])}" if table else _bare(assignment[1])
            lines.setdefault(key, number)
    return lines


def _bare(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def change_setting(root: Path, key: str, value: Any) -> Path:
    """`change_file` on the inkling.toml of a workspace folder."""
    return change_file(root / WORKSPACE_FILE, key, value)


def change_file(path: Path, key: str, value: Any) -> Path:
    """Set the dotted `key` in a settings file; returns the file, made if missing.

    Comments, layout and a byte order mark are kept. A list is appended to (without repeating an entry) when `value`
    is one item or a list. A part `rule[tone]` is the table `[[rule]]` whose name is `tone`, made when missing. The
    file is replaced at once or not at all. Raises InklingError when the file is no valid TOML, the key crosses a value
    that is no table, or the disk refuses.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = path.resolve()
    parts = key.split(".")
    if not all(parts):
        raise InklingError("bad-setting", f'"{key}" is not a setting\'s name.')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes().decode("utf-8") if path.exists() else ""
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        document = tomlkit.parse(text.removeprefix(mark))
        table: Any = document
        for part in parts[:-1]:
            table = _descend(table, part, key)
        _put(table, parts[-1], value)
        _replace(path, mark + tomlkit.dumps(document))
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise InklingError(
            "settings-unreadable", f"{path} is not valid TOML, so nothing was changed in it.", str(error)
        ) from error
    except OSError as error:
        raise InklingError(
            "settings-unwritable", f"{path} could not be written: {error.strerror}.", f"Set {key} there yourself."
        ) from error
    return path


def _descend(table: Any, part: str, key: str) -> Table:
    import tomlkit

    if (named := re.fullmatch(r"([^\[\]]+)\[([^\[\]]+)\]", part)) is not None:
        return _item(table, named[1], named[2], key)
    if part not in table:
        table[part] = tomlkit.table()
    if not isinstance(table[part], Mapping):
        raise InklingError("bad-setting", f'"{key}" cannot be set, since "{part}" is not a table.')
    inner: Table = table[part]
    return inner


def _item(table: Any, array: str, name: str, key: str) -> Table:
    """The item of a list of tables that has this name."""
    import tomlkit

    if array not in table:
        table[array] = tomlkit.aot()
    items: Any = table[array]
    if not isinstance(items, list):
        raise InklingError("bad-setting", f'"{key}" cannot be set, since "{array}" is not a list of tables.')
    for item in items:
        if isinstance(item, Mapping) and item.get("name") == name:
            return cast("Table", item)
    added: Any = tomlkit.table() if isinstance(items, tomlkit.items.AoT) else tomlkit.inline_table()
    added["name"] = name
    items.append(added)
    return cast("Table", items[-1])


def _put(table: Any, name: str, value: Any) -> None:
    old = table.get(name)
    if isinstance(old, list):
        for item in value if isinstance(value, list | tuple) else [value]:
            if item not in old:
                old.append(item)
    else:
        table[name] = list(value) if isinstance(value, tuple) else value


def _replace(path: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            Path(temporary).chmod(path.stat().st_mode & 0o777)
        else:
            Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
