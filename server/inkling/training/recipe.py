"""Load a recipe: one TOML file into one frozen dataclass, with errors that name the file, the key and the fix.

The dataclass is the schema. Supported field types: ``str``, ``int``, ``float``, ``bool``, ``Path``, ``Literal``,
``tuple[T, ...]``, ``T | None`` and nested dataclasses (TOML tables). A dataclass may check its own values in
``__post_init__`` by raising ``ValueError``. Relative paths are relative to the recipe's folder.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from inkling.training.errors import TrainingError

T = TypeVar("T")


class RecipeError(TrainingError):
    """A recipe that cannot be used as it stands."""


def load_recipe(path: Path, schema: type[T], overrides: Mapping[str, str] | None = None) -> T:
    """Read ``path`` as an instance of the dataclass ``schema``.

    ``overrides`` are ``key=value`` settings from the command line: dotted keys reach into tables
    (``model.layers``), values are TOML, and what is not TOML is taken as a plain string.
    Raises RecipeError, which tells of all mistakes at once.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe. Name a TOML file such as models/recipes/causal.toml.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 text (byte {error.start}). A recipe is a TOML file.") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: not valid TOML: {error}.") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from None
    for key, value in (overrides or {}).items():
        _set(table, key, value)
    mistakes: list[str] = []
    recipe = _build(schema, table, path, "", mistakes)
    if recipe is None:
        raise RecipeError(_told(path, mistakes))
    return recipe


def parse_override(text: str) -> tuple[str, str]:
    """Split a ``--set key=value`` argument. Raises RecipeError when there is no ``=``."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise RecipeError(f"--set {text}: expected key=value, for example --set steps=100.")
    return key.strip(), value.strip()


def fingerprint(recipe: Any, *, ignore: tuple[str, ...] = ()) -> str:
    """A short hash of a recipe's values, to tell whether a checkpoint was made by the same recipe.

    ``ignore`` names top-level fields that may change between a run and its resumption.
    """
    fields = {key: value for key, value in dataclasses.asdict(recipe).items() if key not in ignore}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _set(table: dict[str, Any], key: str, value: str) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        child = table.setdefault(parent, {})
        if not isinstance(child, dict):
            raise RecipeError(f"--set {key}: {parent} is a value, not a table.")
        table = child
    try:
        table[last] = tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        table[last] = value


def _told(path: Path, mistakes: list[str]) -> str:
    if len(mistakes) == 1:
        return f"{path}: {mistakes[0]}"
    return f"{path}: {len(mistakes)} mistakes.\n" + "\n".join(f"  {mistake}" for mistake in mistakes)


def _build(schema: type[T], table: dict[str, Any], path: Path, prefix: str, mistakes: list[str]) -> T | None:
    """The table as `schema`; what is wrong is added to `mistakes`, and then there is nothing to return."""
    before = len(mistakes)
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}  # type: ignore[arg-type]
    for key in sorted(table.keys() - fields.keys()):
        close = difflib.get_close_matches(key, fields, n=1)
        hint = f"did you mean {prefix}{close[0]}?" if close else f"known keys: {', '.join(sorted(fields))}."
        mistakes.append(f"unknown key {prefix}{key}; {hint}")
    known = [key for key in table if key in fields]
    values = {key: _convert(hints[key], table[key], path, prefix + key, mistakes) for key in known}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            mistakes.append(f"{prefix}{name} is missing ({_describe(hints[name])}).")
    if len(mistakes) > before:
        return None
    try:
        return schema(**values)
    except ValueError as error:
        mistakes.append(f"{prefix}{error}")
        return None


def _convert(kind: Any, value: Any, path: Path, key: str, mistakes: list[str]) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [option for option in arguments if option is not type(None)]
        return _convert(inner[0], value, path, key, mistakes)
    if origin is typing.Literal:
        if value not in arguments:
            close = difflib.get_close_matches(str(value), [str(option) for option in arguments], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            mistakes.append(f"{key} must be one of {', '.join(map(repr, arguments))}, not {value!r}.{hint}")
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, path, f"{key}[{i}]", mistakes) for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return _build(kind, value, path, f"{key}.", mistakes)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return path.parent.joinpath(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    mistakes.append(f"{key} must be {_describe(kind)}, not {value!r}.")
    return None


def _describe(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _describe(next(option for option in arguments if option is not type(None)))
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is tuple:
        return f"a list of {_describe(arguments[0]).removeprefix('a ')}s"
    if dataclasses.is_dataclass(kind):
        return "a table"
    return {
        str: "a string",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        Path: "a path",
    }.get(kind, str(kind))
