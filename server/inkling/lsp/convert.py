"""Between the plugin API's dataclasses and LSP's types. Columns change their unit here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from inkling.api import Action, CodeLens, Diagnostic, Edit, GhostText, Hover, Position, Range, Severity, Snapshot
from inkling.lsp.client import Client
from inkling.text import encoding
from inkling.text.encoding import Encoding

Json = Any


class Edge:
    """Conversions for one client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.encoding = Encoding(client.position_encoding)

    # -- from the client

    def position(self, snapshot: Snapshot, position: types.Position) -> Position:
        """Clamped into the text."""
        return encoding.decode(snapshot, *_pair(position), self.encoding)

    def range(self, snapshot: Snapshot, span: types.Range) -> Range:
        """Clamped into the text; an inverted range is turned round."""
        return encoding.decode_range(snapshot, _pair(span.start), _pair(span.end), self.encoding)

    def place(self, snapshot: Snapshot, arguments: Mapping[str, Json]) -> Range | None:
        """The `range` or `position` of a command's first argument."""
        try:
            if "range" in arguments:
                start, end = (_json_pair(arguments["range"][key]) for key in ("start", "end"))
            elif "position" in arguments:
                start = end = _json_pair(arguments["position"])
            else:
                return None
        except (KeyError, TypeError, ValueError):
            raise JsonRpcInvalidParams("A command's range or position is not as specified.") from None
        return encoding.decode_range(snapshot, start, end, self.encoding)

    # -- to the client

    def to_range(self, snapshot: Snapshot, span: Range) -> types.Range:
        """In the client's columns."""
        start, end = encoding.encode_range(snapshot, span, self.encoding)
        return types.Range(types.Position(*start), types.Position(*end))

    def diagnostic(self, snapshot: Snapshot, span: Range, plugin: str, diagnostic: Diagnostic) -> types.Diagnostic:
        """At `span` of `snapshot`, with its source."""
        return types.Diagnostic(
            range=self.to_range(snapshot, span),
            message=diagnostic.message,
            severity=types.DiagnosticSeverity(int(diagnostic.severity)),
            code=diagnostic.code or None,
            code_description=types.CodeDescription(diagnostic.href) if diagnostic.href else None,
            source=f"inkling: {plugin}",
            data=dict(diagnostic.data) or None,
        )

    def text_edit(self, snapshot: Snapshot, edit: Edit) -> types.TextEdit:
        """Within `snapshot`."""
        return types.TextEdit(self.to_range(snapshot, edit.range), edit.new_text)

    def workspace_edit(self, edits: Iterable[tuple[Snapshot, Edit]]) -> types.WorkspaceEdit:
        """Versioned where the client can, so that it refuses edits for a text that has moved on."""
        by_document: dict[str, tuple[Snapshot, list[types.TextEdit]]] = {}
        for snapshot, edit in edits:
            by_document.setdefault(snapshot.uri, (snapshot, []))[1].append(self.text_edit(snapshot, edit))
        if not self.client.can("workspace.workspaceEdit.documentChanges"):
            return types.WorkspaceEdit(changes={uri: found for uri, (_, found) in by_document.items()})
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(uri=uri, version=snapshot.version), list(found)
                )
                for uri, (snapshot, found) in by_document.items()
            ]
        )

    def command(
        self, snapshot: Snapshot, title: str, name: str, span: Range, arguments: Mapping[str, Json]
    ) -> types.Command:
        """A plugin's command at a place in a document, see `features.execute_command`."""
        start, end = encoding.encode_range(snapshot, span, self.encoding)
        where = {
            "start": {"line": start[0], "character": start[1]},
            "end": {"line": end[0], "character": end[1]},
        }
        first = {**dict(arguments), "uri": snapshot.uri, "range": where}
        return types.Command(title=title, command=f"inkling.{name}", arguments=[first])

    def code_lens(self, snapshot: Snapshot, span: Range, lens: CodeLens) -> types.CodeLens:
        """At `span` of `snapshot`. Without a command it is a line of text."""
        if lens.command:
            command = self.command(snapshot, lens.title, lens.command, span, lens.arguments)
        else:
            command = types.Command(title=lens.title, command="")
        return types.CodeLens(range=self.to_range(snapshot, span), command=command)

    def inline_item(self, snapshot: Snapshot, position: Position, ghost: GhostText) -> types.InlineCompletionItem:
        """Ghost text as an item with an explicit range."""
        span = Range(position, position) if ghost.range is None else ghost.range
        return types.InlineCompletionItem(insert_text=ghost.text, range=self.to_range(snapshot, span))


# What a plugin gives is checked whole before any of it is used, and rebuilt of the types that it promises: a tuple
# becomes the Range that it stands for. These raise TypeError or ValueError.


def check_hover(hover: Hover) -> Hover:
    """A well-formed hover."""
    _expect(hover, Hover)
    return Hover(_text(hover.markdown), None if hover.range is None else _span(hover.range))


def check_lens(lens: CodeLens) -> CodeLens:
    """A well-formed lens."""
    _expect(lens, CodeLens)
    return CodeLens(_span(lens.range), _text(lens.title), _text(lens.command), _json(lens.arguments))


def check_ghost(ghost: GhostText) -> GhostText:
    """Well-formed ghost text."""
    _expect(ghost, GhostText)
    return GhostText(_text(ghost.text), None if ghost.range is None else _span(ghost.range), bool(ghost.complete))


def check_action(action: Action) -> Action:
    """A well-formed action."""
    _expect(action, Action)
    if sum((bool(action.edits), bool(action.resolve), bool(action.command))) != 1:
        raise TypeError("an action has exactly one of edits, resolve and command")
    return Action(
        title=_text(action.title),
        kind=_text(action.kind),
        edits=tuple(check_edit(edit) for edit in action.edits),
        resolve=_text(action.resolve),
        command=_text(action.command),
        arguments=_json(action.arguments),
        preferred=bool(action.preferred),
    )


def check_edit(edit: Edit) -> Edit:
    """A well-formed edit."""
    _expect(edit, Edit)
    return Edit(_span(edit.range), _text(edit.new_text))


def check_diagnostic(diagnostic: Diagnostic) -> Diagnostic:
    """A well-formed diagnostic."""
    _expect(diagnostic, Diagnostic)
    return Diagnostic(
        range=_span(diagnostic.range),
        message=_text(diagnostic.message),
        severity=Severity(diagnostic.severity),
        code=_text(diagnostic.code),
        href=_text(diagnostic.href),
        data=_json(diagnostic.data),
        fixes=tuple(check_action(fix) for fix in diagnostic.fixes),
    )


def _expect(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"not a {kind.__name__}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _json(value: Any) -> dict[str, Json]:
    """A mapping that can be sent: JSON knows neither objects nor NaN."""
    plain = dict(value)
    json.dumps(plain, allow_nan=False)
    if not all(isinstance(key, str) for key in plain):
        raise TypeError("not a string")
    return plain


def _span(value: Any) -> Range:
    (first_line, first), (last_line, last) = value
    if not all(isinstance(number, int) for number in (first_line, first, last_line, last)):
        raise TypeError("not a range")
    return Range(Position(first_line, first), Position(last_line, last))


def _pair(position: types.Position) -> tuple[int, int]:
    if position.line < 0 or position.character < 0:
        raise JsonRpcInvalidParams("A position's line and character are not negative.")
    return position.line, position.character


def _json_pair(position: Json) -> tuple[int, int]:
    line, character = position["line"], position["character"]
    if not isinstance(line, int) or not isinstance(character, int) or line < 0 or character < 0:
        raise ValueError
    return line, character
