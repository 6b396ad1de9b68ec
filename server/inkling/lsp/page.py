"""A read-only document of ours in the client, which may grow while it is shown (`workspace/textDocumentContent`)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

if TYPE_CHECKING:
    from inkling.lsp.session import Session

FRAME_S = 0.15
"""Between two growths; each costs the client a request for the whole text."""


def shows_pages(session: Session) -> bool:
    """Whether the client knows such documents, and opens one when it is asked."""
    return session.client.can("window.showDocument") and session.client.can("workspace.textDocumentContent")


class Page:
    """Satisfies `inkling.api.EditStream`; for a client for which `shows_pages`."""

    def __init__(self, session: Session, title: str, language: str) -> None:
        self._session, self._title, self._language = session, title, language
        self._text = ""
        self._shown = 0
        self._is_open = False
        self._growing: asyncio.Task[None] | None = None

    async def write(self, text: str) -> None:
        """Append; shown from the first word on. A client that fails to show it loses nothing but the sight."""
        self._text = (self._text + text).lstrip()
        if self._growing is None and len(self._text) > self._shown:
            self._growing = asyncio.create_task(self._grow())

    async def finish(self) -> None:
        """Returns when all of it is shown."""
        if self._growing is not None:
            await self._growing

    async def show(self, text: str) -> None:
        """Show all of a text at once."""
        self._text = text
        await self._show()

    async def _grow(self) -> None:
        while self._shown < len(self._text):
            await self._show()
            await asyncio.sleep(FRAME_S)
        self._growing = None

    async def _show(self) -> None:
        """The client is told where it is once, so that it takes the focus once."""
        ask = self._session.protocol.ask
        self._shown = len(self._text)
        uri, known = self._session.texts.put(self._title, self._text, self._language)
        with contextlib.suppress(JsonRpcException, TimeoutError):
            if known:
                refresh = types.TextDocumentContentRefreshParams(uri)
                await ask(types.WORKSPACE_TEXT_DOCUMENT_CONTENT_REFRESH, refresh)
            if not self._is_open:
                self._is_open = True
                await ask(types.WINDOW_SHOW_DOCUMENT, types.ShowDocumentParams(uri, take_focus=True))
