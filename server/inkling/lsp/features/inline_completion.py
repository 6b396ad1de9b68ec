"""`textDocument/inlineCompletion`: ghost text.

With a `partialResultToken`, each `$/progress` carries one item: all the text known so far, in place of the item before
it; the reply is then empty, as the protocol has it. Without one, the reply is the first line or the whole.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import GhostText, Position, Snapshot
from inkling.lsp.dispatch import content_modified
from inkling.lsp.ghosts import KIND
from inkling.lsp.inline_types import InlineCompletionParams

if TYPE_CHECKING:
    from inkling.lsp.session import Session

Reply = list[types.InlineCompletionItem] | None


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    def inline_completion(params: InlineCompletionParams) -> Awaitable[Reply] | Reply:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return None
        session.dispatch.supersede(snapshot.uri, KIND)
        session.documents.touch(snapshot.uri)
        position = session.edge.position(snapshot, params.position)
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        if params.partial_result_token is None:
            return answer(snapshot, position, invoked)
        return stream(snapshot, position, invoked, params.partial_result_token)

    async def answer(snapshot: Snapshot, position: Position, invoked: bool) -> Reply:
        ghost = await session.ghosts.ask(snapshot, position, invoked, None)
        if not session.documents.is_current(snapshot):
            raise content_modified()
        return None if ghost is None else [session.edge.inline_item(snapshot, position, ghost)]

    async def stream(snapshot: Snapshot, position: Position, invoked: bool, token: types.ProgressToken) -> Reply:
        def grow(ghost: GhostText) -> None:
            item = session.edge.inline_item(snapshot, position, ghost)
            session.protocol.notify(types.PROGRESS, types.ProgressParams(token, [session.protocol.encode(item)]))

        ghost = await session.ghosts.ask(snapshot, position, invoked, grow)
        if not session.documents.is_current(snapshot):
            raise content_modified()
        return None if ghost is None else []
