"""`$/setTrace`: send the log's lines to the client too. They hold no text, so `messages` and `verbose` say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.SET_TRACE)
    def set_trace(params: types.SetTraceParams) -> None:
        session.set_trace(str(getattr(params.value, "value", params.value)))
