"""Settings and folders that change during a session, and trust that is granted later (`inkling/trustChanged`)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from inkling.lsp.features.initialize import ask_configuration
from inkling.lsp.greeting import local_path

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the four methods."""

    @session.server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def did_change_configuration(params: types.DidChangeConfigurationParams) -> None:
        pushed = params.settings.get("inkling", params.settings) if isinstance(params.settings, Mapping) else None
        if pushed:
            session.configuration.set_client(pushed)
        elif session.client.can("workspace.configuration"):
            with contextlib.suppress(JsonRpcException, TimeoutError):
                await ask_configuration(session)
        await session.reload_settings()

    @session.server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def did_change_watched_files(params: types.DidChangeWatchedFilesParams) -> None:
        await session.reload_settings()

    @session.server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def did_change_workspace_folders(params: types.DidChangeWorkspaceFoldersParams) -> None:
        gone = {local_path(folder.uri) for folder in params.event.removed}
        added = [path for folder in params.event.added if (path := local_path(folder.uri)) is not None]
        kept = [path for path in session.configuration.roots if path not in gone]
        session.configuration.roots = kept + [path for path in added if path not in kept]
        await session.reload_settings()

    @session.server.feature("inkling/trustChanged")
    async def trust_changed(params: Any) -> None:
        if isinstance(params, Mapping) and isinstance(params.get("trusted"), bool):
            session.configuration.trusted = params["trusted"]
            await session.reload_settings()
