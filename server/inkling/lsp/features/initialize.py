"""`initialize` and `initialized`: who the client is, what we offer; then, beside it, settings and the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams

from inkling.lsp.greeting import greet

if TYPE_CHECKING:
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register both methods."""

    @session.server.feature(types.INITIALIZE)
    def initialize(raw: Any) -> Mapping[str, Any]:
        try:
            greeting = greet(raw, session.plugin_points)
        except ValueError:
            raise JsonRpcInvalidParams("The parameters of initialize are not as specified.") from None
        session.meet(greeting)
        return greeting.result

    @session.server.feature(types.INITIALIZED)
    def initialized(raw: Any) -> None:
        session.show_early_messages()
        session.protocol.in_background(settle(), "settle")

    async def settle() -> None:
        if session.client.can("workspace.configuration"):
            with contextlib.suppress(JsonRpcException, TimeoutError):
                await ask_configuration(session)
        await session.reload_settings()
        await watch_files(session)
        if session.configuration.server.start_engine:
            await session.engine.start()


async def ask_configuration(session: Session) -> None:
    """Take the client's section `inkling`, when it has one."""
    item = types.ConfigurationItem(section="inkling")
    found = await session.protocol.ask(types.WORKSPACE_CONFIGURATION, types.ConfigurationParams([item]), timeout_s=5.0)
    if found and isinstance(found[0], Mapping):
        session.configuration.set_client(found[0])


async def watch_files(session: Session) -> None:
    """Have the client tell us when settings files change."""
    registrations = []
    if session.client.get("workspace.didChangeWatchedFiles.dynamicRegistration") is True:
        watchers = [types.FileSystemWatcher(f"**/{name}") for name in ("inkling.toml", "pyproject.toml")]
        options = session.protocol.encode(types.DidChangeWatchedFilesRegistrationOptions(watchers))
        registrations.append(types.Registration("inkling-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options))
    if session.client.get("workspace.didChangeConfiguration.dynamicRegistration") is True:
        options = {"section": "inkling"}
        registrations.append(types.Registration("inkling-settings", types.WORKSPACE_DID_CHANGE_CONFIGURATION, options))
    if registrations:
        with contextlib.suppress(JsonRpcException, TimeoutError):
            await session.protocol.ask(types.CLIENT_REGISTER_CAPABILITY, types.RegistrationParams(registrations))
