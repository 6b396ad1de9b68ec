"""`textDocument/codeLens`: all plugins' lenses."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import Range, Snapshot
from inkling.lsp.checks import check_lens
from inkling.lsp.dispatch import content_modified

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "code_lenses"


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensOptions(resolve_provider=False))
    def code_lens(params: types.CodeLensParams) -> Awaitable[list[types.CodeLens]] | list[types.CodeLens]:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return []
        session.dispatch.supersede(snapshot.uri, KIND)
        return answer(snapshot)

    async def answer(snapshot: Snapshot) -> list[types.CodeLens]:
        outcomes = await session.dispatch.ask(KIND, snapshot, (snapshot,), check_lens)
        now = session.documents.snapshot(snapshot.uri)
        if now is None:
            raise content_modified()
        lenses = []
        for lens in (lens for outcome in outcomes for lens in outcome.items):
            span = session.documents.rebase(snapshot, Range(*lens.range))
            if span is not None:
                lenses.append(session.edge.code_lens(now, span, lens))
        return lenses
