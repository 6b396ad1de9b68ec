"""`shutdown`: stop all work; what is running is answered first. (`exit` is in `protocol`: it ends the reading.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsprotocol import types

from inkling.lsp.protocol import State

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.SHUTDOWN)
    def shutdown(params: Any) -> None:
        session.protocol.stop_all(except_for=session.protocol.current_call())
        session.diagnoser.stop()
        session.refresher.stop()
        session.protocol.state = State.SHUT_DOWN
