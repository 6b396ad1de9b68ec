"""Lines of workspace files that are not open, for the copy source: read in the background, within a memory bound.

Nothing is read before the first request. What git ignores, what no plugin may see (secrets among it) and what the user
keeps from completion is never read. Files of the cursor's language count first, then near ones, then the newest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import aclosing
from pathlib import Path

from inkling.api import Editor, InklingError, Snapshot, file_path, uri_path
from inkling_plugins.completion.line_index import FileLines, LineIndex

REFRESH_S = 60.0
"""How long what was read counts as fresh; longer where reading takes long."""
_SHARE = 50
"""At most one part in so many of the time is spent on reading."""
_LARGEST = 200_000
"""Characters of a file that is worth copying from."""
_MOST_READ = 20_000
"""Files looked at in one walk."""


class WorkspaceLines:
    """The index of one workspace. Call its methods on the event loop."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._files: dict[str, FileLines] = {}
        self._reading: asyncio.Task[None] | None = None
        self._stale_at = 0.0
        self.index = LineIndex()
        """A file that is open may be in it as it was: the caller leaves it out."""

    def refresh(self, snapshot: Snapshot, most_bytes: int, unwanted: Callable[[str], bool]) -> None:
        """See to it that the index is there, for a cursor in `snapshot`; returns at once. 0 bytes forget it."""
        if most_bytes == 0:
            self.close()
            self._files, self.index, self._stale_at = {}, LineIndex(), 0.0
        elif time.monotonic() >= self._stale_at and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(snapshot, most_bytes, unwanted))

    def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def settled(self) -> None:
        """Wait until nothing is being read."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, snapshot: Snapshot, most_bytes: int, unwanted: Callable[[str], bool]) -> None:
        began = time.monotonic()
        try:
            found = await self._walk(snapshot, most_bytes, unwanted)
        except InklingError:
            found = self._files  # the folder has gone, say: what was read still counts
        changed = found.keys() != self._files.keys() or any(found[uri] is not self._files[uri] for uri in found)
        if changed:
            files = list(found.values())
            self.index = await asyncio.to_thread(LineIndex, files)
            self._files = found
        now = time.monotonic()
        self._stale_at = now + max(REFRESH_S, _SHARE * (now - began))

    async def _walk(self, snapshot: Snapshot, most_bytes: int, unwanted: Callable[[str], bool]) -> dict[str, FileLines]:
        kept: list[tuple[tuple[bool, int, float], str, FileLines]] = []
        size, looked_at = 0, 0
        if not self._editor.workspace_folders():
            return {}
        async with aclosing(self._editor.files()) as files:
            async for file in files:
                looked_at += 1
                if looked_at > _MOST_READ:
                    break
                if len(file) > _LARGEST or not len(file) or unwanted(file.uri):
                    continue
                lines, worth = await asyncio.to_thread(_read, file, self._files.get(file.uri), snapshot)
                kept.append((worth, file.uri, lines))
                size += lines.bytes
                if size > 2 * most_bytes:
                    size = _drop_worst(kept, most_bytes)
        _drop_worst(kept, most_bytes)
        return {uri: lines for _, uri, lines in kept}


def _read(file: Snapshot, known: FileLines | None, here: Snapshot) -> tuple[FileLines, tuple[bool, int, float]]:
    """Touches the disk: for a thread."""
    return _lines(file, known), _worth(file, here)


def _lines(file: Snapshot, known: FileLines | None) -> FileLines:
    """The file's lines; the same object as before when its text is."""
    text = file.text
    return known if known is not None and known.text == text else FileLines(file.uri, text)


def _worth(file: Snapshot, snapshot: Snapshot) -> tuple[bool, int, float]:
    """What counts more is greater."""
    path, here = uri_path(file.uri), uri_path(snapshot.uri)
    try:
        changed = file_path(file.uri).stat().st_mtime
    except OSError:
        changed = 0.0
    return file.language == snapshot.language, len(_shared(Path(path).parts, Path(here).parts)), changed


def _shared(a: Collection[str], b: Collection[str]) -> list[str]:
    shared = []
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        shared.append(x)
    return shared


def _drop_worst(kept: list[tuple[tuple[bool, int, float], str, FileLines]], most_bytes: int) -> int:
    """Order by worth and keep the best that fit; their bytes."""
    kept.sort(key=lambda item: item[0], reverse=True)
    size = 0
    for count, (_, _, lines) in enumerate(kept):
        if size + lines.bytes > most_bytes:
            del kept[count:]
            break
        size += lines.bytes
    return size
