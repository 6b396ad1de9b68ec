"""`textDocument/hover`: all plugins' hovers, one under the other."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from inkling.api import Hover, Position, Range, Snapshot
from inkling.lsp.checks import check_hover
from inkling.lsp.dispatch import content_modified

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "hover"
RULE = "\n\n---\n\n"


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> Awaitable[types.Hover | None] | None:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return None
        session.dispatch.supersede(snapshot.uri, KIND)
        return answer(snapshot, session.edge.position(snapshot, params.position))

    async def answer(snapshot: Snapshot, position: Position) -> types.Hover | None:
        outcomes = await session.dispatch.ask(KIND, snapshot, (snapshot, position), check_hover)
        hovers = [hover for outcome in outcomes for hover in outcome.items]
        if not hovers:
            return None
        return merge(snapshot, position, hovers)

    def merge(snapshot: Snapshot, position: Position, hovers: list[Hover]) -> types.Hover:
        now = session.documents.snapshot(snapshot.uri)
        place = session.documents.rebase(snapshot, Range(position, position))
        if now is None or place is None:
            raise content_modified()
        parts: list[str] = []
        shown: Range | None = None
        for hover in hovers:
            span = None if hover.range is None else session.documents.rebase(snapshot, Range(*hover.range))
            if hover.range is not None and span is None:
                continue  # it speaks of text that has changed since
            shown = shown or span
            parts.append(hover.markdown)
        if not parts:
            raise content_modified()
        formats: Any = session.client.get("textDocument.hover.contentFormat")
        plain = isinstance(formats, list) and "markdown" not in formats
        kind = types.MarkupKind.PlainText if plain else types.MarkupKind.Markdown
        contents = types.MarkupContent(kind, RULE.join(parts))
        return types.Hover(contents, None if shown is None else session.edge.to_range(now, shown))
