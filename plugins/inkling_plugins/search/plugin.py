"""Search by meaning: questions as workspace symbols and as a command, and what is similar to a selection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from inkling.api import (
    Diagnostic,
    InklingError,
    Nothing,
    Plugin,
    Priority,
    Range,
    Related,
    Severity,
    Snapshot,
    Symbol,
    block_at,
    command,
    diagnostics,
    uri_path,
    workspace_symbols,
)
from inkling_plugins.search.index import Hit, Index
from inkling_plugins.search.indexer import Indexer, Scope

_SYMBOL_PATIENCE_S = 6.0
"""How long a list that the editor shows while the user types waits for a first index."""
_TYPING_S = 0.12
_TWIN_WORDS = 8
"""Words that a text needs to be worth a hint."""
_SELECTED = 4_000
"""Characters of a selection that are compared."""


class Search(Plugin):
    """One index of the workspace, by meaning and by words."""

    name = "search"

    @dataclass(frozen=True)
    class Settings:
        """The table `[search]`."""

        enabled: bool = True
        """Offer search by meaning; nothing is read before the first search."""
        model: str = field(default="starter:encoder", metadata={"scope": "model"})
        """A feature-extraction model."""
        prefix: str = "?"
        """A workspace symbol query that begins so is a question; empty: every query is."""
        results: int = field(default=20, metadata={"min": 1, "max": 200})
        """How many places to list."""
        exclude: tuple[str, ...] = field(
            default=(
                "*.json", "*.jsonl", "*.csv", "*.tsv", "*.svg", "*.xml", "*.lock", "*.min.js", "*.min.css", "*.map",
                "*.ipynb", "*.diff", "*.patch", "*.log", "package-lock.json", "LICENSE*",
            ),
            metadata={"merge": "append"},
        )  # fmt: skip
        """Globs of files that are not indexed, besides what git ignores; a later `!glob` takes one back in."""
        max_chunks: int = field(default=50_000, metadata={"min": 100})
        """Pieces of text that are indexed at most."""
        max_file_characters: int = field(default=400_000, metadata={"min": 1000})
        """Longer files are not indexed."""
        refresh_seconds: float = field(default=30.0, metadata={"min": 1.0})
        """Files changed outside the editor are found at the first search after this time."""
        near_duplicates: bool = False
        """Hint where a text or a documentation says nearly what another place in the workspace says."""
        duplicate_similarity: float = field(default=0.92, metadata={"min": 0.5, "max": 1.0})
        """The least similarity of such a hint."""

    settings: Settings

    async def start(self) -> None:
        """Reads nothing yet."""
        self._indexer = Indexer(self.engine, self.editor)

    async def stop(self) -> None:
        """End the reading, if any."""
        await self._indexer.close()

    @workspace_symbols
    async def symbols(self, query: str) -> AsyncIterator[Symbol | Nothing]:
        """The places that answer a question, best first."""
        settings = self.settings
        question = query.strip().removeprefix(settings.prefix).strip()
        if not query.strip().startswith(settings.prefix) or not question:
            return
        if not settings.enabled:
            yield Nothing("disabled", "[search] enabled = false.")
            return
        await asyncio.sleep(_TYPING_S)  # the next keystroke's request supersedes this one
        index = await self._indexer.ready(self._scope(), _SYMBOL_PATIENCE_S)
        hits, shortfall = await self._find(index, question)
        for hit in hits:
            yield Symbol(hit.chunk.name, hit.uri, hit.chunk.range, _kind(hit), hit.chunk.container)
        if shortfall is not None:
            yield shortfall

    @diagnostics
    async def near_duplicates(self, snapshot: Snapshot) -> AsyncIterator[Diagnostic | Nothing]:
        """Hints where the document says what another place says; off unless asked for."""
        settings = self.settings
        if not (settings.enabled and settings.near_duplicates):
            return
        index = await self._indexer.ready(self._scope(), _SYMBOL_PATIENCE_S, Priority.BACKGROUND)
        if self._indexer.busy:
            yield Nothing("indexing", "The workspace is being read; the hints are shown anew when that is done.")
        found = await asyncio.to_thread(index.twins, snapshot.uri, settings.duplicate_similarity, _TWIN_WORDS)
        for chunk, twin in found:
            where = f"{twin.chunk.name}, {uri_path(twin.uri).rpartition('/')[2]}:{twin.chunk.range.start.line + 1}"
            line = chunk.range.start.line
            shown = Range(chunk.range.start, min(chunk.range.end, snapshot.line_range(line).end))
            yield Diagnostic(
                shown,
                f"Says nearly the same as {where} ({twin.similarity:.2f}).",
                Severity.HINT,
                "near-duplicate",
                data={"similarity": round(twin.similarity, 4)},
                related=(Related(twin.chunk.range, twin.chunk.name, twin.uri),),
            )

    @command("search.find", "Search by Meaning")
    async def find(self, snapshot: Snapshot | None, range: Range | None, *, question: str = "", **_: Any) -> str:
        """Go to what answers `question`: the user chooses among the best places."""
        if not question.strip():
            raise InklingError("no-question", "There is nothing to search for.", "Give the command a question.")
        hits, shortfall = await self._find(await self._index(), question)
        return await self._choose(f"Places for “{question.strip()[:80]}”", hits, shortfall)

    @command("search.similar", "Find Similar to Selection")
    async def similar(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Go to what means nearly the same as the selection, or as the block at the cursor."""
        if snapshot is None or range is None:
            raise InklingError("no-document", "There is no selection.", "Select some text in an editor.")
        text, own = await asyncio.to_thread(_selected, snapshot, range)
        if not text.strip():
            raise InklingError("no-selection", "There is no text at the cursor.", "Select some text.")
        index = await self._index()
        vector = await self._indexer.embed(text[:_SELECTED], self._scope())
        most = self.settings.results
        near = await asyncio.to_thread(index.nearest, vector, most + 20)
        hits = [hit for hit in near if not (hit.uri == snapshot.uri and _overlap(hit.chunk.range, own))][:most]
        return await self._choose("Similar to the selection", hits, self._indexer.shortfall)

    @command("search.index", "Index the Workspace for Search")
    async def make(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Read the workspace now; returns when that is done."""
        self._enabled()
        scope = self._scope()
        self._indexer.shortfall = None
        await self._indexer.ready(scope, 0)
        await asyncio.shield(self._indexer.walk(scope))
        index, shortfall = self._indexer.index, self._indexer.shortfall
        if shortfall is not None:
            raise InklingError(shortfall.reason, shortfall.detail)
        return f"{len(index or ()):,} pieces of {len(index.uris() if index else ()):,} files are indexed."

    async def _index(self) -> Index:
        """The index, made first where there is none; shows progress and can be cancelled."""
        self._enabled()
        index = await self._indexer.ready(self._scope(), 500.0)
        if not len(index):
            why = self._indexer.shortfall
            if why is not None:
                raise InklingError(why.reason, why.detail)
            raise InklingError("empty-index", "The workspace has no text to search.", "Open a folder with files.")
        return index

    async def _find(self, index: Index, question: str) -> tuple[list[Hit], Nothing | None]:
        """The best places; by words alone, with the reason, when the model cannot read the question."""
        vector, shortfall = None, self._indexer.shortfall
        try:
            vector = await self._indexer.embed(question, self._scope())
        except InklingError as error:
            shortfall = Nothing(error.reason, f"Searched by words alone. {error}")
        hits = await asyncio.to_thread(index.search, question, vector, self.settings.results)
        if shortfall is None and self._indexer.busy:
            detail = f"The workspace is being read: {index.embedded:,} of {len(index):,} pieces so far."
            shortfall = Nothing("indexing", detail)
        if not hits and shortfall is None:
            shortfall = Nothing("no-match", "Nothing in the workspace is like that.")
        return hits, shortfall

    async def _choose(self, title: str, hits: Sequence[Hit], shortfall: Nothing | None) -> str:
        """Let the user choose one of the best and go there; returns all of them as text."""
        if not hits:
            why = shortfall or Nothing("no-match", "Nothing in the workspace is like that.")
            raise InklingError(why.reason, why.detail)
        lines = [self._line(hit) for hit in hits]
        options = dict(zip(lines, hits, strict=True))
        chosen = await self.editor.choose(title, list(options))
        if chosen is not None and chosen in options:
            await self.editor.open(options[chosen].uri, options[chosen].chunk.range)
        note = f"\n({shortfall.detail})" if shortfall is not None and shortfall.detail else ""
        return "\n".join(lines) + note

    def _line(self, hit: Hit) -> str:
        path = uri_path(hit.uri)
        folders = (uri_path(folder.as_uri()) + "/" for folder in self.editor.workspace_folders())
        path = next((path.removeprefix(folder) for folder in folders if path.startswith(folder)), path)
        name = hit.chunk.name if hit.chunk.kind in ("file", "string") else f"{hit.chunk.container}.{hit.chunk.name}"
        return f"{name}  {path}:{hit.chunk.range.start.line + 1}  ({hit.similarity:.2f})"

    def _enabled(self) -> None:
        if not self.settings.enabled:
            raise InklingError("disabled", "Search is off.", "Set [search] enabled = true.")

    def _scope(self) -> Scope:
        settings = self.settings
        return Scope(
            settings.model,
            settings.exclude,
            settings.max_chunks,
            settings.max_file_characters,
            settings.refresh_seconds,
        )


def _kind(hit: Hit) -> str:
    return hit.chunk.kind


def _selected(snapshot: Snapshot, range: Range) -> tuple[str, Range]:
    """The selection, or else the block at the cursor."""
    if not range.is_empty:
        return snapshot.text_in(range), range
    block = block_at(snapshot, range.start)
    if block is None:
        return "", range
    return block.text, snapshot.range(block.start, block.end)


def _overlap(one: Range, other: Range) -> bool:
    return one.start < other.end and other.start < one.end
