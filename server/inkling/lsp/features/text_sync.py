"""`textDocument/didOpen`, `didChange`, `didSave`, `didClose`: keep the mirror, and end work on text that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.lsp.ghosts import KIND as INLINE

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the four methods."""

    @session.server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        opened(session, params.text_document)

    @session.server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        changed(session, params.text_document.uri, params.text_document.version, params.content_changes)

    @session.server.feature(types.TEXT_DOCUMENT_DID_SAVE, types.SaveOptions(include_text=False))
    def did_save(params: types.DidSaveTextDocumentParams) -> None:
        uri = params.text_document.uri
        session.documents.save(uri)
        session.refresher.saved(uri)
        if uri.endswith(("/inkling.toml", "/pyproject.toml")):  # for clients that watch no files
            session.protocol.in_background(session.reload_settings(), "reload-settings")

    @session.server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        closed(session, params.text_document.uri)


def opened(session: Session, item: types.TextDocumentItem, notebook: str = "") -> None:
    """A document or a notebook's cell was opened."""
    session.documents.open(item, notebook)
    session.diagnoser.changed(item.uri)


def changed(session: Session, uri: str, version: int, changes: Sequence[types.TextDocumentContentChangeEvent]) -> None:
    """A document or a notebook's cell was edited."""
    if session.documents.change(uri, version, changes) is not None:
        session.dispatch.drop(uri, INLINE)
        session.ghosts.edited(uri)
        session.diagnoser.changed(uri)


def closed(session: Session, uri: str) -> None:
    """A document or a notebook's cell was closed."""
    if session.documents.close(uri):
        session.dispatch.forget(uri)
        session.ghosts.stop(uri)
        session.diagnoser.closed(uri)
        session.reasons.forget(uri)
        session.refresher.closed(uri)
