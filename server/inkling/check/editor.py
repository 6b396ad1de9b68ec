"""What stands in for the editor where there is none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from inkling.api import Edit, EditStream, InklingError, Nothing, Position, Progress, Range, Severity, Snapshot
from inkling.plugins.folders import cache_folder
from inkling.text.walk import Skipped, walk


class NoEditor:
    """Satisfies `inkling.api.Editor`: it has a folder and a cache, and nobody to show anything to."""

    def __init__(self, root: Path, plugin: str, hidden: Callable[[str], bool], largest: int) -> None:
        self._root, self._plugin, self._hidden, self._largest = root, plugin, hidden, largest
        self.news = asyncio.Event()
        """Set when a plugin would have diagnostics asked for anew."""

    @contextlib.asynccontextmanager
    async def progress(self, title: str) -> AsyncGenerator[Progress, None]:
        """Reported to nobody."""
        yield self

    def report(self, message: str, fraction: float | None = None) -> None:
        """Nobody sees it."""

    def stream(self, snapshot: Snapshot, position: Position, label: str) -> AbstractAsyncContextManager[EditStream]:
        """Raises InklingError."""
        raise _nobody()

    async def apply(self, snapshot: Snapshot, edits: Sequence[Edit], label: str) -> None:
        """Raises InklingError."""
        raise _nobody()

    async def show_message(self, text: str, severity: Severity = Severity.INFORMATION) -> None:
        """Nobody sees it."""

    async def show_text(self, title: str, text: str, language: str = "markdown") -> None:
        """Nobody sees it."""

    @contextlib.asynccontextmanager
    async def show_stream(self, title: str, language: str = "markdown") -> AsyncGenerator[EditStream, None]:
        """Nobody sees it."""
        yield self

    async def write(self, text: str) -> None:
        """Nobody sees it."""

    async def open(self, uri: str, range: Range | None = None) -> None:
        """Nobody sees it."""

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        """Nobody chooses."""
        return None

    def refresh(self, surface: str) -> None:
        """There is more to know."""
        self.news.set()

    def workspace_folders(self) -> Sequence[Path]:
        """The folder that is checked."""
        return (self._root,)

    async def files(self, skipped: Callable[[str, Nothing], None] | None = None) -> AsyncGenerator[Snapshot, None]:
        """The folder's text files."""
        walking = walk((self._root,), self._hidden, self._largest)
        while (item := await asyncio.to_thread(next, walking, None)) is not None:
            if not isinstance(item, Skipped):
                yield item
            elif skipped is not None:
                skipped(item.uri, Nothing(item.reason, item.detail))

    def cache_folder(self) -> Path:
        """The editor's own, so that what either computes serves the other."""
        return cache_folder((self._root,), self._plugin)

    async def change_setting(self, key: str, value: Any) -> None:
        """Raises InklingError."""
        raise _nobody()

    def is_saved(self, snapshot: Snapshot) -> bool:
        """Always: what is checked is what lies on the disk."""
        return True

    def documents(self) -> Sequence[Snapshot]:
        """None is open."""
        return ()


def _nobody() -> InklingError:
    return InklingError("no-editor", "There is no editor to change a document in.", "Run this from an editor.")
