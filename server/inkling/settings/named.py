"""Lists of named tables, such as `[[rule]]`: items of one name are one item, made of all layers."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from inkling.settings.build import Checker, by_name, construct, fields_of, nearest_line
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


def item_name(sources: Sequence[Source], problem: Problem) -> str:
    """What the named item is called that a problem is about; empty where it is about none, or has no name itself."""
    place = re.match(r"(?:\w+\.)?(\w+)\[(\d+)\]", problem.key)
    if place is None:
        return ""
    for source in sources:
        items = source.data.get(place[1]) if source.where == problem.where else None
        item = items[int(place[2])] if isinstance(items, list) and int(place[2]) < len(items) else None
        if isinstance(item, Mapping):
            return str(item.get("name", ""))
    return ""


def besides(source: Source, cls: type, clean: Mapping[str, Any], checker: Checker) -> Iterator[Problem]:
    """What else is wrong with the items that a layer's `checker` left out, on top of the `clean` layers below.

    A complaint about a key that is wrong by its type already, or that another layer wrote, is not made.
    """
    told = {problem.key for problem in checker.problems}
    for name, items in checker.spoilt.items():
        _, annotation = fields_of(cls)[name]
        below = {item["name"]: item for item in clean.get(name, ())}
        for item in items:
            under = below.get(item["name"], {})
            places = list(_places([source], name, item["name"]))
            for key, words in _complaints(construct(typing.get_args(annotation)[0], {**under, **item})):
                problem = _problem(places, key, words)
                if problem.key not in told and (not under or _top(key) in item):
                    yield problem


def _complaints(item: Any) -> list[tuple[str, str]]:
    complaints = getattr(item, "complaints", None)
    return list(complaints()) if complaints is not None else []


def _places(sources: Sequence[Source], field: str, name: str) -> Iterator[tuple[Source, str, Mapping[str, Any]]]:
    """Where an item is written, the layer with the last word first: the source, the item's dotted key, the item.

    A second one of the same name in one source counts for nothing.
    """
    for source in reversed(sources):
        items = source.data.get(field)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, Mapping) and item.get("name") == name:
                yield source, f"{field}[{index}]", item
                break


def _place(source: Source, key: str) -> str:
    line = source.lines.get(key)
    return source.where if line is None else f"{source.where}:{line}"


def _problem(places: Sequence[tuple[Source, str, Mapping[str, Any]]], key: str, words: str) -> Problem:
    """The complaint at the line of its key, or else of its item."""
    if not places:
        return Problem("bad-value", key, "", words)
    source, item, values = next((place for place in places if _top(key) in place[2]), places[0])
    dotted = f"{item}.{key}" if key else item
    message = by_name(f'"{dotted}" {words}', item, values.get("name"))
    return Problem("bad-value", dotted, source.where, message, nearest_line(source.lines, dotted))


def _top(key: str) -> str:
    return key.partition(".")[0].partition("[")[0]
