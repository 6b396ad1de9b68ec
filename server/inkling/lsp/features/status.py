"""`inkling/status`: what runs, what is off and why, and where text goes. `inkling/statusChanged` says to ask again."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the request."""

    @session.server.feature("inkling/status")
    def status(params: Any) -> Awaitable[dict[str, Any]]:
        return answer()

    async def answer() -> dict[str, Any]:
        from inkling.engine.remote.where import text_goes

        configuration = session.configuration
        return {
            "server": {"name": session.server.name, "version": session.server.version, "pid": os.getpid()},
            "plugins": [
                {
                    "name": entry.name,
                    "from": entry.distribution,
                    "state": entry.state,
                    "reason": entry.reason,
                    "detail": entry.detail,
                    "surfaces": sorted({method.surface.kind for method in entry.methods}),
                }
                for entry in session.host.entries
            ],
            "engine": await session.engine.status(),
            "workspace": {
                "folders": [path.as_uri() for path in configuration.roots if path.is_absolute()],
                "trusted": configuration.trusted,
            },
            "documents": [
                {
                    "uri": snapshot.uri,
                    "version": snapshot.version,
                    "language": snapshot.language,
                    "length": len(snapshot),
                    "excluded": session.excluded(snapshot.uri),
                }
                for snapshot in session.documents.recent()
            ],
            "reasons": [reason.as_json() for reason in session.reasons.of()],
            "requests": {"running": session.protocol.running, "givenUp": session.host.strays},
            "text": text_goes(configuration.engine),
        }
