"""Ask the plugins, all at once and each by itself, and note why nothing came.

The execution model: a feature captures its snapshot while its message is handled, so that the snapshot is the text as
the client meant it; everything after that runs beside later messages. When the answer is ready and the document has
moved on, the feature moves the answer along (`Documents.rebase`) or gives it up with `ContentModified`; plugins never
know.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from inkling.api import Nothing, Snapshot, Surface
from inkling.eager import together
from inkling.lsp.log import log
from inkling.lsp.protocol import CONTENT_MODIFIED, Call, Failed, request_id
from inkling.plugins import Entry, Method, Outcome

if TYPE_CHECKING:
    from inkling.lsp.session import Session

T = TypeVar("T")
MARGIN_S = 5.0
"""A request's own deadline lies this much behind its plugins', so that the plugins' results are in it."""


KEYS = 500
"""Keys of requests that were superseded, above which those of answered ones are forgotten."""


class Dispatch:
    """The fan-out of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._latest: dict[tuple[str, ...], Call] = {}

    def timeout(self, kind: str) -> float:
        """Seconds for one plugin at a surface, from the settings."""
        return float(getattr(self._session.configuration.server.timeouts, kind))

    async def ask(
        self,
        kind: str,
        snapshot: Snapshot | None,
        arguments: Sequence[Any],
        accept: Callable[[Any], T],
        on_item: Callable[[str, T], None] | None = None,
        wanted: Callable[[Surface], bool] = lambda surface: True,
    ) -> list[Outcome[T]]:
        """Every plugin's outcome for a surface, in the plugins' order; `snapshot` is None for the whole workspace."""
        await self._session.settled()
        uri, language = (snapshot.uri, snapshot.language) if snapshot is not None else ("", None)
        asked = [found for found in self._session.host.ready(kind, language) if wanted(found[1].surface)]
        if not asked:
            self._session.note(uri, kind, Nothing("no-plugin", "No plugin serves this."))
            return []

        def listener(entry: Entry) -> Callable[[T], None] | None:
            return None if on_item is None else lambda item: on_item(entry.name, item)

        outcomes = await together(
            self.call(entry, method, arguments, accept, on_item=listener(entry)) for entry, method in asked
        )
        for outcome in outcomes:
            self.note(uri, kind, outcome)
            if outcome.reasons:
                self._session.refresher.fell_short(kind)
        if snapshot is not None and any(why.reason == "not-saved" for outcome in outcomes for why in outcome.reasons):
            self._session.refresher.waits_for_save(snapshot, kind)
        return outcomes

    async def call(
        self,
        entry: Entry,
        method: Method,
        arguments: Sequence[Any],
        accept: Callable[[Any], T],
        *,
        keywords: Mapping[str, Any] | None = None,
        on_item: Callable[[T], None] | None = None,
    ) -> Outcome[T]:
        """One plugin's outcome."""
        handle = self._session.engine_handle(entry)
        began = time.perf_counter()
        outcome = await self._session.host.call(
            entry,
            method,
            arguments,
            accept,
            timeout_s=self.timeout(method.surface.kind),
            keywords=keywords,
            on_item=on_item,
            waits_for_engine=lambda: handle.waiting,
        )
        log.event(
            "debug",
            "plugin-call",
            id=request_id.get(),
            plugin=entry.name,
            method=method.surface.kind,
            ms=(time.perf_counter() - began) * 1000,
            count=len(outcome.items),
            reason=outcome.failure or next((nothing.reason for nothing in outcome.reasons), ""),
        )
        return outcome

    def note(self, uri: str, kind: str, outcome: Outcome[Any]) -> None:
        """Keep an outcome's reasons."""
        if outcome.items:
            self._session.reasons.clear(uri, kind, outcome.plugin)
        for nothing in outcome.reasons:
            self._session.note(uri, kind, nothing, plugin=outcome.plugin)

    def supersede(self, *key: str) -> None:
        """The running request is now the latest for its key; an earlier one is answered with ContentModified."""
        call = self._session.protocol.current_call()
        if call is None:
            return
        older = self._latest.get(key)
        if older is not None and not older.answered:
            self._session.protocol.end_call(older, CONTENT_MODIFIED, "A newer request replaced this one.")
        self._latest[key] = call
        if len(self._latest) > KEYS:
            self._latest = {key: call for key, call in self._latest.items() if not call.answered}

    def forget(self, uri: str) -> None:
        """The document was closed: nothing that runs for it is wanted."""
        for key in [key for key in self._latest if key[0] == uri]:
            self.drop(*key)

    def drop(self, *key: str) -> None:
        """End the running request of a key."""
        call = self._latest.pop(key, None)
        if call is not None and not call.answered:
            self._session.note(key[0], key[1], Nothing("content-modified"), request=call.id)
            self._session.protocol.end_call(call, CONTENT_MODIFIED, "The document changed.")


def content_modified() -> Failed:
    """The error for an answer that no longer fits the text."""
    return Failed(CONTENT_MODIFIED, "The document changed.")
