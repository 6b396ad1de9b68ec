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
    from inkling.lsp.documents import Splice
    from inkling.lsp.session import Session

TRIES = 5
ECHO_S = 5.0
"""How long a client may take to send the `didChange` of an edit that it applied."""


class GrowingText:
    """Satisfies `inkling.api.EditStream`. Pieces written while one is being applied go together in the next."""

    def __init__(self, session: Session, snapshot: Snapshot, position: Position, label: str) -> None:
        mirror = session.documents.mirror(snapshot.uri)
        start = snapshot.offset(position)
        moved = mirror.rebase_offsets(snapshot.revision, start, start) if mirror is not None else None
        if mirror is None or moved is None:
            raise InklingError("document-changed", "The text has changed since.", "Please try again.")
        self._session = session
        self._mirror = mirror
        self._label = label
        self._eol = snapshot.eol
        self._start = self._end = moved[0]
        self._awaited = ""
        self._waiting = self._half = ""
        self._failure: InklingError | None = None
        self._over = False
        self._echoed = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        mirror.watchers.add(self._follow)

    async def write(self, text: str) -> None:
        """Append. Raises `document-changed` when the user typed there, or closed the document."""
        self._check()
        text = self._half + text
        self._half = "\r" if text.endswith("\r") else ""  # perhaps half of a line end
        self._put(text.removesuffix("\r") if self._half else text)
        await asyncio.sleep(0)

    def _put(self, text: str) -> None:
        self._waiting += text.replace("\r\n", "\n").replace("\n", self._eol)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._apply_waiting())

    async def finish(self) -> None:
        """Wait until everything has been applied."""
        try:
            if self._half:
                self._half = ""
                self._put("\r")
            if self._pump is not None:
                await self._pump
            self._check()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Write no more. What waits is dropped here: in Python 3.11, `wait_for` loses a cancel that meets an echo."""
        self._waiting, self._over = "", True
        self._mirror.watchers.discard(self._follow)
        if self._pump is not None:
            self._pump.cancel()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _apply_waiting(self) -> None:
        try:
            while self._waiting:
                text, self._waiting = self._waiting, ""
                await self._apply(text)
        except InklingError as error:
            self._failure = self._failure or error

    async def _apply(self, text: str) -> None:
        from inkling.lsp.editor import apply_edit

        for attempt in range(TRIES):
            if self._over:
                return
            self._check()
            now = self._mirror.document.snapshot
            here = now.position(self._end)
            edit = self._session.edge.workspace_edit([(now, Edit(Range(here, here), text))])
            self._awaited = text
            self._echoed.clear()
            try:
                await apply_edit(self._session, edit, self._label)
            except InklingError:
                self._awaited = ""
                if attempt == TRIES - 1 or self._session.documents.is_current(now):
                    raise
            else:
                await self._wait_for_echo()
                return

    async def _wait_for_echo(self) -> None:
        """Until the mirror shows the piece."""
        try:
            await asyncio.wait_for(self._echoed.wait(), ECHO_S)
        except TimeoutError:
            self._check()
            raise InklingError(
                "edit-refused", "The editor said that it applied an edit, but did not show it."
            ) from None
        self._check()

    def _follow(self, splice: Splice | None) -> None:
        """An edit has reached the mirror: move the region along, or give up."""
        if splice is None:
            self._failure = InklingError("document-changed", "The document was closed.")
            self._echoed.set()
            return
        _, first, last, end_after = splice
        growth = end_after - last
        if self._is_echo(growth):
            self._end += len(self._awaited)
            self._awaited = ""
            self._echoed.set()
        elif last <= self._start and (last < self._start or self._start < self._end or first < last):
            self._start += growth
            self._end += growth
        elif not (first > self._end or (first == self._end and first < last)):
            self._failure = InklingError("document-changed", "The text was edited where Inkling was writing.")
            self._mirror.watchers.discard(self._follow)
            self._echoed.set()

    def _is_echo(self, growth: int) -> bool:
        """Whether an edit is the piece that we had applied.

        Judged by what the text is now: an editor that compares texts may place an insertion elsewhere among equal
        characters, and one without incremental sync sends everything.
        """
        size = len(self._awaited)
        at_end = self._mirror.document.snapshot.slice(self._end, self._end + size)
        return bool(size) and growth == size and at_end == self._awaited
