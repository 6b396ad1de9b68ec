"""Ghost text: asked of the plugins in order, streamed to clients that take partial results, else a first line at once.

A client without partial results gets one reply. It is sent as soon as a first line is certain, and the plugin's stream
goes on behind it: the user's next keystrokes along that line ask again, and the plugin serves them from the stream.
The stream ends by itself, or when the next request has been answered, or a moment after an edit that no request
follows, or when the document closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from inkling.api import GhostText, Nothing, Position, Snapshot
from inkling.lsp.checks import check_ghost

if TYPE_CHECKING:
    from inkling.lsp.session import Session
    from inkling.plugins import Entry, Method, Outcome

KIND = "inline_completion"
LINGER_S = 1.0
"""How long a kept stream waits for a request after an edit."""


class Ghosts:
    """The ghost text of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kept: dict[str, asyncio.Task[Outcome[GhostText]]] = {}
        self._asking: dict[str, int] = {}

    async def ask(
        self, snapshot: Snapshot, position: Position, invoked: bool, on_growth: Callable[[GhostText], None] | None
    ) -> GhostText | None:
        """The first plugin's ghost text: all of it when `on_growth` gets the growing versions, else at least a line."""
        session, uri = self._session, snapshot.uri
        await session.settled()
        earlier = self._kept.get(uri)
        self._asking[uri] = self._asking.get(uri, 0) + 1
        try:
            asked = session.host.ready(KIND, snapshot.language)
            if not asked:
                session.note(uri, KIND, Nothing("no-plugin", "No plugin completes this language."))
            for entry, method in asked:
                ghost = await self._ask_one(entry, method, snapshot, position, invoked, on_growth)
                if ghost is not None:
                    session.reasons.clear(uri, KIND, entry.name)
                    return ghost
            return None
        finally:
            self._asking[uri] -= 1
            if not self._asking[uri]:
                del self._asking[uri]
            if earlier is not None:
                earlier.cancel()
                if self._kept.get(uri) is earlier:
                    del self._kept[uri]

    async def _ask_one(
        self,
        entry: Entry,
        method: Method,
        snapshot: Snapshot,
        position: Position,
        invoked: bool,
        on_growth: Callable[[GhostText], None] | None,
    ) -> GhostText | None:
        latest: GhostText | None = None
        news = asyncio.Event()

        def grow(ghost: GhostText) -> None:
            nonlocal latest
            if ghost.text and (latest is None or ghost != latest):
                latest = ghost
                news.set()
                if on_growth is not None:
                    on_growth(ghost)

        session = self._session
        call = session.dispatch.call(entry, method, (snapshot, position, invoked), check_ghost, on_item=grow)
        work = asyncio.create_task(call)
        work.add_done_callback(lambda task: news.set())
        keep = False
        try:
            while not work.done():
                await news.wait()
                news.clear()
                if on_growth is None and latest is not None and not work.done():
                    line = first_line(latest)
                    if line is not None:
                        keep = True
                        self._keep(snapshot.uri, work)
                        return line
            outcome = work.result()
        finally:
            if not keep and not work.done():
                work.cancel()
        if outcome.items and outcome.items[-1].text:
            return outcome.items[-1]
        session.dispatch.note(snapshot.uri, KIND, outcome)
        if not outcome.reasons:
            session.note(snapshot.uri, KIND, Nothing("nothing", "The plugin had no suggestion."), plugin=entry.name)
        return None

    def _keep(self, uri: str, work: asyncio.Task[Outcome[GhostText]]) -> None:
        if (older := self._kept.pop(uri, None)) is not None:
            older.cancel()
        self._kept[uri] = work

        def done(task: asyncio.Task[Outcome[GhostText]]) -> None:
            if self._kept.get(uri) is task:
                del self._kept[uri]

        work.add_done_callback(done)

    def edited(self, uri: str) -> None:
        """The text changed: a kept stream is for nothing unless a request comes soon."""
        kept = self._kept.get(uri)
        if kept is not None:
            asyncio.get_running_loop().call_later(LINGER_S, self._end_if_unwanted, uri, kept)

    def _end_if_unwanted(self, uri: str, kept: asyncio.Task[Outcome[GhostText]]) -> None:
        if self._kept.get(uri) is kept and uri not in self._asking:
            self.stop(uri)

    def stop(self, uri: str) -> None:
        """The document was closed."""
        if (kept := self._kept.pop(uri, None)) is not None:
            kept.cancel()

    def stop_all(self) -> None:
        """The session is over."""
        for uri in list(self._kept):
            self.stop(uri)


def first_line(ghost: GhostText) -> GhostText | None:
    """The text up to the end of the first line that is not blank, once that is there; all of it when complete."""
    if ghost.complete:
        return ghost
    lead = len(ghost.text) - len(ghost.text.lstrip())
    end = ghost.text.find("\n", lead)
    return None if end < 0 else GhostText(ghost.text[:end].removesuffix("\r"), ghost.range, complete=False)
