"""Surfaces that the client should ask for anew: when settings change, a model is ready, or a plugin says so."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

if TYPE_CHECKING:
    from inkling.api import Snapshot
    from inkling.lsp.session import Session

AFTER_S = 0.3
"""Several causes within that time make one refresh."""
SURFACES = {
    "code_lenses": ("workspace.codeLens.refreshSupport", types.WORKSPACE_CODE_LENS_REFRESH),
    "inlay_hints": ("workspace.inlayHint.refreshSupport", types.WORKSPACE_INLAY_HINT_REFRESH),
    "semantic_tokens": ("workspace.semanticTokens.refreshSupport", types.WORKSPACE_SEMANTIC_TOKENS_REFRESH),
    "diagnostics": ("workspace.diagnostics.refreshSupport", types.WORKSPACE_DIAGNOSTIC_REFRESH),
}


class Refresher:
    """The refreshes of one session: soon, once, one after the other."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wanted: set[str] = set()
        self._short: set[str] = set()
        self._unsaved: set[tuple[str, str]] = set()
        """(document, surface) of which a plugin said `not-saved`."""
        self._running: asyncio.Task[None] | None = None

    def fell_short(self, surface: str) -> None:
        """Some plugin could not say at a surface: it is worth asking again when a model becomes ready."""
        self._short.add(surface)

    def waits_for_save(self, snapshot: Snapshot, surface: str) -> None:
        """Some plugin says nothing until the document is saved; it may have been while the plugin was asked."""
        self._unsaved.add((snapshot.uri, surface))
        now = self._session.documents.snapshot(snapshot.uri)
        if now is not None and self._session.documents.is_saved(now):
            self.saved(snapshot.uri)

    def saved(self, uri: str) -> None:
        """A document was saved: who waited for that is asked again."""
        waiting = {surface for document, surface in self._unsaved if document == uri}
        self.closed(uri)
        if surfaces := waiting & set(SURFACES):
            self.refresh(*surfaces)

    def closed(self, uri: str) -> None:
        """A document is gone: nobody waits for it."""
        self._unsaved = {place for place in self._unsaved if place[0] != uri}

    def model_ready(self) -> None:
        """Whoever went without gets results now."""
        waiting, self._short = self._short & set(SURFACES), set()
        if self._session.diagnoser.outdate_if_short():
            waiting.add("diagnostics")
        if waiting:
            self.refresh(*waiting)

    def refresh(self, *surfaces: str) -> None:
        """Have these surfaces shown anew in all open documents; all of them when none is named."""
        self._wanted |= set(surfaces or SURFACES)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._refresh_wanted())

    async def _refresh_wanted(self) -> None:
        """Also what is wanted while the client takes its time to answer."""
        while self._wanted:
            await asyncio.sleep(AFTER_S)
            wanted, self._wanted = self._wanted, set()
            if self._session.greeted:
                await self._refresh(wanted)

    async def _refresh(self, wanted: set[str]) -> None:
        session = self._session
        if "diagnostics" in wanted and not session.client.pulls_diagnostics:
            wanted.remove("diagnostics")
            session.diagnoser.publish_all()
        for surface, (capability, method) in SURFACES.items():
            offered = any(session.host.ready(surface)) or surface == "code_lenses"
            if surface in wanted and offered and session.client.can(capability):
                with contextlib.suppress(JsonRpcException, TimeoutError):
                    await session.protocol.ask(method, None)

    def stop(self) -> None:
        """End all work."""
        if self._running is not None:
            self._running.cancel()
