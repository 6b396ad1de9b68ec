"""Where settings come from in a session, and who is told when they change.

Layers: the user's file < the workspace's files < what the client sends, in `initializationOptions`, in reply to
`workspace/configuration` or with `didChangeConfiguration`: the tables of inkling.toml under the section `inkling`.
The option `workspaceTrusted` of `initializationOptions` (and the notification `inkling/trustChanged`) lifts the
restrictions on the workspace's own files; without it a workspace is not trusted. It is the editor's word, not a
setting: in a reply or a change, which may come out of the workspace's own editor settings, it says nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from inkling.engine.settings import EngineSettings, engine_problems
from inkling.settings import Loaded, Problem, ServerSettings, Source, load, read_source, user_file, workspace_files
from inkling.settings.exclusion import in_folders

T = TypeVar("T")


class Configuration:
    """The settings in force. `roots` are the workspace's folders on this machine, first one first."""

    def __init__(self) -> None:
        self.roots: list[Path] = []
        self.trusted = False
        self.client: Mapping[str, Any] = {}
        self.server = ServerSettings()
        self.engine = EngineSettings()
        self.generation = 0
        """Grows with each change."""
        self._user: list[Source] = []
        self._workspace: list[Source] = []
        self._loaded: Loaded = load([])
        self._loaded_trusted = False
        self._told: set[tuple[str, str, str]] = set()

    def set_client(self, data: Any) -> None:
        """Take what the client sent; anything but an object counts as nothing, and so does a word about trust."""
        settings = dict(data) if isinstance(data, Mapping) else {}
        settings.pop("workspaceTrusted", None)
        self.client = settings

    def set_initial(self, options: Any) -> None:
        """Take `initializationOptions`, which alone among the settings may say that the workspace is trusted."""
        self.set_client(options)
        self.trusted = isinstance(options, Mapping) and options.get("workspaceTrusted") is True

    def read_user_file(self) -> None:
        """Read the user's file alone: it is small, and says which plugins may load."""
        path = user_file()
        self._user = [read_source(path, "user")] if path.is_file() else []
        self._merge()

    async def reload(self) -> None:
        """Read all files again, off the event loop."""
        self._user, self._workspace = await asyncio.to_thread(self._read)
        self._merge()

    def _read(self) -> tuple[list[Source], list[Source]]:
        path = user_file()
        user = [read_source(path, "user")] if path.is_file() else []
        workspace = [
            read_source(file, "workspace", trusted=self.trusted)
            for root in self.roots
            for file in workspace_files(root)
        ]
        return user, workspace

    def _merge(self) -> None:
        root = self.roots[0] if self.roots else None
        client = [Source("client", self.client, "editor settings", trusted=True, folder=root)] if self.client else []
        loaded = load([*self._user, *self._workspace, *client])
        if (loaded.given, self.trusted) != (self._loaded.given, self._loaded_trusted):
            self.generation += 1
        self._loaded, self._loaded_trusted = loaded, self.trusted
        server, _ = self._loaded.build("server", ServerSettings)
        self.server = replace(server, exclude=in_folders(server.exclude, self.roots))
        # The engine is shared by all windows: of it a repository that is trusted names remotes and routes alone.
        self.engine, _ = self._loaded.build("engine", EngineSettings)

    def of_plugin(self, name: str, settings_class: type[T]) -> T:
        """A plugin's table in its own type."""
        return self._loaded.build(name, settings_class)[0]

    def new_problems(self, plugin_tables: Mapping[str, type | None]) -> list[Problem]:
        """Every problem that has not been told yet; a plugin that was not imported has a table without a class."""
        tables = {"server": ServerSettings, "engine": EngineSettings, **plugin_tables}
        found = list(self._loaded.problems)
        found += self._loaded.unknown_tables(tables)
        for name, settings_class in tables.items():
            if settings_class is not None:
                found += self._loaded.build(name, settings_class)[1]
        found += [Problem("bad-value", key, self._where(key), words) for key, words in engine_problems(self.engine)]
        fresh = [problem for problem in found if (problem.where, problem.key, problem.message) not in self._told]
        self._told |= {(problem.where, problem.key, problem.message) for problem in fresh}
        return fresh

    def _where(self, key: str) -> str:
        """The layer that had the last word about a key, or about one below it."""
        provenance = self._loaded.provenance
        return next((where for other, where in provenance.items() if f"{other}.".startswith(f"{key}.")), "")

    def may_load(self, name: str) -> str:
        """Why a plugin may not load, or an empty string."""
        from fnmatch import fnmatchcase

        if name in self.server.disabled_plugins:
            return "Switched off by the setting server.disabled_plugins."
        if not any(fnmatchcase(name, pattern) for pattern in self.server.enabled_plugins):
            return "Not among the setting server.enabled_plugins."
        return ""
