"""What can be set, told by the settings dataclasses: a JSON schema for editors, a Markdown table for people.

`tables` maps a table's name in inkling.toml to its dataclass, such as `{"server": ServerSettings}`; plugins add their
`Settings` under their names.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.metadata
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from inkling.engine.settings import EngineSettings
from inkling.settings.build import describe, describe_bounds, fields_of, is_mapping, is_sequence, top_level, walk
from inkling.settings.server import ServerSettings
from inkling.settings.trust import MACHINE_TABLES, SHARED_TABLES


def known_tables(plugins: Mapping[str, type]) -> dict[str, type]:
    """The server's own tables, then the plugins', by name."""
    own: dict[str, type] = {"server": ServerSettings, "engine": EngineSettings}
    return own | {name: plugins[name] for name in sorted(plugins)}


def installed_plugins() -> dict[str, type]:
    """The `Settings` of every installed plugin by its name; one that fails to import is left out. Imports them all."""
    found: dict[str, type] = {}
    for entry in importlib.metadata.entry_points(group="inkling.plugins"):
        try:
            plugin = entry.load()
            found[plugin.name] = plugin.Settings
        except Exception:  # noqa: S112 - whatever a plugin raises is its own; the doctor tells it
            continue
    return found


def markdown_table(plugins: Mapping[str, type]) -> str:
    """One row per setting: dotted key, type, default, meaning; `plugins` maps names to `Settings` classes."""
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for name, cls in known_tables(plugins).items():
        for key, owner, field, annotation in _rows(cls, name):
            if field.metadata.get("top_level"):
                rows.append(f"| `[[{field.name}]]` | a list of tables | | {_doc(owner, field)} |")
                continue
            meaning = [_doc(owner, field)]
            low, high = field.metadata.get("min"), field.metadata.get("max")
            if low is not None or high is not None:
                meaning.append(f"({describe_bounds(low, high)})")
            if field.metadata.get("scope") == "user" or (
                name in SHARED_TABLES and key.split(".")[1] not in SHARED_TABLES[name]
            ):
                meaning.append("*Not from a workspace.*")
            elif field.metadata.get("scope") == "machine" or name in MACHINE_TABLES:
                meaning.append("*Not from an untrusted workspace.*")
            elif field.metadata.get("scope") == "path":
                meaning.append("*An untrusted workspace names one below its own folder.*")
            cells = [f"`{key}`", describe(annotation), _show_default(field), " ".join(filter(None, meaning))]
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _rows(cls: type, prefix: str) -> Iterator[tuple[str, type, dataclasses.Field[Any], Any]]:
    """`walk`, and below a table of tables the keys of each."""
    for row in walk(cls, prefix):
        yield row
        arguments = typing.get_args(row[3])
        if is_mapping(typing.get_origin(row[3])) and dataclasses.is_dataclass(arguments[1]):
            assert isinstance(arguments[1], type)
            yield from walk(arguments[1], f"{row[0]}.NAME")


def item_table(cls: type) -> str:
    """One row per key of an item of a list of tables: key, type, default, meaning."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, (field, annotation) in fields_of(cls).items():
        low, high = field.metadata.get("min"), field.metadata.get("max")
        bounds = f" ({describe_bounds(low, high)})" if low is not None or high is not None else ""
        cells = [f"`{name}`", describe(annotation), _show_default(field), _doc(cls, field) + bounds]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def embed_all(document: str, plugins: Mapping[str, type]) -> str:
    """`document` with every generated table in its place: all settings, and the keys of each `[[list]]` of tables.

    Raises ValueError for a document without any place.
    """
    tables = {(BEGIN, END): markdown_table(plugins)}
    for cls in known_tables(plugins).values():
        for name in top_level(cls):
            item = typing.get_args(fields_of(cls)[name][1])[0]
            tables[(f"<!-- [[{name}]]: begin -->", f"<!-- [[{name}]]: end -->")] = item_table(item)
    places = [marks for marks in tables if marks[0] in document]
    if not places:
        raise ValueError(f"the document needs {BEGIN} and {END}")
    for marks in places:
        document = embed_table(document, tables[marks], *marks)
    return document


BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def embed_table(document: str, table: str, first: str = BEGIN, last: str = END) -> str:
    """`document` with `table` between its marker lines. Raises ValueError when it has not exactly one pair."""
    before, begin, rest = document.partition(f"{first}\n")
    _, end, after = rest.partition(last)
    if not (begin and end) or first in after:
        raise ValueError(f"the document needs one {first} and one {last}")
    return f"{before}{begin}{table}{end}{after}"


def json_schema(plugins: Mapping[str, type]) -> dict[str, Any]:
    """JSON Schema (draft 7, which TOML editors know) of inkling.toml."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "inkling.toml",
        "type": "object",
        "properties": {name: _table_schema(name, cls) for name, cls in known_tables(plugins).items()}
        | {
            name: _field_schema(cls, *fields_of(cls)[name])
            for cls in known_tables(plugins).values()
            for name in top_level(cls)
        },
        "additionalProperties": False,
    }


def _table_schema(name: str, cls: type) -> dict[str, Any]:
    schema = _schema(cls)
    if name not in fields_of(cls):
        return schema
    # The array of tables `[[rule]]` is short for the list `rule` in the table `[rule]`.
    return {"anyOf": [schema, schema["properties"][name]]}


def _schema(annotation: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return {
            "type": "object",
            "properties": {
                name: _field_schema(annotation, field, kind)
                for name, (field, kind) in fields_of(annotation).items()
                if not field.metadata.get("top_level")
            },
            "additionalProperties": False,
        }
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return {"enum": list(arguments)}
    if is_sequence(origin):
        return {"type": "array", "items": _schema(arguments[0])}
    if is_mapping(origin):
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if arguments:
        return {"anyOf": [_schema(option) for option in arguments if option is not type(None)]}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [member.value for member in annotation]}
    return {"type": _JSON_TYPES[annotation]} if annotation in _JSON_TYPES else {}


def _field_schema(cls: type, field: dataclasses.Field[Any], annotation: Any) -> dict[str, Any]:
    schema = _schema(annotation)
    if field.metadata.get("merge") == "name":
        schema["items"]["required"] = ["name"]
    if doc := _doc(cls, field):
        schema["description"] = doc
    for ours, theirs in (("min", "minimum"), ("max", "maximum")):
        if ours in field.metadata:
            schema[theirs] = field.metadata[ours]
    if (
        field.default is not dataclasses.MISSING
        and isinstance(field.default, str | int | float)
        and field.default != ""
    ):
        schema["default"] = field.default
    return schema


@functools.cache
def _attribute_docs(cls: type) -> Mapping[str, str]:
    """Field name → the string literal below it in the class's source; empty where the source is not at hand."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    assert isinstance(definition, ast.ClassDef)
    docs: dict[str, str] = {}
    for statement, following in itertools.pairwise(definition.body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match following:
                case ast.Expr(ast.Constant(str() as text)):
                    docs[statement.target.id] = " ".join(text.split())
    return docs


def _doc(cls: type, field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("doc") or _attribute_docs(cls).get(field.name, ""))


def _show_default(field: dataclasses.Field[Any]) -> str:
    value: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    if value is None or value is dataclasses.MISSING or value == "" or value == () or value == [] or value == {}:
        return ""
    if isinstance(value, tuple | list) and len(value) > 4:
        return f"{len(value)} entries"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return _toml(value.value)
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
