"""`notebookDocument/did…`: every cell is a document of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.lsp.features.text_sync import changed, closed, opened

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the four methods."""

    @session.server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            opened(session, cell, params.notebook_document.uri)

    @session.server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeNotebookDocumentParams) -> None:
        cells = params.change.cells
        if cells is None:
            return
        if cells.structure is not None:
            for cell in cells.structure.did_open or []:
                opened(session, cell, params.notebook_document.uri)
            for gone in cells.structure.did_close or []:
                closed(session, gone.uri)
        for edit in cells.text_content or []:
            changed(session, edit.document.uri, edit.document.version, list(edit.changes))

    @session.server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    def did_save(params: types.DidSaveNotebookDocumentParams) -> None:
        """Nothing depends on a notebook's file."""

    @session.server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            closed(session, cell.uri)
