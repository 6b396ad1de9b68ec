"""The answer to `initialize`, made without LSP's types.

Importing those types takes most of a language server's start, and the answer needs none of them. So the very first
message is answered from here, on plain JSON, and the rest of the server is imported while the editor reads the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from inkling import __version__
from inkling.api import SEMANTIC_MODIFIERS, SEMANTIC_TYPES
from inkling.lsp.client import Client
from inkling.lsp.configuration import Configuration
from inkling.lsp.log import log
from inkling.lsp.transport import Transport
from inkling.lsp.watch import Watch
from inkling.lsp.wire import Deframer, Frame, Junk, frame
from inkling.plugins import Entry, Host
from inkling.text.uri import split_uri

COMMAND_PREFIX = "inkling."
APPLY_ACTION = "inkling.applyAction"
WHY_NOTHING = "inkling.whyNothing"
RESTART_ENGINE = "inkling.restartEngine"
ENABLE_PLUGIN = "inkling.enablePlugin"
DOWNLOAD_MODEL = "inkling.downloadModel"
TEXT_SCHEME = "inkling-text"
"""Of the URIs of read-only documents that we give the text of."""
OWN_COMMANDS = (APPLY_ACTION, WHY_NOTHING, RESTART_ENGINE, ENABLE_PLUGIN, DOWNLOAD_MODEL)


@dataclass(frozen=True)
class Greeting:
    """What `initialize` settled: who the client is, the settings and plugins so far, and the result for the client."""

    client: Client
    configuration: Configuration
    host: Host
    watch: Watch
    trace: str
    result: Mapping[str, Any]


class EarlyListener:
    """Logs what the session will tell the user once there is one."""

    def loaded(self, entry: Entry) -> None:
        """The session gives it its handles."""

    def failed(self, entry: Entry, kind: str, failure: str, error: BaseException | None) -> None:
        """The log says where."""
        log.event("error", "plugin", plugin=entry.name, method=kind, reason=failure, error=error)

    def disabled(self, entry: Entry) -> None:
        """The session tells the user."""


def greet(params: Any, points: Iterable[EntryPoint] | None = None) -> Greeting:
    """Read the client's parameters, load the plugins that the user's own settings allow. Raises ValueError."""
    if not isinstance(params, Mapping) or not isinstance(params.get("capabilities"), Mapping):
        raise ValueError("initialize has no capabilities")
    client = Client(params)
    watch = Watch()
    watch.parent(client.process_id)
    configuration = Configuration()
    configuration.set_initial(params.get("initializationOptions"))
    configuration.roots = roots(params)
    configuration.read_user_file()
    host = Host(EarlyListener())
    host.load(configuration.may_load, points)
    trace = params.get("trace")
    info = {"name": "inkling", "version": __version__}
    result = {"capabilities": capabilities(client, host), "serverInfo": info}
    return Greeting(client, configuration, host, watch, trace if isinstance(trace, str) else "off", result)


def capabilities(client: Client, host: Host) -> dict[str, Any]:
    """What we offer: the surfaces that some plugin has."""
    commands = [COMMAND_PREFIX + method.surface.name for _, method in host.ready("command")]
    offered: dict[str, Any] = {
        "positionEncoding": client.position_encoding,
        "textDocumentSync": {"openClose": True, "change": 2, "save": {"includeText": False}},
        "executeCommandProvider": {"commands": list(dict.fromkeys([*OWN_COMMANDS, *commands]))},
        "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
    }
    if client.can("workspace.textDocumentContent"):
        offered["workspace"]["textDocumentContent"] = {"schemes": [TEXT_SCHEME]}
    if client.can("notebookDocument"):
        offered["notebookDocumentSync"] = {"notebookSelector": [{"notebook": "*"}]}
    by_surface: dict[str, dict[str, Any]] = {
        "hover": {"hoverProvider": True},
        "diagnostics": {
            "diagnosticProvider": {
                "identifier": "inkling",
                "interFileDependencies": False,
                "workspaceDiagnostics": False,
            }
        },
        "code_actions": {
            "codeActionProvider": {"codeActionKinds": ["quickfix", "refactor", "source"], "resolveProvider": True}
        },
        "code_lenses": {"codeLensProvider": {"resolveProvider": False}},
        "inline_completion": {"inlineCompletionProvider": {}},
        "completion": {"completionProvider": {"triggerCharacters": triggers(host), "resolveProvider": False}},
        "inlay_hints": {"inlayHintProvider": {"resolveProvider": False}},
        "semantic_tokens": {
            "semanticTokensProvider": {
                "legend": {"tokenTypes": list(SEMANTIC_TYPES), "tokenModifiers": list(SEMANTIC_MODIFIERS)},
                "full": True,
                "range": True,
            }
        },
        "workspace_symbols": {"workspaceSymbolProvider": True},
    }
    for surface, provider in by_surface.items():
        if any(method.surface.kind == surface for entry in host.entries for method in entry.methods):
            offered |= provider
    return offered


def triggers(host: Host) -> list[str]:
    """The characters after which some plugin completes."""
    methods = [method for entry in host.entries for method in entry.of_kind("completion")]
    return sorted({character for method in methods for character in method.surface.triggers})


def roots(params: Mapping[str, Any]) -> list[Path]:
    """The workspace's folders on this machine's file system, first one first."""
    folders = params.get("workspaceFolders")
    uris = [folder.get("uri") for folder in folders if isinstance(folder, Mapping)] if isinstance(folders, list) else []
    found = [path for uri in uris or [params.get("rootUri")] if (path := local_path(uri)) is not None]
    if not found and isinstance(params.get("rootPath"), str) and params["rootPath"]:
        found = [Path(params["rootPath"])]
    return found


def local_path(uri: Any) -> Path | None:
    """The file that a URI names, if it names one of this machine."""
    if not isinstance(uri, str):
        return None
    scheme, authority, path = split_uri(uri)
    if scheme != "file":
        return None
    return Path(url2pathname(path if authority in ("", "localhost") else f"//{authority}{path}"))


async def answer_first(
    transport: Transport, deframer: Deframer, points: Iterable[EntryPoint] | None = None
) -> tuple[Greeting | None, Frame | Junk | None]:
    """Wait for the first message. When it is a proper `initialize`, answer it: (what it settled, None).

    Anything else is the session's to handle: (None, that message); (None, None) at the end of the stream.
    """
    while (first := deframer.take()) is None:
        data = await transport.read()
        if not data:
            return None, None
        deframer.feed(data)
    try:
        message = json.loads(first.body) if isinstance(first, Frame) else None
        if not isinstance(message, dict) or not _is_initialize(message):
            return None, first
        greeting = greet(message["params"], points)
    except (ValueError, RecursionError):
        return None, first
    except Exception as error:  # the session meets the same bug, and answers it as any other
        log.event("error", "bug", method="initialize", error=error)
        return None, first
    reply = {"jsonrpc": "2.0", "id": message["id"], "result": greeting.result}
    transport.write(frame(json.dumps(reply).encode("ascii")))
    return greeting, None


def _is_initialize(message: Mapping[str, Any]) -> bool:
    return (
        message.get("jsonrpc") == "2.0"
        and message.get("method") == "initialize"
        and isinstance(message.get("id"), int | str)
        and not isinstance(message.get("id"), bool)
        and "params" in message
    )
