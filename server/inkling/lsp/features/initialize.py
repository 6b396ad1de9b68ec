"""`initialize` and `initialized`: who the client is, what we offer; then, beside it, settings and the engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.capabilities import ServerCapabilitiesBuilder
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.uris import to_fs_path

from inkling.lsp.client import Client
from inkling.lsp.features import execute_command
from inkling.lsp.log import log
from inkling.lsp.protocol import State

if TYPE_CHECKING:
    from inkling.lsp.session import Session

_OFFERED = {
    "hover": types.TEXT_DOCUMENT_HOVER,
    "diagnostics": types.TEXT_DOCUMENT_DIAGNOSTIC,
    "code_actions": types.TEXT_DOCUMENT_CODE_ACTION,
    "code_lenses": types.TEXT_DOCUMENT_CODE_LENS,
    "inline_completion": types.TEXT_DOCUMENT_INLINE_COMPLETION,
}
"""Surface → the method that is advertised when some plugin has it."""


def register(session: Session) -> None:
    """Register both methods."""

    @session.server.feature(types.INITIALIZE)
    def initialize(raw: Any) -> dict[str, Any]:
        if not isinstance(raw, Mapping) or not isinstance(raw.get("capabilities"), Mapping):
            raise JsonRpcInvalidParams("initialize has no capabilities.")
        session.meet(Client(raw))
        session.configuration.set_client(raw.get("initializationOptions"))
        session.configuration.roots = roots(raw)
        session.configuration.read_user_file()
        session.load_plugins()
        session.trace = str(raw.get("trace") or "off")
        session.protocol.state = State.RUNNING
        capabilities = session.protocol.encode(offer(raw["capabilities"]))
        info = {"name": session.server.name, "version": session.server.version}
        return {"capabilities": capabilities, "serverInfo": info}

    def offer(raw: Mapping[str, Any]) -> types.ServerCapabilities:
        features = set(session.server.protocol.fm.features)
        surfaces = {method.surface.kind for entry in session.host.entries for method in entry.methods}
        features -= {method for surface, method in _OFFERED.items() if surface not in surfaces}
        try:
            client = session.protocol._converter.structure(raw, types.ClientCapabilities)
        except Exception as error:
            log.event("info", "capabilities-odd", error=error)
            client = types.ClientCapabilities()
        notebooks = types.NotebookDocumentSyncOptions(
            notebook_selector=[types.NotebookDocumentFilterWithNotebook(notebook="*")]
        )
        builder = ServerCapabilitiesBuilder(
            client,
            features,
            session.server.protocol.fm.feature_options,
            execute_command.names(session),
            types.TextDocumentSyncKind.Incremental,
            notebooks,
            types.PositionEncodingKind(session.client.position_encoding),
        )
        offered: types.ServerCapabilities = builder.build()  # type: ignore[no-untyped-call]
        return offered

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


def roots(params: Mapping[str, Any]) -> list[Any]:
    """The workspace's folders on this machine's file system."""
    from pathlib import Path

    folders = params.get("workspaceFolders")
    uris = [folder.get("uri") for folder in folders if isinstance(folder, Mapping)] if isinstance(folders, list) else []
    if not uris:
        uris = [params.get("rootUri")]
    found = [to_fs_path(uri) for uri in uris if isinstance(uri, str) and urlsplit(uri).scheme == "file"]
    if not found and isinstance(params.get("rootPath"), str):
        found = [unquote(params["rootPath"])]
    return [Path(path) for path in found if path]
