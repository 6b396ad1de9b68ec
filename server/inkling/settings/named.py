"""Lists of named tables, such as `[[rule]]`: items of one name are one item, made of all layers."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from inkling.settings.build import construct, fields_of
from inkling.settings.problem import Problem
from inkling.settings.source import Source

Items = list[dict[str, Any]]


def merge_named(cls: type, low: Sequence[Any], high: Sequence[Any], merge: Callable[..., dict[str, Any]]) -> Items:
    """The items of both layers in their order, those of one name merged by `merge`."""
    merged = {item["name"]: item for item in low}
    for item in high:
        merged[item["name"]] = merge(cls, merged.get(item["name"], {}), item)
    return list(merged.values())


def finish_named(
    sources: Sequence[Source], cls: type, clean: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """`clean` with its named items told where they came from; an item that complains about itself is left out."""
    result, problems = dict(clean), []
    for name, (field, annotation) in fields_of(cls).items():
        if field.metadata.get("merge") != "name" or name not in clean:
            continue
        item_class = typing.get_args(annotation)[0]
        origin = next((f.name for f in dataclasses.fields(item_class) if f.metadata.get("origin")), None)
        given = next((f.name for f in dataclasses.fields(item_class) if f.metadata.get("given")), None)
        kept = []
        for item in clean[name]:
            places = list(_places(sources, name, item["name"]))
            whole = item | ({origin: ", ".join(_place(source, key) for source, key, _ in places)} if origin else {})
            whole |= {given: tuple(item)} if given else {}
            found = [_problem(places, *complaint) for complaint in _complaints(construct(item_class, whole))]
            problems += found
            kept += [] if found else [whole]
        result[name] = kept
    return result, problems


def _complaints(item: Any) -> list[tuple[str, str]]:
    complaints = getattr(item, "complaints", None)
    return list(complaints()) if complaints is not None else []


def _places(sources: Sequence[Source], field: str, name: str) -> Iterator[tuple[Source, str, Mapping[str, Any]]]:
    """Where an item is written, the layer with the last word first: the source, the item's dotted key, the item."""
    for source in reversed(sources):
        items = source.data.get(field)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, Mapping) and item.get("name") == name:
                yield source, f"{field}[{index}]", item


def _place(source: Source, key: str) -> str:
    line = source.lines.get(key)
    return source.where if line is None else f"{source.where}:{line}"


def _problem(places: Sequence[tuple[Source, str, Mapping[str, Any]]], key: str, words: str) -> Problem:
    """The complaint at the line of its key, or else of its item."""
    if not places:
        return Problem("bad-value", key, "", words)
    top = key.partition(".")[0].partition("[")[0]
    source, item, _ = next((place for place in places if top in place[2]), places[0])
    dotted = f"{item}.{key}" if key else item
    parents = [dotted, f"{item}.{top}", item]
    line = next((source.lines[parent] for parent in parents if parent in source.lines), None)
    return Problem("bad-value", dotted, source.where, f'"{dotted}" {words}', line)
