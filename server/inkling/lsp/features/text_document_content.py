"""`workspace/textDocumentContent`: the read-only documents in which `Editor.show_text` shows longer texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.lsp.greeting import TEXT_SCHEME

if TYPE_CHECKING:
    from inkling.lsp.session import Session

GONE = "This text is kept no longer. Please ask for it again.\n"


def register(session: Session) -> None:
    """Register the method."""
    options = types.TextDocumentContentRegistrationOptions(schemes=[TEXT_SCHEME])

    @session.server.feature(types.WORKSPACE_TEXT_DOCUMENT_CONTENT, options)
    def text_document_content(params: types.TextDocumentContentParams) -> types.TextDocumentContentResult:
        text = session.texts.get(params.uri)
        return types.TextDocumentContentResult(text=GONE if text is None else text)
