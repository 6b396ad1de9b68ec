"""An editor, a tokenizer and a maker of plugins, all without a process."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from inkling.api import Edit, InklingError, Plugin, Position, Range, Severity, Snapshot, TokenSpan
from inkling.engine.fake import FakeEngine


class Shown:
    """What is written into a place of its own."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    async def write(self, text: str) -> None:
        self.pieces.append(text)


class FakeEditor:
    """Keeps what it was asked; `streamed` is the text written into the document."""

    def __init__(self, documents: Iterable[Snapshot] = ()) -> None:
        self.known = list(documents)
        self.reports: list[tuple[str, float | None]] = []
        self.titles: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.changed: list[tuple[str, Any]] = []
        self.streamed = ""
        self.refuse_after: int | None = None
        self.refreshed: list[str] = []
        self.applied: list[Edit] = []
        self.opened: list[tuple[str, Range | None]] = []
        self.folders: tuple[Path, ...] = ()
        self.written: list[Snapshot] = []
        """The workspace's files."""
        self.walks = 0
        self.cache: Path | None = None
        self.saved = True
        self.choice = 0
        """Which of the options the user takes."""

    def is_saved(self, snapshot: Snapshot) -> bool:
        return self.saved

    def documents(self) -> Sequence[Snapshot]:
        return self.known

    @contextlib.asynccontextmanager
    async def progress(self, title: str) -> AsyncIterator[FakeEditor]:
        self.titles.append(title)
        yield self

    def report(self, message: str, fraction: float | None = None) -> None:
        self.reports.append((message, fraction))

    @contextlib.asynccontextmanager
    async def stream(self, snapshot: Snapshot, position: Position, label: str) -> AsyncIterator[FakeEditor]:
        yield self

    async def write(self, text: str) -> None:
        if self.refuse_after is not None and len(self.streamed) >= self.refuse_after:
            raise InklingError("document-changed", "You typed there.")
        self.streamed += text

    async def apply(self, snapshot: Snapshot, edits: Sequence[Edit], label: str) -> None:
        self.applied += edits

    async def show_message(self, text: str, severity: Severity = Severity.INFORMATION) -> None:
        self.texts.append(("", text))

    async def show_text(self, title: str, text: str, language: str = "markdown") -> None:
        self.texts.append((title, text))

    @contextlib.asynccontextmanager
    async def show_stream(self, title: str, language: str = "markdown") -> AsyncIterator[Shown]:
        shown = Shown()
        yield shown
        self.texts.append((title, "".join(shown.pieces)))

    def refresh(self, surface: str) -> None:
        self.refreshed.append(surface)

    async def open(self, uri: str, range: Range | None = None) -> None:
        self.opened.append((uri, range))

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        return options[self.choice]

    def workspace_folders(self) -> Sequence[Path]:
        return self.folders

    async def files(self, skipped: Any = None) -> AsyncIterator[Snapshot]:
        self.walks += 1
        for snapshot in self.written:
            yield snapshot

    def cache_folder(self) -> Path:
        if self.cache is None:
            raise InklingError("no-cache", "There is no folder.")
        return self.cache

    async def change_setting(self, key: str, value: Any) -> None:
        self.changed.append((key, value))


class WordTokens:
    """A tokenizer whose tokens are words; a window of 100."""

    async def count(self, snapshot: Snapshot, model: str) -> int:
        return len(snapshot.text.split())

    async def count_text(self, text: str, model: str) -> int:
        return len(text.split())

    async def count_part(self, snapshot: Snapshot, start: int, end: int, model: str) -> int:
        return len(snapshot.slice(start, end).split())

    async def at(self, snapshot: Snapshot, offset: int, model: str) -> TokenSpan | None:
        for number, match in enumerate(re.finditer(r"\S+", snapshot.text)):
            if match.start() <= offset < match.end():
                return TokenSpan(number, match[0], match.start(), match.end())
        return None

    async def spans(self, snapshot: Snapshot, start: int, end: int, model: str) -> list[TokenSpan]:
        return [
            TokenSpan(number, match[0], match.start(), match.end())
            for number, match in enumerate(re.finditer(r"\S+", snapshot.text))
            if match.start() < end and match.end() > start
        ]

    async def context_window(self, model: str) -> int | None:
        return 100


@pytest.fixture
async def started() -> AsyncIterator[Callable[..., Any]]:
    """`await started(Class, engine, documents, **settings)`: a plugin as the host would hold it."""
    running: list[Plugin] = []

    async def start(cls: type[Plugin], engine: Any = None, documents: Iterable[Snapshot] = (), **settings: Any) -> Any:
        plugin = cls()
        plugin.settings = cls.Settings(**settings)
        plugin.engine = engine if engine is not None else FakeEngine()
        plugin.editor = FakeEditor(documents)  # type: ignore[assignment]
        plugin.tokens = WordTokens()
        await plugin.start()
        running.append(plugin)
        return plugin

    yield start
    for plugin in running:
        await plugin.stop()
