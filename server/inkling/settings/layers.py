"""Layers of settings and who gave each key: defaults < user < workspace < client."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from inkling.settings.build import Checker, Gate, construct, fields_of, top_level
from inkling.settings.named import besides, finish_named, merge_named
from inkling.settings.problem import Problem, did_you_mean
from inkling.settings.source import Kind, Source
from inkling.settings.trust import MACHINE_TABLES, SHARED_TABLES, trusted_gate, workspace_gate

T = TypeVar("T")
_ORDER: Sequence[Kind] = ("user", "workspace", "client")


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
        tables `[[name]]` fills the field of that name, and so does one `[[field]]` of a field that is `top_level`.
        """
        clean: dict[str, Any] = {}
        problems: list[Problem] = []
        outside: type = cls
        for source in self.sources:
            table = _as_table(name, source.data.get(name))
            checker = Checker(source.where, source.lines, self._gate(source), source.folder)
            if arrays := {field: source.data[field] for field in top_level(outside) if field in source.data}:
                clean = _merge(cls, clean, checker.table(cls, arrays, ""))
            if table is None:
                problems += [*checker.problems, *besides(source, outside, clean, checker)]
                continue
            if name in MACHINE_TABLES and source.kind == "workspace" and not source.trusted:
                checker.report(
                    "restricted",
                    name,
                    f"[{name}] is restricted: it decides what may run, so set it in your own settings or trust this "
                    "workspace.",
                )
            elif isinstance(table, Mapping):
                if name in SHARED_TABLES and source.kind == "workspace":
                    table = _without_shared(name, table, checker)
                prefix = "" if isinstance(source.data[name], list) else name
                clean = _merge(cls, clean, checker.table(cls, table, prefix))
            else:
                checker.report("wrong-type", name, f'"{name}" must be a table.')
            problems += [*checker.problems, *besides(source, outside, clean, checker)]
        finished, complaints = finish_named(self.sources, outside, clean)
        return construct(cls, finished), list(dict.fromkeys(problems + complaints))

    @property
    def given(self) -> list[tuple[Mapping[str, Any], Path | None]]:
        """What each layer says and where it lies, lowest first: equal when nothing changed."""
        return [(source.data, source.folder) for source in self.sources]

    def unknown_tables(self, tables: Mapping[str, type | None]) -> list[Problem]:
        """A problem for each top-level key that belongs to nobody; `tables` are the server's and the plugins'.

        A plugin that was not imported has no class, and might be who an array of tables is for.
        """
        known = {*tables, *(field for cls in tables.values() for field in top_level(cls))}
        unsure = None in tables.values()
        return [
            Problem(
                "unknown-table",
                name,
                source.where,
                f'There is no setting "{name}".{did_you_mean(name, known)}',
                source.lines.get(name),
            )
            for source in self.sources
            for name, value in source.data.items()
            if name not in known and not (unsure and isinstance(value, list))
        ]

    def _gate(self, source: Source) -> Gate:
        if source.kind != "workspace":
            return lambda scope, value: ""
        if source.trusted:
            return trusted_gate
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
        sources.append(Source("client", client, "editor settings", trusted=True, folder=root))
    return load(sources)


def _is_cached(model: str) -> bool:
    from inkling.engine.models.catalog import is_installed

    return is_installed(model)


def _without_shared(name: str, table: Mapping[str, Any], checker: Checker) -> Mapping[str, Any]:
    """The keys that a workspace may set; a problem for each other one."""
    allowed = SHARED_TABLES[name]
    for key in table:
        if key not in allowed:
            message = f'"{name}.{key}" is restricted: all windows share the engine, so set it in your own settings.'
            checker.report("restricted", f"{name}.{key}", message)
    return {key: value for key, value in table.items() if key in allowed}


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
        elif isinstance(value, list) and declared.metadata.get("merge") == "name":
            result[name] = merge_named(typing.get_args(annotation)[0], low[name], value, _merge)
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
