"""`workspace/symbol`: all plugins' symbols for a query. It is about no document, so its reasons have no URI."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import Symbol
from inkling.lsp.checks import SYMBOL_KINDS, check_symbol

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "workspace_symbols"


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.WORKSPACE_SYMBOL)
    def workspace_symbol(params: types.WorkspaceSymbolParams) -> Awaitable[list[types.SymbolInformation]]:
        session.dispatch.supersede("", KIND)
        return answer(params.query)

    async def answer(query: str) -> list[types.SymbolInformation]:
        outcomes = await session.dispatch.ask(KIND, None, (query,), check_symbol)
        symbols = [symbol for outcome in outcomes for symbol in outcome.items if not session.excluded(symbol.uri)]
        ranges = await session.workspace.to_ranges((symbol.uri, symbol.range) for symbol in symbols)
        return [information(symbol, span) for symbol, span in zip(symbols, ranges, strict=True)]


def information(symbol: Symbol, span: types.Range) -> types.SymbolInformation:
    """The symbol in the protocol's terms."""
    return types.SymbolInformation(
        name=symbol.name,
        kind=types.SymbolKind(SYMBOL_KINDS.index(symbol.kind) + 1),
        location=types.Location(symbol.uri, span),
        container_name=symbol.container or None,
    )
