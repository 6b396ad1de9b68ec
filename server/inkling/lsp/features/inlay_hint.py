"""`textDocument/inlayHint`: all plugins' hints within what the user looks at."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import InlayHint, Range, Snapshot
from inkling.lsp.checks import check_hint
from inkling.lsp.dispatch import content_modified

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "inlay_hints"


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.TEXT_DOCUMENT_INLAY_HINT, types.InlayHintOptions(resolve_provider=False))
    def inlay_hint(params: types.InlayHintParams) -> Awaitable[list[types.InlayHint]] | list[types.InlayHint]:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return []
        span = session.edge.range(snapshot, params.range)
        # two editors may look at two places of one document
        session.dispatch.supersede(snapshot.uri, KIND, str(span.start.line))
        return answer(snapshot, span)

    async def answer(snapshot: Snapshot, span: Range) -> list[types.InlayHint]:
        outcomes = await session.dispatch.ask(KIND, snapshot, (snapshot, span), check_hint)
        now = session.documents.snapshot(snapshot.uri)
        if now is None:
            raise content_modified()
        found = [hint for outcome in outcomes for hint in outcome.items if span.start <= hint.position <= span.end]
        return [shown for hint in found if (shown := place(snapshot, now, hint)) is not None]

    def place(snapshot: Snapshot, now: Snapshot, hint: InlayHint) -> types.InlayHint | None:
        span = session.documents.rebase(snapshot, Range(hint.position, hint.position))
        if span is None:
            return None
        return types.InlayHint(
            position=session.edge.to_range(now, span).start,
            label=hint.label,
            tooltip=types.MarkupContent(types.MarkupKind.Markdown, hint.tooltip) if hint.tooltip else None,
            padding_left=hint.padding_left or None,
            padding_right=hint.padding_right or None,
        )
