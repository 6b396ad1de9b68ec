"""Text growing inside the user's document while they go on typing elsewhere: nothing of theirs is ever lost.

The written region is followed through every edit since it began. An edit before or behind it moves it; an edit in or
directly at it ends the stream politely, and what was written stays. Each piece is applied to the version that the
client has just told us about; when the client refuses it because the user was faster, it is tried on the next.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from inkling.api import Edit, InklingError, Position, Range, Snapshot

if TYPE_CHECKING:
    from inkling.lsp.session import Session

TRIES = 5
ECHO_S = 5.0
"""How long a client may take to send the `didChange` of an edit that it applied."""


class GrowingText:
    """Satisfies `inkling.api.EditStream`. Pieces written while one is being applied go together in the next."""

    def __init__(self, session: Session, snapshot: Snapshot, position: Position, label: str) -> None:
        self._session = session
        self._uri = snapshot.uri
        self._label = label
        self._eol = snapshot.eol
        self._start = self._end = snapshot.offset(position)
        self._revision = snapshot.revision
        self._awaited = ""
        self._waiting = ""
        self._pump: asyncio.Task[None] | None = None

    async def write(self, text: str) -> None:
        """Append. Raises `document-changed` when the user typed there, or closed the document."""
        self._raise_failure()
        self._waiting += text.replace("\r\n", "\n").replace("\n", self._eol)
        self._catch_up()
        if self._pump is None:
            self._pump = asyncio.create_task(self._apply_waiting())
        await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait until everything has been applied."""
        if self._pump is not None:
            await self._pump

    def abandon(self) -> None:
        """Write no more."""
        if self._pump is not None:
            self._pump.cancel()

    def _raise_failure(self) -> None:
        if self._pump is not None and self._pump.done():
            pump, self._pump = self._pump, None
            pump.result()

    async def _apply_waiting(self) -> None:
        while self._waiting:
            text, self._waiting = self._waiting, ""
            await self._apply(text)

    async def _apply(self, text: str) -> None:
        from inkling.lsp.editor import apply_edit

        for attempt in range(TRIES):
            now = self._catch_up()
            here = now.position(self._end)
            edit = self._session.edge.workspace_edit([(now, Edit(Range(here, here), text))])
            self._awaited = text
            try:
                await apply_edit(self._session, edit, self._label)
            except InklingError:
                self._awaited = ""
                if attempt == TRIES - 1 or self._session.documents.is_current(now):
                    raise
            else:
                await self._echo()
                return

    async def _echo(self) -> None:
        """Wait until the mirror shows the piece."""
        deadline = asyncio.get_running_loop().time() + ECHO_S
        while self._awaited:
            self._catch_up()
            if not self._awaited:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise InklingError("edit-refused", "The editor said that it applied an edit, but did not show it.")
            await asyncio.sleep(0.002)

    def _catch_up(self) -> Snapshot:
        """Follow the region to the present text."""
        mirror = self._session.documents.mirror(self._uri)
        if mirror is None:
            raise InklingError("document-changed", "The document was closed.")
        now = mirror.document.snapshot
        for revision, first, last, end_after in mirror.since(self._revision):
            self._revision = revision
            if self._is_echo(now, revision, end_after - last):
                self._end += len(self._awaited)
                self._awaited = ""
            elif last <= self._start and (last < self._start or self._start < self._end or first < last):
                self._start += end_after - last
                self._end += end_after - last
            elif not (first > self._end or (first == self._end and first < last)):
                raise InklingError("document-changed", "The text was edited where Inkling was writing.")
        return now

    def _is_echo(self, now: Snapshot, revision: int, growth: int) -> bool:
        """Whether an edit is the piece that we had applied.

        Judged by what the text is now: an editor that compares texts may place an insertion elsewhere among equal
        characters, and one without incremental sync sends everything.
        """
        size = len(self._awaited)
        at_end = now.slice(self._end, self._end + size)
        return bool(size) and revision == now.revision and growth == size and at_end == self._awaited
