"""One plugin as the host knows it, and what makes a class a plugin."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from inkling.api import Plugin, Surface

GROUP = "inkling.plugins"
BUNDLED = "inkling-ls"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = {"server", "engine"}
"""Tables of inkling.toml that are not a plugin's."""


@dataclass(frozen=True, slots=True)
class Method:
    """A decorated method of a loaded plugin, bound."""

    surface: Surface
    call: Callable[..., Any]


@dataclass(eq=False)
class Entry:
    """A plugin as the host knows it. `state` is `ready` or `disabled`; `reason` and `detail` say why it is disabled."""

    name: str
    distribution: str
    point: EntryPoint
    plugin: Plugin | None = None
    methods: tuple[Method, ...] = ()
    state: str = "ready"
    reason: str = ""
    detail: str = ""
    failures: int = 0
    start: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it is asked for results."""
        return self.state == "ready"

    @property
    def version(self) -> str:
        """Of the package that it comes from."""
        return self.point.dist.version if self.point.dist is not None else ""

    def disable(self, reason: str, detail: str) -> None:
        """Ask it no more."""
        self.state, self.reason, self.detail = "disabled", reason, detail

    def enable(self) -> None:
        """Give it another chance."""
        if self.plugin is not None:
            self.state, self.reason, self.detail, self.failures = "ready", "", "", 0

    def of_kind(self, kind: str, language: str | None = None) -> list[Method]:
        """Its methods for a surface."""
        return [
            method
            for method in self.methods
            if method.surface.kind == kind
            and (language is None or not method.surface.languages or language in method.surface.languages)
        ]


class NotAPluginError(TypeError):
    """An entry point leads to something else; the message is for the user."""


def find() -> list[EntryPoint]:
    """The installed plugins' entry points: added ones by name, then the bundled ones."""

    def order(point: EntryPoint) -> tuple[bool, str]:
        return (point.dist is not None and point.dist.name == BUNDLED, point.name)

    return sorted(set(entry_points(group=GROUP)), key=order)


def is_name(name: str) -> bool:
    """Whether a plugin may have this name."""
    return bool(_NAME.fullmatch(name)) and name not in _RESERVED


def surfaces_of(entry: Entry, plugin_class: Any) -> list[tuple[str, Surface]]:
    """(attribute, surface) of the decorated methods; raises `NotAPluginError`."""
    if not isinstance(plugin_class, type) or not issubclass(plugin_class, Plugin):
        raise NotAPluginError("Its entry point is not a class derived from inkling.api.Plugin.")
    if getattr(plugin_class, "name", None) != entry.name:
        raise NotAPluginError(f'Its entry point is named "{entry.name}", the class itself is not.')
    if not is_dataclass(plugin_class.Settings):
        raise NotAPluginError("Its Settings is not a dataclass.")
    surfaces = []
    for name in dir(plugin_class):
        function = inspect.getattr_static(plugin_class, name)
        surface = getattr(function, "__inkling_surface__", None)
        if surface is None:
            continue
        if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            raise NotAPluginError(f'Its method "{name}" is not "async def".')
        surfaces.append((name, surface))
    return surfaces
