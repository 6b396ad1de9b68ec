"""The editor as a plugin sees it (`inkling.api.Editor`): progress, edits, messages, settings, other documents."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from inkling.api import Edit, EditStream, InklingError, Position, Progress, Severity, Snapshot
from inkling.lsp.convert import check_edit
from inkling.lsp.edit_stream import GrowingText

if TYPE_CHECKING:
    from inkling.lsp.session import Session

_SUFFIXES = {"markdown": ".md", "python": ".py", "json": ".json", "plaintext": ".txt"}


class SessionEditor:
    """One plugin's editor."""

    def __init__(self, session: Session, plugin: str) -> None:
        self._session = session
        self._plugin = plugin

    def progress(self, title: str) -> AbstractAsyncContextManager[Progress]:
        """Show work in progress once it lasts."""
        return self._session.progresses.for_plugin(title)

    @contextlib.asynccontextmanager
    async def stream(self, snapshot: Snapshot, position: Position, label: str) -> AsyncGenerator[EditStream, None]:
        """Open a stream of text into the document at `position`; at the end of the block all of it has been applied."""
        growing = GrowingText(self._session, snapshot, position, label)
        try:
            yield growing
        except BaseException:
            growing.abandon()
            raise
        await growing.finish()

    async def apply(self, snapshot: Snapshot, edits: Sequence[Edit], label: str) -> None:
        """Apply edits made for `snapshot`, moved along when the document changed elsewhere."""
        placed = place_edits(self._session, snapshot, edits)
        await apply_edit(self._session, self._session.edge.workspace_edit(placed), label)

    async def show_message(self, text: str, severity: Severity = Severity.INFORMATION) -> None:
        """One short message."""
        self._session.show_message(str(text), Severity(severity))

    async def show_text(self, title: str, text: str, language: str = "markdown") -> None:
        """A longer text in a place of its own: a document of the client's, a temporary file, or else a message."""
        session = self._session
        if session.client.can("experimental.inkling.showText"):
            session.protocol.notify("inkling/showText", {"title": title, "text": text, "language": language})
        elif session.client.can("window.showDocument"):
            path = await asyncio.to_thread(_write_text, session, title, text, language)
            params = types.ShowDocumentParams(uri=path.as_uri(), take_focus=True)
            with contextlib.suppress(JsonRpcException, TimeoutError):
                await session.protocol.ask(types.WINDOW_SHOW_DOCUMENT, params)
        else:
            session.show_message(f"{title}\n\n{text}", Severity.INFORMATION)

    async def change_setting(self, key: str, value: Any) -> None:
        """Write a setting into the first workspace folder's inkling.toml, and apply it at once."""
        from inkling.settings import change_setting

        roots = self._session.configuration.roots
        if not roots:
            raise InklingError(
                "no-workspace", f"There is no workspace folder to write {key} into.", "Open a folder first."
            )
        await asyncio.to_thread(change_setting, roots[0], key, value)
        await self._session.reload_settings()

    def documents(self) -> Sequence[Snapshot]:
        """The open documents that plugins may see, most recently used first."""
        return [snapshot for snapshot in self._session.documents.recent() if not self._session.excluded(snapshot.uri)]


def place_edits(session: Session, snapshot: Snapshot, edits: Sequence[Edit]) -> list[tuple[Snapshot, Edit]]:
    """The edits in the present text; raises `document-changed` when one no longer fits."""
    now = session.documents.snapshot(snapshot.uri)
    placed = []
    for edit in map(check_edit, edits):
        span = session.documents.rebase(snapshot, edit.range)
        if now is None or span is None:
            raise InklingError("document-changed", "The text has changed since.", "Please try again.")
        placed.append((now, Edit(span, edit.new_text)))
    return placed


async def apply_edit(session: Session, edit: types.WorkspaceEdit, label: str) -> None:
    """Have the client apply an edit; raises InklingError when it does not."""
    if not session.client.can("workspace.applyEdit"):
        raise InklingError("edit-refused", "This editor takes no edits from a language server.")
    params = types.ApplyWorkspaceEditParams(edit=edit, label=label)
    try:
        result = await session.protocol.ask(types.WORKSPACE_APPLY_EDIT, params, timeout_s=30.0)
    except TimeoutError:
        raise InklingError("edit-refused", "The editor did not answer to an edit.") from None
    except JsonRpcException:
        raise InklingError("edit-refused", "The editor refused an edit.") from None
    if not result.applied:
        raise InklingError("document-changed", "The editor did not apply the edit.", "Please try again.")


def _write_text(session: Session, title: str, text: str, language: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="inkling-"))  # readable by this user alone
    session.at_end(lambda: shutil.rmtree(folder, ignore_errors=True))
    name = re.sub(r"[^\w.-]+", "-", title).strip("-.")[:60] or "inkling"
    path = folder / (name + _SUFFIXES.get(language, ".txt"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text)
    return path
