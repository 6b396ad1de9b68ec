"""`textDocument/semanticTokens/full` and `/range`: all plugins' tokens, as the protocol's five numbers each.

Colours follow the text of the moment: an answer that the text has outrun is given up, and the client asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import SEMANTIC_MODIFIERS, SEMANTIC_TYPES, Range, Snapshot
from inkling.lsp.checks import check_token
from inkling.lsp.dispatch import content_modified
from inkling.lsp.token_numbers import numbers

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "semantic_tokens"
AT_ONCE = 500
"""Tokens that are turned into numbers without leaving the event loop."""

Reply = types.SemanticTokens | None


def register(session: Session) -> None:
    """Register both methods."""
    legend = types.SemanticTokensLegend(list(SEMANTIC_TYPES), list(SEMANTIC_MODIFIERS))
    options = types.SemanticTokensRegistrationOptions(legend=legend, full=True, range=True)

    @session.server.feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, options)
    def full(params: types.SemanticTokensParams) -> Awaitable[Reply] | Reply:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return None
        session.dispatch.supersede(snapshot.uri, KIND, "full")
        return answer(snapshot, snapshot.range(0, len(snapshot)))

    @session.server.feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE)
    def within(params: types.SemanticTokensRangeParams) -> Awaitable[Reply] | Reply:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return None
        span = session.edge.range(snapshot, params.range)
        session.dispatch.supersede(snapshot.uri, KIND, str(span.start.line))
        return answer(snapshot, span)

    async def answer(snapshot: Snapshot, span: Range) -> Reply:
        outcomes = await session.dispatch.ask(KIND, snapshot, (snapshot, span), check_token)
        tokens = [token for outcome in outcomes for token in outcome.items if meets(token.range, span)]
        data = (
            await asyncio.to_thread(numbers, snapshot, tokens, session.edge.encoding, session.client)
            if len(tokens) > AT_ONCE
            else numbers(snapshot, tokens, session.edge.encoding, session.client)
        )
        if not session.documents.is_current(snapshot):
            raise content_modified()
        return types.SemanticTokens(data=data)


def meets(one: Range, other: Range) -> bool:
    """Whether two ranges have text in common or touch."""
    spans: Sequence[Range] = (one, other)
    return max(span.start for span in spans) <= min(span.end for span in spans)
