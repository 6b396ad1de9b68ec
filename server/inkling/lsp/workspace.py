"""The workspace beyond the open documents: its files as snapshots, places in them, folders for what plugins keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import Nothing, Range, Snapshot
from inkling.lsp.convert import raw_range
from inkling.lsp.greeting import local_path
from inkling.plugins.folders import cache_folder
from inkling.text.encoding import Encoding
from inkling.text.walk import Skipped, read, walk

if TYPE_CHECKING:
    from inkling.lsp.session import Session

BATCH = 32
"""Files that are read before the event loop hears of them."""


class Workspace:
    """The workspace of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def files(self, skipped: Callable[[str, Nothing], None] | None) -> AsyncGenerator[Snapshot, None]:
        """All text files; an open one as it is in the editor. Every batch is read on a thread."""
        session = self._session
        largest = session.configuration.server.max_document_size
        walking = walk(tuple(session.configuration.roots), session.excluded, largest)
        while found := await asyncio.to_thread(_take, walking):
            for item in found:
                if isinstance(item, Skipped):
                    if skipped is not None:
                        skipped(item.uri, Nothing(item.reason, item.detail))
                elif (now := session.documents.snapshot(item.uri)) is None:
                    yield item
                elif session.documents.is_lost(item.uri):
                    if skipped is not None:
                        skipped(item.uri, Nothing("out-of-sync", "An edit could not be read."))
                else:
                    yield now

    async def to_ranges(self, places: Iterable[tuple[str, Range]]) -> list[types.Range]:
        """Places in the client's columns, also in files that are not open: those are read, each once."""
        places = list(places)
        missing = {uri for uri, _ in places if self._session.documents.snapshot(uri) is None}
        texts: dict[str, Snapshot] = {}
        if missing and self._session.edge.encoding is not Encoding.UTF32:
            texts = await asyncio.to_thread(self._read, missing)
        return [self._to_range(self._session.documents.snapshot(uri) or texts.get(uri), span) for uri, span in places]

    def _to_range(self, snapshot: Snapshot | None, span: Range) -> types.Range:
        return raw_range(span) if snapshot is None else self._session.edge.to_range(snapshot, span)

    def _read(self, uris: Iterable[str]) -> dict[str, Snapshot]:
        found = {}
        for uri in uris:
            path = None if self._session.excluded(uri) else local_path(uri)
            text = read(path, uri, self._session.configuration.server.max_document_size) if path is not None else None
            if isinstance(text, Snapshot):
                found[uri] = text
        return found

    def cache_folder(self, plugin: str) -> Path:
        """One folder per workspace and plugin. Raises InklingError when it cannot be made."""
        return cache_folder(self._session.configuration.roots, plugin)


def _take(walking: Iterator[Snapshot | Skipped]) -> list[Snapshot | Skipped]:
    return list(islice(walking, BATCH))
