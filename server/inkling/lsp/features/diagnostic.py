"""`textDocument/diagnostic`: the client pulls. (For one that does not, `Diagnoser` pushes.)"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import Snapshot
from inkling.lsp.diagnoser import KIND, empty, full
from inkling.lsp.dispatch import content_modified
from inkling.lsp.protocol import Encoded

if TYPE_CHECKING:
    from inkling.lsp.session import Session

Reply = Encoded | types.RelatedFullDocumentDiagnosticReport | types.RelatedUnchangedDocumentDiagnosticReport


def register(session: Session) -> None:
    """Register the method."""
    options = types.DiagnosticOptions(inter_file_dependencies=False, workspace_diagnostics=False, identifier="inkling")

    @session.server.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, options)
    def diagnostic(params: types.DocumentDiagnosticParams) -> Awaitable[Reply] | Reply:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return empty()
        session.dispatch.supersede(snapshot.uri, KIND)
        return answer(snapshot, params.previous_result_id)

    async def answer(snapshot: Snapshot, previous: str | None) -> Reply:
        wire = session.diagnoser.to_wire(await session.diagnoser.compute(snapshot))
        if wire is None:
            raise content_modified()
        if wire.result_id == previous:
            return types.RelatedUnchangedDocumentDiagnosticReport(result_id=previous)
        return full(wire)
