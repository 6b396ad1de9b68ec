"""The editor as a plugin sees it (`inkling.api.Editor`): progress, edits, messages, settings, other documents."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from inkling.api import Edit, EditStream, InklingError, Nothing, Position, Progress, Range, Severity, Snapshot
from inkling.lsp.checks import check_edit
from inkling.lsp.edit_stream import GrowingText
from inkling.lsp.greeting import local_path
from inkling.lsp.page import Page, shows_pages
from inkling.lsp.refresh import SURFACES
from inkling.lsp.texts import file_name

if TYPE_CHECKING:
    from inkling.lsp.session import Session


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
        elif shows_pages(session):
            await Page(session, title, language).show(text)
        elif session.client.can("window.showDocument"):
            path = await asyncio.to_thread(_write_text, session, title, text, language)
            params = types.ShowDocumentParams(uri=path.as_uri(), take_focus=True)
            with contextlib.suppress(JsonRpcException, TimeoutError):
                await session.protocol.ask(types.WINDOW_SHOW_DOCUMENT, params)
        else:
            session.show_message(f"{title}\n\n{text}", Severity.INFORMATION)

    @contextlib.asynccontextmanager
    async def show_stream(self, title: str, language: str = "markdown") -> AsyncGenerator[EditStream, None]:
        """As `show_text`, while it comes; what came before a failure stays on the screen."""
        if not shows_pages(self._session) or self._session.client.can("experimental.inkling.showText"):
            whole = _Whole()
            yield whole
            if text := whole.text.lstrip():
                await self.show_text(title, text, language)
            return
        page = Page(self._session, title, language)
        try:
            yield page
        finally:
            await page.finish()

    async def open(self, uri: str, range: Range | None = None) -> None:
        """Show a document with a selection, or else say where to look."""
        session = self._session
        if session.client.can("window.showDocument"):
            (selection,) = await session.workspace.to_ranges([(uri, range)]) if range is not None else (None,)
            params = types.ShowDocumentParams(uri=uri, take_focus=True, selection=selection)
            with contextlib.suppress(JsonRpcException, TimeoutError):
                if (await session.protocol.ask(types.WINDOW_SHOW_DOCUMENT, params)).success:
                    return
        line = f":{range.start.line + 1}" if range is not None else ""
        session.show_message(f"Look at {local_path(uri) or uri}{line}", Severity.INFORMATION)

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        """Ask the user, for half the time that a command may take."""
        session = self._session
        items = [types.MessageActionItem(str(option)) for option in options]
        params = types.ShowMessageRequestParams(types.MessageType.Info, str(title), items)
        patience = session.configuration.server.timeouts.command / 2
        try:
            chosen = await session.protocol.ask(types.WINDOW_SHOW_MESSAGE_REQUEST, params, timeout_s=patience)
        except (JsonRpcException, TimeoutError):
            return None
        return chosen.title if chosen is not None and chosen.title in options else None

    def refresh(self, surface: str) -> None:
        """Have a surface shown anew."""
        if surface not in SURFACES:
            raise ValueError(f"{surface} is none of {', '.join(SURFACES)}")
        if surface == "diagnostics":
            self._session.diagnoser.outdate()
        self._session.refresher.refresh(surface)

    def workspace_folders(self) -> Sequence[Path]:
        """The workspace's folders on this machine."""
        return tuple(self._session.configuration.roots)

    def files(self, skipped: Callable[[str, Nothing], None] | None = None) -> AsyncGenerator[Snapshot, None]:
        """The workspace's text files."""
        return self._session.workspace.files(skipped)

    def cache_folder(self) -> Path:
        """A private folder for what this plugin has computed for this workspace."""
        return self._session.workspace.cache_folder(self._plugin)

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

    def is_saved(self, snapshot: Snapshot) -> bool:
        """Whether the document is as it was opened or last saved."""
        return self._session.documents.is_saved(snapshot)

    def documents(self) -> Sequence[Snapshot]:
        """The open documents that plugins may see, most recently used first."""
        return [snapshot for snapshot in self._session.documents.recent() if not self._session.excluded(snapshot.uri)]


class _Whole:
    """A stream for a client that is shown all of it at the end."""

    def __init__(self) -> None:
        self.text = ""

    async def write(self, text: str) -> None:
        self.text += text


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
    path = folder / file_name(title, language)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text)
    return path
