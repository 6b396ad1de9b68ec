"""`workspace/executeCommand`: plugins' commands and our own.

The convention: a plugin's `@command("summarize", …)` is `inkling.summarize`, and its first argument is one object,
`{"uri": …, "range": … | "position": …, "name of an argument": value, …}`, every part optional. Without `uri` there is
no snapshot; without `range` or `position` no range. Positions are the client's own. The reply is the string that the
method returned, or null.

Our own commands: `inkling.applyAction` (a code action for clients without `codeAction/resolve`; its argument is that
action's data), `inkling.whyNothing` (`{"uri": …, "position": …}`: the last reasons there as text),
`inkling.restartEngine`, `inkling.enablePlugin` (`{"name": …}`: give a disabled plugin another chance), and
`inkling.downloadModel` (`{"model": "org/name"}`: from the hub, in the background, after the user has agreed).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from inkling.api import InklingError, Range, Severity, Snapshot
from inkling.lsp.downloads import Downloads
from inkling.lsp.features.code_action import apply_data
from inkling.lsp.greeting import (
    APPLY_ACTION,
    COMMAND_PREFIX,
    DOWNLOAD_MODEL,
    ENABLE_PLUGIN,
    RESTART_ENGINE,
    WHY_NOTHING,
)
from inkling.lsp.protocol import REQUEST_FAILED, Failed
from inkling.plugins import Entry, Method

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "command"


def register(session: Session) -> None:
    """Register the method."""
    downloads = Downloads(session)
    own: dict[str, Callable[[Any, types.ProgressToken | None], Awaitable[Any]]] = {
        APPLY_ACTION: lambda argument, token: apply_data(session, argument, token),
        WHY_NOTHING: lambda argument, token: why_nothing(argument),
        RESTART_ENGINE: lambda argument, token: session.engine.restart(),
        ENABLE_PLUGIN: lambda argument, token: enable(argument),
        DOWNLOAD_MODEL: lambda argument, token: downloads.begin(argument),
    }

    @session.server.feature(types.WORKSPACE_EXECUTE_COMMAND)
    def execute_command(params: types.ExecuteCommandParams) -> Awaitable[Any]:
        arguments = params.arguments or []
        first = arguments[0] if arguments else {}
        if not isinstance(first, Mapping):
            raise JsonRpcInvalidParams("A command's first argument is an object.")
        if params.command in own:
            return own[params.command](first, params.work_done_token)
        found = session.host.named(KIND, params.command.removeprefix(COMMAND_PREFIX))
        if found is None or not params.command.startswith(COMMAND_PREFIX):
            raise JsonRpcInvalidParams("There is no such command.")
        snapshot, span = place(first)
        keywords = {str(name): value for name, value in first.items() if name not in ("uri", "range", "position")}
        return run(*found, snapshot, span, keywords, params.work_done_token)

    def place(first: Mapping[str, Any]) -> tuple[Snapshot | None, Range | None]:
        uri = first.get("uri")
        if uri is None:
            return None, None
        snapshot = session.snapshot(uri, KIND) if isinstance(uri, str) else None
        if snapshot is None:
            raise Failed(REQUEST_FAILED, "The document is not open, excluded or too large.", "no-document")
        return snapshot, session.edge.place(snapshot, first)

    async def run(
        entry: Entry,
        method: Method,
        snapshot: Snapshot | None,
        span: Range | None,
        keywords: Mapping[str, Any],
        token: types.ProgressToken | None,
    ) -> str | None:
        await session.settled()
        async with session.progresses.during_request(method.surface.title, token):
            outcome = await session.dispatch.call(entry, method, (snapshot, span), _check_reply, keywords=keywords)
        if snapshot is not None:
            session.dispatch.note(snapshot.uri, KIND, outcome)
        if outcome.error is not None:
            raise outcome.error
        if outcome.failure:
            raise Failed(REQUEST_FAILED, outcome.reasons[-1].detail, outcome.failure)
        if outcome.reasons and not outcome.items:
            raise InklingError(outcome.reasons[-1].reason, outcome.reasons[-1].detail or "Nothing was done.")
        return outcome.items[-1] if outcome.items else None

    async def why_nothing(argument: Mapping[str, Any]) -> str:
        uri, position = argument.get("uri"), argument.get("position")
        if not isinstance(uri, str):  # the client does not say where: the document that was worked in last
            uri = next((snapshot.uri for snapshot in session.documents.recent()), None)
        line = position.get("line") if isinstance(position, Mapping) else None
        text = session.reasons.said(uri, line if isinstance(line, int) else None)
        session.show_message(f"Inkling: {text}", Severity.INFORMATION)
        return text

    async def enable(argument: Mapping[str, Any]) -> bool:
        for entry in session.host.entries:
            if entry.name == argument.get("name") and entry.reason == "failing":
                entry.enable()
                session.status_changed()
                return True
        return False


def _check_reply(reply: Any) -> str:
    if not isinstance(reply, str):
        raise TypeError("a command returns a string or nothing")
    return reply
