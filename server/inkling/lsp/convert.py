"""Between the plugin API's dataclasses and LSP's types. Columns change their unit here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams

from inkling.api import CodeLens, Diagnostic, Edit, GhostText, Position, Range, Related, Snapshot
from inkling.lsp.checks import DIAGNOSTIC_TAGS
from inkling.lsp.client import Client
from inkling.text import encoding
from inkling.text.encoding import Encoding

Json = Any


class Edge:
    """Conversions for one client. `find` gives the open document of a URI."""

    def __init__(self, client: Client, find: Callable[[str], Snapshot | None] = lambda uri: None) -> None:
        self.client = client
        self._find = find
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
            tags=[types.DiagnosticTag(DIAGNOSTIC_TAGS.index(tag) + 1) for tag in diagnostic.tags] or None,
            related_information=self._related(snapshot, diagnostic.related) or None,
        )

    def _related(self, snapshot: Snapshot, places: Iterable[Related]) -> list[types.DiagnosticRelatedInformation]:
        """For a client that shows them. In a document that is not open, so not at hand, columns stay code points."""
        group = "textDocument.diagnostic" if self.client.pulls_diagnostics else "textDocument.publishDiagnostics"
        if not self.client.can(f"{group}.relatedInformation"):
            return []
        found = []
        for place in places:
            uri = place.uri or snapshot.uri
            there = snapshot if uri == snapshot.uri else self._find(uri)
            span = raw_range(place.range) if there is None else self.to_range(there, place.range)
            found.append(types.DiagnosticRelatedInformation(types.Location(uri, span), place.message))
        return found

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


def raw_range(span: Range) -> types.Range:
    """A range in a text that is not at hand: its columns stay code points."""
    start, end = (types.Position(max(line, 0), max(column, 0)) for line, column in span)
    return types.Range(start, end)


def _pair(position: types.Position) -> tuple[int, int]:
    if position.line < 0 or position.character < 0:
        raise JsonRpcInvalidParams("A position's line and character are not negative.")
    return position.line, position.character


def _json_pair(position: Json) -> tuple[int, int]:
    line, character = position["line"], position["character"]
    if not isinstance(line, int) or not isinstance(character, int) or line < 0 or character < 0:
        raise ValueError
    return line, character
