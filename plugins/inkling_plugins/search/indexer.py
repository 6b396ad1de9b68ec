"""Keeps the index in step with the workspace: reads what changed, embeds what is new, remembers both on disk.

Nothing is read before the first search. Then the files are walked once, in the background and again when the last walk
has grown old; open documents are read anew at each search, so that it finds what was just typed.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inkling.api import Editor, Engine, InklingError, Nothing, Priority, Progress, Snapshot, uri_path
from inkling_plugins.globs import matches
from inkling_plugins.search.chunks import chunks
from inkling_plugins.search.index import Index, average
from inkling_plugins.search.store import Store, key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 64
"""Texts that the model reads at a time: a completion waits for no more."""
_PRUNED = 1.5
"""Vectors on disk are pruned once they are so many times those in use."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is indexed, and by which model."""

    model: str
    exclude: tuple[str, ...]
    max_chunks: int
    max_file_characters: int
    refresh_s: float


class Indexer:
    """One workspace's. Call its methods on the event loop."""

    def __init__(self, engine: Engine, editor: Editor) -> None:
        self._engine = engine
        self._editor = editor
        self._store: Store | None = None
        self._walking: asyncio.Task[None] | None = None
        self._updating = asyncio.Lock()
        self._walked_at = -1e9
        self._identity = ""  # the model and its weights: whose vectors the index has
        self._closed = False
        self._revisions: dict[str, int] = {}
        self.index: Index | None = None
        self.shortfall: Nothing | None = None
        """Why the index does not hold everything."""

    async def ready(self, scope: Scope, patience_s: float, priority: Priority = Priority.ACTION) -> Index:
        """The index as it now is; waits a while for one that is being made. Raises InklingError without a cache.

        What was typed meanwhile is embedded with `priority`.
        """
        index = await self._load(scope)
        stale = time.monotonic() - self._walked_at > scope.refresh_s
        cancelled = self.shortfall is not None and self.shortfall.reason == "index-cancelled"
        if stale and not cancelled:
            self.walk(scope)
        if self._walking is not None and self.busy and self._walked_at < 0:
            await asyncio.wait({self._walking}, timeout=patience_s)
        await self._read_open(index, scope, priority)
        return index

    @property
    def busy(self) -> bool:
        """Whether the workspace is being read."""
        return self._walking is not None and not self._walking.done()

    def walk(self, scope: Scope) -> asyncio.Task[None]:
        """Read the whole workspace, unless that is being done; the task never fails, see `shortfall`."""
        if self._walking is None or self._walking.done():
            self._walking = asyncio.create_task(self._walk(scope))
        return self._walking

    async def embed(self, text: str, scope: Scope) -> NDArray[np.float32]:
        """A question's vector."""
        (vector,) = await self._engine.embed([text], model=scope.model, priority=Priority.ACTION)
        return await asyncio.to_thread(_array, vector)

    async def close(self) -> None:
        """End what runs."""
        self._closed = True
        await self._end_walk()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    async def _load(self, scope: Scope) -> Index:
        async with self._updating:
            if self.index is None:
                self._identity = await self._identify(scope.model)
                read = await asyncio.to_thread(_read_store, self._editor, self._identity)
                self.index, self._store = read
            index = self.index
            assert index is not None
            identity = await self._identify(scope.model)
            if identity != self._identity:
                await self._end_walk()
                self._identity, self._walked_at, self.shortfall = identity, -1e9, None
                await asyncio.to_thread(index.forget_vectors)
            return index

    async def _identify(self, model: str) -> str:
        return f"{model}\0{await self._engine.weights(model, 'feature-extraction')}"

    async def _end_walk(self) -> None:
        """A walk for another model would put its vectors among the new one's."""
        if self._walking is not None:
            self._walking.cancel()
            await asyncio.gather(self._walking, return_exceptions=True)

    async def _walk(self, scope: Scope) -> None:
        assert self.index is not None
        identity = self._identity
        try:
            async with self._editor.progress("Reading the workspace for search") as progress:
                await self._read_all(self.index, scope, progress)
                await self._fill(self.index, scope.model, identity, self.index.uris(), Priority.BACKGROUND, progress)
                await asyncio.to_thread(self._prune, self.index, identity)
            self._walked_at = time.monotonic()
        except asyncio.CancelledError:
            self.shortfall = Nothing(
                "index-cancelled", 'Reading the workspace was cancelled. Run "Index the Workspace for Search" to go on.'
            )
        except InklingError as error:
            self.shortfall = Nothing(error.reason, str(error))
            self._walked_at = time.monotonic()  # not again at every keystroke
        finally:
            if not self._closed:
                self._editor.refresh("diagnostics")  # which said that they wait for this

    async def _read_all(self, index: Index, scope: Scope, progress: Progress) -> None:
        seen: set[str] = set()
        self.shortfall = None
        async with aclosing(self._all(scope)) as snapshots:
            async for snapshot in snapshots:
                if len(index) >= scope.max_chunks:
                    self.shortfall = Nothing(
                        "too-large",
                        f"Only {len(index):,} pieces are indexed: [search] max_chunks is {scope.max_chunks:,}.",
                    )
                    break
                seen.add(snapshot.uri)
                await self._read(index, snapshot)
                if len(seen) % 20 == 0:
                    progress.report(f"{len(seen):,} files")
        gone = [uri for uri in index.uris() if uri not in seen]
        if gone and self._store is not None:
            await asyncio.to_thread(index.remove, gone)
            await asyncio.to_thread(self._store.forget_files, gone)

    async def _all(self, scope: Scope) -> AsyncGenerator[Snapshot, None]:
        """The files worth indexing; without a folder, the open documents."""
        if not self._editor.workspace_folders():
            for snapshot in self._editor.documents():
                yield snapshot
            return
        async with aclosing(self._editor.files()) as files:
            async for snapshot in files:
                if len(snapshot) <= scope.max_file_characters and not matches(snapshot.uri, scope.exclude):
                    yield snapshot

    async def _read(self, index: Index, snapshot: Snapshot) -> bool:
        """Put a file's chunks into the index when its text is new."""
        new = await asyncio.to_thread(_update, index, self._store, snapshot, self._path(snapshot.uri))
        self._revisions[snapshot.uri] = snapshot.revision
        return new

    async def _read_open(self, index: Index, scope: Scope, priority: Priority) -> None:
        async with self._updating:
            identity = self._identity
            if identity.partition("\0")[0] != scope.model:
                return  # another model is set meanwhile, whose walk reads them too
            changed = [
                snapshot
                for snapshot in self._editor.documents()
                if index.digest(snapshot.uri) is not None and self._revisions.get(snapshot.uri) != snapshot.revision
            ]
            new = [snapshot.uri for snapshot in changed if await self._read(index, snapshot)]
            if new:
                await self._fill(index, scope.model, identity, new, priority, None)

    async def _fill(
        self,
        index: Index,
        model: str,
        identity: str,
        uris: Iterable[str],
        priority: Priority,
        progress: Progress | None,
    ) -> None:
        """Give every chunk its vectors, from the disk or from the model."""
        uris = list(uris)
        while identity == self._identity:
            generation, missing = await asyncio.to_thread(index.missing, uris)
            for start in range(0, len(missing), _BATCH):
                part = [(slot, chunk.views()) for slot, chunk in missing[start : start + _BATCH]]
                vectors = await self._vectors(model, identity, part, priority)
                if not await asyncio.to_thread(index.set_vectors, vectors, generation):
                    break  # renumbered meanwhile: what is still missing has other slots now
                if progress is not None:
                    done = start + len(part)
                    progress.report(f"{done:,} of {len(missing):,} pieces", done / len(missing))
            else:
                return

    async def _vectors(
        self, model: str, identity: str, part: list[tuple[int, tuple[str, ...]]], priority: Priority
    ) -> dict[int, NDArray[np.float32]]:
        """The vectors by slot of chunks given by their views."""
        assert self._store is not None
        keyed = [(slot, key(identity, views), views) for slot, views in part]
        known = await asyncio.to_thread(self._store.vectors, [k for _, k, _ in keyed])
        absent = {k: views for _, k, views in keyed if k not in known}
        if absent:
            texts = list(dict.fromkeys(view for views in absent.values() for view in views))
            answers = await self._engine.embed(texts, model=model, priority=priority)
            made = await asyncio.to_thread(_averages, absent, dict(zip(texts, answers, strict=True)))
            await asyncio.to_thread(self._store.put_vectors, made)
            known |= made
        return {slot: known[k] for slot, k, _ in keyed}

    def _path(self, uri: str) -> str:
        """A file's path in its workspace folder."""
        path = uri_path(uri)
        folders = (uri_path(folder.as_uri()) + "/" for folder in self._editor.workspace_folders())
        return next((path.removeprefix(folder) for folder in folders if path.startswith(folder)), "")

    def _prune(self, index: Index, identity: str) -> None:
        assert self._store is not None
        keys = {key(identity, chunk.views()) for chunk in index.chunks()}
        if self._store.vector_count() > _PRUNED * len(keys) + _BATCH:
            self._store.keep_vectors(keys)


def _read_store(editor: Editor, identity: str) -> tuple[Index, Store]:
    index, store = Index(), Store(editor.cache_folder())
    keys: dict[int, bytes] = {}
    for uri, digest, found in store.files():
        for slot, chunk in zip(index.put(uri, digest, found), found, strict=True):
            keys[slot] = key(identity, chunk.views())
    vectors = store.vectors(list(keys.values()))
    index.set_vectors({slot: vectors[k] for slot, k in keys.items() if k in vectors})
    return index, store


def _update(index: Index, store: Store | None, snapshot: Snapshot, path: str) -> bool:
    digest = hashlib.blake2b(
        f"{snapshot.language}\0{snapshot.text}".encode("utf-8", "replace"), digest_size=16
    ).digest()
    if index.digest(snapshot.uri) == digest:
        return False
    found = chunks(snapshot, path)
    index.put(snapshot.uri, digest, found)
    if store is not None:
        store.put_file(snapshot.uri, digest, found)
    return True


def _array(vector: list[float]) -> NDArray[np.float32]:
    import numpy as np

    return np.array(vector, np.float32)


def _averages(
    chunks: dict[bytes, tuple[str, ...]], vectors: dict[str, list[float]]
) -> dict[bytes, NDArray[np.float32]]:
    return {k: average([_array(vectors[view]) for view in views]) for k, views in chunks.items()}
