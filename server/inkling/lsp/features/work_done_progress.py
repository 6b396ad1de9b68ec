"""`window/workDoneProgress/cancel`: the user pressed cancel on a progress of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)
    def cancel(params: types.WorkDoneProgressCancelParams) -> None:
        session.progresses.cancel(params.token)
