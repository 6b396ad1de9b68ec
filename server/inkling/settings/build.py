"""Typed settings from untyped mappings: dataclasses whose every field has a default.

A class says what is valid by its annotations (`bool`, `int`, `float`, `str`, `Path`, `Literal`, string enums,
`X | None`, `list[X]`, `tuple[X, ...]`, `Mapping[str, X]`, `Any`, nested dataclasses) and by field metadata:

* `doc`: a sentence for the settings table (or write it as a string below the field);
* `min`, `max`: bounds of a number;
* `scope`: `user`, `machine`, `model` or `hiding`, see `inkling.settings.trust`; a `model` that is a relative folder
  (`./mine`) is taken from where its layer lies, and absolute from there on;
* `merge`: `append` when a list of a higher layer is added to the lower ones' instead of replacing them; `name` when its
  items are dataclasses with a field `name`, and items of one name are one item, merged key by key through the layers;
* `top_level`: a list of dataclasses that is also written as `[[<field>]]`, outside the plugin's table;
* `origin`: a string that the loader fills with the file and line that the item came from; nobody can set it.

An item of a list merged by name is used whole or not at all. Its class may have a method `complaints() -> Iterable of
(key, words)` for what types cannot say.

A class may name keys that people try and that are refused, with the reason, in a class variable `REFUSED`.

The work has two steps, so that each layer is judged by itself and a bad value falls back to the layer below:
`check` keeps the valid part of one mapping, `construct` makes an instance of merged valid parts.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from inkling.settings.problem import Problem, did_you_mean

T = TypeVar("T")
Gate = Callable[[str, Any], str]
"""(scope, value) → why this layer may not set it, or an empty string."""


def build(cls: type[T], mapping: Mapping[str, Any], where: str = "") -> tuple[T, list[Problem]]:
    """An instance of the dataclass `cls` from one mapping, and a problem for each key that could not be used."""
    checker = Checker(where)
    clean = checker.table(cls, mapping, "")
    return construct(cls, clean), checker.problems


class Checker:
    """Judges one layer's mapping against a dataclass; collects problems."""

    def __init__(
        self,
        where: str,
        lines: Mapping[str, int] | None = None,
        gate: Gate = lambda scope, value: "",
        folder: Path | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self.spoilt: dict[str, list[dict[str, Any]]] = {}
        """By field, the valid part of named items that were left out: what else is wrong with them is told at once."""
        self._where = where
        self._lines = lines or {}
        self._gate = gate
        self._folder = folder

    def report(self, reason: str, key: str, message: str) -> None:
        """Add one problem about `key`."""
        self.problems.append(Problem(reason, key, self._where, message, nearest_line(self._lines, key)))

    def table(self, cls: type, mapping: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        """The valid part of `mapping`, still in TOML's types, nested tables included."""
        known = fields_of(cls)
        clean: dict[str, Any] = {}
        for name, value in mapping.items():
            key = f"{prefix}.{name}" if prefix else str(name)
            if why := getattr(cls, "REFUSED", {}).get(name, ""):
                self.report("refused", key, f'"{key}" is refused: {why}')
                continue
            if name not in known:
                self.report("unknown-key", key, f'There is no setting "{key}".{did_you_mean(str(name), known)}')
                continue
            field, annotation = known[name]
            if value is None and not _takes(annotation, None):
                continue  # clients send null for "not set"
            scope = field.metadata.get("scope")
            if scope == "model":
                value = self._placed(value)  # what is judged is what will be loaded
            if scope and (why := self._gate(scope, value)):
                self.report("restricted", key, f'"{key}" is restricted: {why}')
                continue
            count = len(self.problems)
            fitting = self._fit(annotation, value, key, field.metadata)
            if fitting is not _BAD:
                clean[name] = fitting
            elif len(self.problems) == count:
                self.report("wrong-type", key, misfit(key, annotation, value))
        return clean

    def _placed(self, model: Any) -> Any:
        """A model's folder as a plain path, a relative one from `folder` on: the engine, which is shared, stands in no
        workspace.
        """
        if not isinstance(model, str) or not re.match(r"[/~]|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\", model):
            return model
        if model.startswith("."):
            return model if self._folder is None else os.path.normpath(self._folder / model)
        # `~` stays where it can: patterns in `server.models` may begin with it
        return os.path.normpath(Path(model).expanduser() if ".." in Path(model).parts else model)

    def _fit(self, annotation: Any, value: Any, key: str, metadata: Mapping[str, Any]) -> Any:
        """`value` without its invalid parts, or `_BAD`."""
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            return self.table(annotation, value, key) if isinstance(value, Mapping) else _BAD
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (Union, types.UnionType):
            for option in arguments:
                if _takes(option, value):
                    return self._fit(option, value, key, metadata)
            return _BAD
        if is_sequence(origin):
            if not isinstance(value, list | tuple):
                return _BAD
            fit = self._fit_named if metadata.get("merge") == "name" else self._fit_list
            return fit(arguments[0], value, key, metadata)
        if is_mapping(origin):
            if not isinstance(value, Mapping):
                return _BAD
            fitted = {
                name: self._fit_item(arguments[1], item, f"{key}.{name}", metadata) for name, item in value.items()
            }
            return {name: item for name, item in fitted.items() if item is not _BAD}
        if not _takes(annotation, value):
            return _BAD
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = metadata.get("min"), metadata.get("max")
            if (low is not None and value < low) or (high is not None and value > high):
                self.report("out-of-range", key, f'"{key}" must be {describe_bounds(low, high)}, not {value}.')
                return _BAD
        return value

    def _fit_list(self, item: Any, values: Sequence[Any], key: str, metadata: Mapping[str, Any]) -> list[Any]:
        result: list[Any] = []
        for index, value in enumerate(values):
            count = len(self.problems)
            if metadata.get("scope") == "hiding" and (why := self._gate("hiding", value)):
                self.report("restricted", f"{key}[{index}]", f'"{key}[{index}]" is restricted: {why}')
                continue
            fitting = self._fit_item(item, value, f"{key}[{index}]", metadata)
            # A rule whose model is refused must not run with another one.
            refused = any(problem.reason == "restricted" for problem in self.problems[count:])
            if fitting is not _BAD and not refused:
                result.append(fitting)
        return result

    def _fit_named(self, item: Any, values: Sequence[Any], key: str, metadata: Mapping[str, Any]) -> list[Any]:
        """The items without any problem; each needs a name of its own, and of two the first has it."""
        result: list[Any] = []
        names: dict[str, int] = {}
        for index, value in enumerate(values):
            count, place = len(self.problems), f"{key}[{index}]"
            name = value.get("name") if isinstance(value, Mapping) else None
            taken = isinstance(name, str) and names.setdefault(name, index) != index
            if isinstance(value, Mapping) and (not isinstance(name, str) or not name):
                self.report("no-name", place, f'"{place}" needs a name: name = "…".')
            elif taken:
                self.report("name-taken", f"{place}.name", self._name_taken(str(name), f"{key}[{names[str(name)]}]"))
            fitting = self._fit_item(item, value, place, metadata)
            if fitting is not _BAD and len(self.problems) == count:
                result.append(fitting)
                continue
            self.problems[count:] = [
                dataclasses.replace(problem, message=by_name(problem.message, place, name))
                for problem in self.problems[count:]
            ]
            if isinstance(fitting, dict) and name and fitting.get("name") == name and not taken:
                self.spoilt.setdefault(key.rpartition(".")[2], []).append(fitting)
        return result

    def _name_taken(self, name: str, first: str) -> str:
        line = nearest_line(self._lines, first)
        where = f'"{first}"' if line is None else f"on line {line}"
        return f'A second "{name}" is left out; the first is {where}. Give this one another name.'

    def _fit_item(self, annotation: Any, value: Any, key: str, metadata: Mapping[str, Any]) -> Any:
        count = len(self.problems)
        fitting = self._fit(annotation, value, key, metadata)
        if fitting is _BAD and len(self.problems) == count:
            self.report("wrong-type", key, misfit(key, annotation, value))
        return fitting


_BAD = object()


def by_name(message: str, place: str, name: Any) -> str:
    """A message with an item called by its name and not by its position: `rule[tone].model`."""
    known = isinstance(name, str) and name
    return message.replace(f'"{place}.', f'"{place.rpartition("[")[0]}[{str(name)[:64]}].') if known else message


def nearest_line(lines: Mapping[str, int], key: str) -> int | None:
    """The line of a dotted key, or of what holds it: an inline table's keys have no line of their own."""
    while key and key not in lines:
        key = key[: max(0, key.rfind("."), key.rfind("["))]
    return lines.get(key)


def misfit(key: str, annotation: Any, value: Any) -> str:
    """Words for a value of the wrong type, with the nearest choice where there are choices."""
    choices = typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()
    near = did_you_mean(value, map(str, choices)) if isinstance(value, str) and choices else ""
    return f'"{key}" must be {describe(annotation)}, not {describe_value(value)}.{near}'


def construct(cls: type[T], clean: Mapping[str, Any]) -> T:
    """An instance from values that `Checker.table` let through."""
    untyped: type = cls
    known = fields_of(untyped)
    return cls(**{name: _convert(known[name][1], value) if name in known else value for name, value in clean.items()})


def _convert(annotation: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return construct(annotation, value)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return _convert(next(option for option in arguments if _takes(option, value)), value)
    if is_sequence(origin):
        items = [_convert(arguments[0], item) for item in value]
        return items if origin in (list, Sequence) else origin(items)
    if is_mapping(origin):
        return {name: _convert(arguments[1], item) for name, item in value.items()}
    if annotation is Path:
        return Path(value).expanduser()
    if annotation is float or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return annotation(value)
    return value


def _takes(annotation: Any, value: Any) -> bool:
    """Whether the value's outer type fits; bounds and inner values are judged elsewhere."""
    if annotation is Any:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    if dataclasses.is_dataclass(annotation):
        return isinstance(value, Mapping)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return any(_takes(option, value) for option in arguments)
    if is_sequence(origin):
        return isinstance(value, list | tuple)
    if is_mapping(origin):
        return isinstance(value, Mapping)
    if annotation is bool or isinstance(value, bool):
        return annotation is bool and isinstance(value, bool)
    if annotation is float:
        return isinstance(value, int | float)
    if annotation is Path:
        return isinstance(value, str)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return any(value == member.value for member in annotation)
    return isinstance(value, annotation)


def is_sequence(origin: Any) -> bool:
    """Whether the origin of an annotation is one that a TOML array fills."""
    return origin in (list, tuple, frozenset, set, Sequence)


def is_mapping(origin: Any) -> bool:
    """Whether the origin of an annotation is one that a TOML table with free keys fills."""
    return origin in (dict, Mapping)


@functools.cache
def fields_of(cls: type) -> Mapping[str, tuple[dataclasses.Field[Any], Any]]:
    """Each field of a settings dataclass that can be set, and its resolved annotation, in order."""
    hints = typing.get_type_hints(cls, localns=dict(vars(cls)))
    return {
        field.name: (field, hints[field.name])
        for field in dataclasses.fields(cls)
        if field.init and not field.metadata.get("origin") and not field.metadata.get("given")
    }


def top_level(cls: type | None) -> list[str]:
    """The names of the fields that are written as `[[name]]` outside the class's own table."""
    return (
        [] if cls is None else [name for name, (field, _) in fields_of(cls).items() if field.metadata.get("top_level")]
    )


def walk(cls: type, prefix: str = "") -> Iterator[tuple[str, type, dataclasses.Field[Any], Any]]:
    """(dotted key, owning dataclass, field, annotation) of every field, nested dataclasses opened."""
    for name, (field, annotation) in fields_of(cls).items():
        key = f"{prefix}.{name}" if prefix else name
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            yield from walk(annotation, key)
        else:
            yield key, cls, field, annotation


def describe(annotation: Any) -> str:
    """A type in the words of TOML: `a list of strings`, `one of "a", "b"`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(_quote(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in arguments if option is not type(None))
    if is_sequence(origin):
        return "a list, each item " + describe(arguments[0])
    if is_mapping(origin):
        return "a table, each value " + describe(arguments[1])
    if dataclasses.is_dataclass(annotation):
        return "a table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(_quote(member.value) for member in annotation)
    return _WORDS.get(annotation, str(annotation))


def describe_value(value: Any) -> str:
    """A short form of what the user gave, safe to show in one line."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return _quote(value if not isinstance(value, str) or len(value) <= 60 else value[:57] + "…")


def describe_bounds(low: float | None, high: float | None) -> str:
    """`at least 1`, `at most 9` or `from 1 to 9`."""
    if low is not None and high is not None:
        return f"from {low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"


def _quote(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Path: "a path",
    Any: "anything",
}
