"""The plugins, settings and engine of one folder, asked about its files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from inkling.api import Diagnostic, Nothing, Snapshot
from inkling.check.clean import Clean
from inkling.check.editor import NoEditor
from inkling.check.finding import Finding
from inkling.engine.protocol import EngineConnection
from inkling.engine.settings import EngineSettings
from inkling.lsp.checks import check_diagnostic
from inkling.lsp.handles import EngineHandle, LazyTokens
from inkling.plugins import Entry, Host, Outcome
from inkling.settings import Loaded, Problem, ServerSettings
from inkling.settings.build import top_level
from inkling.settings.exclusion import Exclusion, in_folders
from inkling.text.uri import file_path

AT_ONCE = 32
"""Files that are checked at the same time: their texts share the engine's batches."""
LONG_S = 86_400.0
NEWS_S = 30.0
_PATIENCE_S = 5.0
FINE = frozenset({"disabled", "language-off", "other-files", "other-languages", "rule-instead"})
"""Reasons for nothing that are as the user wants it."""


@dataclass
class Checked:
    """What was found in one file, and why something could not be looked for."""

    snapshot: Snapshot
    path: str
    findings: list[Finding] = field(default_factory=list)
    failures: list[tuple[str, Nothing]] = field(default_factory=list)


class Session:
    """Made by `open_session`. `problems` are of the settings; `plugins` are asked."""

    def __init__(self, root: Path, loaded: Loaded, engine: Callable[[EngineSettings], EngineConnection]) -> None:
        self.root = root
        self._loaded = loaded
        server, _ = loaded.build("server", ServerSettings)
        self.server = replace(server, exclude=in_folders(server.exclude, [root]))
        self.hidden = Exclusion(self.server.hidden_files)
        self.engine = engine(loaded.build("engine", EngineSettings)[0])
        self._tokens = LazyTokens()
        self._clean = Clean(root)
        self._keys: dict[str, asyncio.Task[str]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._lease: asyncio.Task[None] | None = None
        self._editors: dict[str, NoEditor] = {}
        self._finished = 0
        self._reading: dict[str, str] = {}
        self.broken: list[tuple[str, str]] = []
        self.host = Host(self)
        self.host.load(self._may_load)
        self.problems = self._problems()
        self.plugins: list[Entry] = []

    def choose(self, names: Iterable[str]) -> None:
        """Ask the plugins of these names; of none, those that some settings speak of, and all that are added."""
        wanted = set(names)
        for entry in self.host.entries:
            if entry.ready and any(entry.of_kind("diagnostics")):
                added = entry.distribution != "inkling-ls"
                if entry.name in wanted or (not wanted and (added or self._configured(entry))):
                    self.plugins.append(entry)

    async def check(self, snapshot: Snapshot) -> Checked:
        """Everything the plugins find in one file. Two texts of one name have their turns: plugins read the newest."""
        checked = Checked(snapshot, self.relative(snapshot.uri))
        async with self._turns.setdefault(snapshot.uri, asyncio.Lock()):
            outcomes = await asyncio.gather(*(self._ask(entry, snapshot) for entry in self.plugins))
        for outcome in outcomes:
            checked.findings += [Finding(checked.path, outcome.plugin, item, snapshot) for item in outcome.items]
            checked.failures += [(outcome.plugin, reason) for reason in outcome.reasons if reason.reason not in FINE]
        checked.findings.sort(key=lambda finding: (finding.place, finding.code))
        self._finished += 1
        return checked

    def progress(self) -> str:
        """How far checking is: the files that are finished, and what is still being read of one that takes long."""
        files = f"{self._finished:,} {'file' if self._finished == 1 else 'files'} checked"
        path, words = next(iter(self._reading.items()), ("", ""))
        return f"{files}; {path}: {words}" if path else f"{files} …"

    async def _ask(self, entry: Entry, snapshot: Snapshot) -> Outcome[Diagnostic]:
        """A plugin's outcome; none of a file in which it found nothing before, when all is as it was then."""
        if entry.name not in self._keys:
            self._keys[entry.name] = asyncio.create_task(_key(entry))
        key = await self._keys[entry.name]
        digest = Clean.hash(key, snapshot) if key else b""
        if digest in self._clean:
            return Outcome(entry.name)
        outcome = await self._ask_now(entry, snapshot)
        if digest and not outcome.items and all(reason.reason in FINE for reason in outcome.reasons):
            self._clean.add(digest)
        return outcome

    async def _ask_now(self, entry: Entry, snapshot: Snapshot) -> Outcome[Diagnostic]:
        if self._lease is None:
            self._lease = asyncio.create_task(_hold(self.engine))
        news = self._editors[entry.name].news
        (method,) = list(entry.of_kind("diagnostics"))[:1]
        while True:
            news.clear()
            outcome = await self.host.call(entry, method, (snapshot,), check_diagnostic, timeout_s=LONG_S)
            left = next((reason.detail for reason in outcome.reasons if reason.reason == "still-reading"), "")
            path = self.relative(snapshot.uri)
            if not left:
                self._reading.pop(path, None)
                return outcome
            self._reading[path] = left
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), NEWS_S)

    async def close(self) -> None:
        """Stop the plugins, give the engine back, and write what is known now."""
        await self.host.stop(10.0)
        tasks = [*self._keys.values(), *([self._lease] if self._lease else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._clean.save)
        await self.engine.close()

    def relative(self, uri: str) -> str:
        """A path below the folder, with slashes; of what lies outside it, the whole path."""
        path = file_path(uri)
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def _may_load(self, name: str) -> str:
        if name in self.server.disabled_plugins:
            return "Switched off by the setting server.disabled_plugins."
        if not any(fnmatchcase(name, pattern) for pattern in self.server.enabled_plugins):
            return "Not among the setting server.enabled_plugins."
        return ""

    def _configured(self, entry: Entry) -> bool:
        names = {entry.name, *top_level(type(entry.plugin).Settings if entry.plugin else None)}
        # what the command itself sets (a source without a file) does not count
        return any(names & set(source.data) for source in self._loaded.sources if source.where)

    def _problems(self) -> list[Problem]:
        tables: dict[str, type | None] = {"server": ServerSettings, "engine": EngineSettings}
        tables |= {entry.name: type(entry.plugin).Settings if entry.plugin else None for entry in self.host.entries}
        found = [*self._loaded.problems, *self._loaded.unknown_tables(tables)]
        for name, cls in tables.items():
            if cls is not None:
                found += self._loaded.build(name, cls)[1]
        return list(dict.fromkeys(found))

    # -- what the host tells (inkling.plugins.Listener)

    def loaded(self, entry: Entry) -> None:
        """Give a plugin its handles and settings."""
        plugin = entry.plugin
        assert plugin is not None
        editor = NoEditor(self.root, entry.name, self.hidden, self.server.max_document_size)
        self._editors[entry.name] = editor
        plugin.engine, plugin.editor, plugin.tokens = EngineHandle(lambda: self.engine), editor, self._tokens
        plugin.settings = self._loaded.build(entry.name, type(plugin).Settings)[0]

    def failed(self, entry: Entry, kind: str, failure: str, error: BaseException | None) -> None:
        """Told in the outcome's reasons."""

    def disabled(self, entry: Entry) -> None:
        """A plugin that does not work."""
        self.broken.append((entry.name, entry.detail))


@contextlib.asynccontextmanager
async def open_session(
    root: Path, loaded: Loaded, engine: Callable[[EngineSettings], EngineConnection]
) -> AsyncGenerator[Session, None]:
    """A session that holds the engine from the first file that must be asked about as long as it is open."""
    session = Session(root, loaded, engine)
    try:
        yield session
    finally:
        await session.close()


async def _key(entry: Entry) -> str:
    """What decides about a plugin's diagnostics; empty where it cannot say."""
    assert entry.plugin is not None
    try:
        key = await entry.plugin.diagnostics_key()
    except (Exception, SystemExit):  # its own fault; asked for each file, it says so itself
        return ""
    return f"{entry.name}\0{entry.version}\0{key}" if key else ""


async def _hold(engine: EngineConnection) -> None:
    async with contextlib.aclosing(engine.events()) as events:
        async for _ in events:
            pass


def overrides(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What checking needs of the bundled plugins: all findings, and now and then how much is still being read."""
    return {"rules": {"show_all": True, "patience": _PATIENCE_S, **values}}
