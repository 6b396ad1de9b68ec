"""`textDocument/codeAction` and `codeAction/resolve`: plugins' actions, and the quick fixes of their diagnostics.

An action's edits are usually model work, so they are made when the action is chosen: by `codeAction/resolve`, or, for
a client without it, by the command `inkling.applyAction`. What has to be remembered until then travels in the action's
`data`: the plugin, its resolver, and the place in offsets of a revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from inkling.api import Action, Edit, InklingError, Range, Snapshot
from inkling.lsp.checks import check_action, check_edit
from inkling.lsp.dispatch import content_modified
from inkling.lsp.editor import apply_edit, place_edits
from inkling.lsp.greeting import APPLY_ACTION

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "code_actions"
Reply = Sequence[types.CodeAction | types.Command]


def register(session: Session) -> None:
    """Register both methods."""
    options = types.CodeActionOptions(
        code_action_kinds=[types.CodeActionKind.QuickFix, types.CodeActionKind.Refactor, types.CodeActionKind.Source],
        resolve_provider=True,
    )

    @session.server.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)
    def code_action(params: types.CodeActionParams) -> Awaitable[Reply] | Reply:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return []
        only = [str(getattr(kind, "value", kind)) for kind in params.context.only or []]
        session.dispatch.supersede(snapshot.uri, KIND, *sorted(only), str(params.context.trigger_kind))
        return answer(snapshot, session.edge.range(snapshot, params.range), only)

    async def answer(snapshot: Snapshot, span: Range, only: list[str]) -> Reply:
        actions: list[types.CodeAction] = []
        for plugin, diagnostic, place, fix, made_for in session.diagnoser.fixes(snapshot.uri, span):
            if wanted(fix, only):
                found = build(plugin, fix, made_for, place)
                if found is not None:
                    found.diagnostics = [session.edge.diagnostic(snapshot, place, plugin, diagnostic)]
                    actions.append(found)
        outcomes = await session.dispatch.ask(KIND, snapshot, (snapshot, span), check_action)
        if not session.documents.is_current(snapshot):
            raise content_modified()
        for outcome in outcomes:
            built = (build(outcome.plugin, action, snapshot, span) for action in outcome.items if wanted(action, only))
            actions += [action for action in built if action is not None]
        if session.client.can("textDocument.codeAction.codeActionLiteralSupport"):
            return actions
        return [as_command(action) for action in actions]

    def as_command(action: types.CodeAction) -> types.Command:
        """For a client that knows only commands, as all did before LSP 3.8."""
        if action.command is not None:
            return action.command
        data = action.data or {"title": action.title, "edit": session.protocol.encode(action.edit)}
        return types.Command(title=action.title, command=APPLY_ACTION, arguments=[data])

    def build(plugin: str, action: Action, made_for: Snapshot, span: Range) -> types.CodeAction | None:
        """The action in the present text; None when its edits no longer fit. `span` is in the present text."""
        now = session.documents.snapshot(made_for.uri)
        if now is None:
            return None
        shown = types.CodeAction(title=action.title, kind=action.kind, is_preferred=action.preferred or None)
        if action.command:
            shown.command = session.edge.command(now, action.title, action.command, span, action.arguments)
        elif action.edits:
            try:
                shown.edit = session.edge.workspace_edit(place_edits(session, made_for, action.edits))
            except InklingError:
                return None
        else:
            start, end = now.offset(span.start), now.offset(span.end)
            data = {
                "plugin": plugin,
                "resolve": action.resolve,
                "title": action.title,
                "uri": now.uri,
                "revision": now.revision,
                "span": [start, end],
                "arguments": dict(action.arguments),
            }
            if session.client.resolves_edits:
                shown.data = data
            else:
                shown.command = types.Command(title=action.title, command=APPLY_ACTION, arguments=[data])
        return shown

    @session.server.feature(types.CODE_ACTION_RESOLVE)
    def resolve(action: types.CodeAction) -> Awaitable[types.CodeAction] | types.CodeAction:
        if action.edit is not None or action.data is None:
            return action
        return resolved(action, Resolution(session, action.data))

    async def resolved(action: types.CodeAction, resolution: Resolution) -> types.CodeAction:
        action.edit = await resolution.edit()
        return action


class Resolution:
    """The making of a chosen action's edits. Made while its message is handled, so that the snapshot is the user's."""

    def __init__(self, session: Session, data: Any) -> None:
        self._session = session
        try:
            self.title = str(data["title"])
            uri, revision, (start, end) = data["uri"], data["revision"], data["span"]
            plugin, name = data["plugin"], data["resolve"]
            # Some clients (Eglot) cannot tell an empty object from null, and send that back.
            self.arguments: Mapping[str, Any] = dict(data["arguments"] or {})
            if not isinstance(uri, str) or not all(isinstance(number, int) for number in (revision, start, end)):
                raise TypeError
        except (KeyError, TypeError, ValueError):
            raise JsonRpcInvalidParams("This is no action of this server.") from None
        found = session.host.named("resolver", name, plugin)
        if found is None:
            raise InklingError("no-plugin", "The plugin that offered this action is not active any more.")
        self.entry, self.method = found
        snapshot = session.snapshot(uri, "resolver")
        mirror = session.documents.mirror(uri)
        moved = mirror.rebase_offsets(revision, start, end) if mirror is not None else None
        if snapshot is None or moved is None:
            raise content_modified()
        self.snapshot = snapshot
        self.span = snapshot.range(*moved)

    async def edit(self, token: types.ProgressToken | None = None) -> types.WorkspaceEdit:
        """Ask the plugin; shows progress when that takes long. Raises InklingError."""
        session = self._session
        async with session.progresses.during_request(self.title, token):
            outcome = await session.dispatch.call(
                self.entry, self.method, (self.snapshot, self.span), check_edit, keywords=self.arguments
            )
        session.dispatch.note(self.snapshot.uri, "resolver", outcome)
        if not outcome.items:
            raise outcome.error or nothing_made(outcome.reasons)
        edits: Iterable[Edit] = outcome.items
        return session.edge.workspace_edit(place_edits(session, self.snapshot, list(edits)))

    async def apply(self, token: types.ProgressToken | None = None) -> None:
        """Make the edits and have the client apply them."""
        await apply_edit(self._session, await self.edit(token), self.title)


def apply_data(session: Session, data: Any, token: types.ProgressToken | None) -> Awaitable[None]:
    """The command `inkling.applyAction`: `data` is an action's, or holds its finished `edit`."""
    if "edit" in data:
        edit = session.protocol.decode(data["edit"], types.WorkspaceEdit)
        return apply_edit(session, edit, str(data.get("title")))
    return Resolution(session, data).apply(token)


def nothing_made(reasons: list[Any]) -> InklingError:
    """The error for an action that made nothing."""
    if reasons:
        return InklingError(reasons[-1].reason, reasons[-1].detail or f"Nothing was made: {reasons[-1].reason}.")
    return InklingError("nothing", "There was nothing to change.")


def wanted(action: Action, only: list[str]) -> bool:
    """Whether the client asked for this kind."""
    return not only or any(action.kind == kind or action.kind.startswith(f"{kind}.") or not kind for kind in only)
