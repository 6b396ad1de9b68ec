"""Layers of settings and who gave each key: defaults < user < workspace < client."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from inkling.settings.build import Checker, Gate, construct, fields_of
from inkling.settings.problem import Problem, did_you_mean
from inkling.settings.trust import MACHINE_TABLES, workspace_gate

T = TypeVar("T")
Kind = Literal["user", "workspace", "client"]
_ORDER: Sequence[Kind] = ("user", "workspace", "client")


@dataclass(frozen=True, slots=True)
class Source:
    """One place that settings came from.

    `where` names it for the user: a path, or words such as `editor settings`. `trusted` matters for workspaces: what
    may run or reach out is taken from a trusted one only. `lines` maps dotted keys to line numbers from 1. A file
    that could not be read has empty `data` and says so in `problems`.
    """

    kind: Kind
    data: Mapping[str, Any]
    where: str
    trusted: bool = False
    lines: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """Merged settings. `tables` is untyped; `build` gives a table its type and is what reads should go through.

    `provenance` maps each dotted key to the `where` of the layer that had the last word.
    """

    sources: tuple[Source, ...]
    tables: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, str]
    problems: tuple[Problem, ...]
    is_installed: Callable[[str], bool]

    def build(self, name: str, cls: type[T]) -> tuple[T, list[Problem]]:
        """The table `name` as an instance of the dataclass `cls`.

        Each layer is judged by itself: a wrong or restricted value leaves what the layer below says. An array of
        tables `[[name]]` fills the field of that name.
        """
        clean: dict[str, Any] = {}
        problems: list[Problem] = []
        for source in self.sources:
            table = _as_table(name, source.data.get(name))
            if table is None:
                continue
            checker = Checker(source.where, source.lines, self._gate(source))
            if name in MACHINE_TABLES and source.kind == "workspace" and not source.trusted:
                checker.report(
                    "restricted",
                    name,
                    f"[{name}] is restricted: it decides what may run, so set it in your own settings or trust this "
                    "workspace.",
                )
            elif isinstance(table, Mapping):
                prefix = "" if isinstance(source.data[name], list) else name
                clean = _merge(cls, clean, checker.table(cls, table, prefix))
            else:
                checker.report("wrong-type", name, f'"{name}" must be a table.')
            problems += checker.problems
        return construct(cls, clean), problems

    def unknown_tables(self, known: Iterable[str]) -> list[Problem]:
        """A problem for each top-level key that belongs to nobody; `known` are the server's and plugins' tables."""
        known = set(known)
        return [
            Problem(
                "unknown-table",
                name,
                source.where,
                f'There is no setting "{name}".{did_you_mean(name, known)}',
                source.lines.get(name),
            )
            for source in self.sources
            for name in source.data
            if name not in known
        ]

    def _gate(self, source: Source) -> Gate:
        if source.kind != "workspace" or source.trusted:
            return lambda scope, value: ""
        return workspace_gate(self._allowed_models(), self.is_installed)

    def _allowed_models(self) -> list[str]:
        allowed: list[str] = []
        for source in self.sources:
            server = source.data.get("server")
            if isinstance(server, Mapping) and (source.kind != "workspace" or source.trusted):
                models = server.get("models")
                allowed += [name for name in models if isinstance(name, str)] if isinstance(models, list) else []
        return allowed


def load(sources: Iterable[Source], is_installed: Callable[[str], bool] | None = None) -> Loaded:
    """Merge the sources, lowest first within a kind as given. Never raises: bad parts are in `problems`.

    `is_installed` says whether a model id is in the user's catalog; the default looks into the hub cache on disk.
    """
    ordered = sorted(sources, key=lambda source: _ORDER.index(source.kind))
    tables: dict[str, Mapping[str, Any]] = {}
    provenance: dict[str, str] = {}
    for source in ordered:
        for name, value in source.data.items():
            table = _as_table(name, value)
            if isinstance(table, Mapping):
                tables[name] = _merge_raw(tables.get(name, {}), table)
                _note(provenance, table, name, source.where)
    problems = tuple(problem for source in ordered for problem in source.problems)
    return Loaded(tuple(ordered), tables, provenance, problems, is_installed or _is_cached)


def load_for(root: Path | None, client: Mapping[str, Any] | None = None, *, trusted: bool = False) -> Loaded:
    """The settings for a workspace folder: the user's file, the folder's files, and what the client sent."""
    from inkling.settings.files import read_source, user_file, workspace_files

    sources = [read_source(user_file(), "user")] if user_file().is_file() else []
    if root is not None:
        sources += [read_source(path, "workspace", trusted=trusted) for path in workspace_files(root)]
    if client:
        sources.append(Source("client", client, "editor settings", trusted=True))
    return load(sources)


def _is_cached(model: str) -> bool:
    from inkling.engine.models.catalog import is_installed

    return is_installed(model)


def _as_table(name: str, value: Any) -> Any:
    return {name: value} if isinstance(value, list) else value


def _merge(cls: type, low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Checked layers of one dataclass: nested tables merge key by key, lists as their field's `merge` says."""
    result = dict(low)
    for name, value in high.items():
        declared, annotation = fields_of(cls)[name]
        if name not in low:
            result[name] = value
        elif dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            result[name] = _merge(annotation, low[name], value)
        elif isinstance(value, Mapping) and isinstance(low[name], Mapping):
            result[name] = {**low[name], **value}
        elif isinstance(value, list) and declared.metadata.get("merge") == "append":
            result[name] = [*low[name], *value]
        else:
            result[name] = value
    return result


def _merge_raw(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(low)
    for name, value in high.items():
        below = low.get(name)
        result[name] = _merge_raw(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return result


def _note(provenance: dict[str, str], table: Mapping[str, Any], prefix: str, where: str) -> None:
    for name, value in table.items():
        key = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            _note(provenance, value, key, where)
        else:
            provenance[key] = where
