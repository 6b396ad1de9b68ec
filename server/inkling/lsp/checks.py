"""What a plugin gives is checked whole before any of it is used, and rebuilt of the types that it promises.

A tuple becomes the Range that it stands for. All of these raise TypeError or ValueError.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from inkling.api import (
    SEMANTIC_MODIFIERS,
    SEMANTIC_TYPES,
    Action,
    CodeLens,
    Completion,
    Diagnostic,
    Edit,
    GhostText,
    Hover,
    InlayHint,
    Position,
    Range,
    Related,
    SemanticToken,
    Severity,
    Symbol,
)

Json = Any
_TYPES = frozenset(SEMANTIC_TYPES)
_PLAIN = frozenset({str, int, bool, type(None)})
DIAGNOSTIC_TAGS = ("unnecessary", "deprecated")
"""In the protocol's order, as the kinds of symbols below."""
SYMBOL_KINDS = (
    "file", "module", "namespace", "package", "class", "method", "property", "field", "constructor", "enum",
    "interface", "function", "variable", "constant", "string", "number", "boolean", "array", "object", "key", "null",
    "enummember", "struct", "event", "operator", "typeparameter",
)  # fmt: skip


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
        tags=_among(diagnostic.tags, DIAGNOSTIC_TAGS),
        related=tuple(check_related(related) for related in diagnostic.related),
    )


def check_related(related: Related) -> Related:
    """A well-formed place."""
    _expect(related, Related)
    return Related(_span(related.range), _text(related.message), _text(related.uri))


def check_completion(completion: Completion, cursor: Position) -> Completion:
    """A well-formed entry for a completion at `cursor`."""
    _expect(completion, Completion)
    span = None if completion.range is None else _span(completion.range)
    if span is not None and not (span.start.line == span.end.line and span.start <= cursor <= span.end):
        raise ValueError("a completion's range lies on one line and holds the cursor")
    if not isinstance(completion.rank, int):
        raise TypeError("not a rank")
    texts = (completion.label, completion.new_text, completion.detail, completion.documentation)
    label, new_text, detail, documentation = map(_text, texts)
    return Completion(label, new_text, span, detail, documentation, completion.rank)


def check_hint(hint: InlayHint) -> InlayHint:
    """A well-formed hint."""
    _expect(hint, InlayHint)
    place = _span((hint.position, hint.position)).start
    label, tooltip = _text(hint.label), _text(hint.tooltip)
    return InlayHint(place, label, tooltip, bool(hint.padding_left), bool(hint.padding_right))


def check_token(token: SemanticToken) -> SemanticToken:
    """A well-formed token."""
    if type(token) is SemanticToken and not token.modifiers and token.type in _TYPES and _is_range(token.range):
        return token  # as it should be; a document's tokens are many
    _expect(token, SemanticToken)
    (kind,) = _among((token.type,), SEMANTIC_TYPES)
    return SemanticToken(_span(token.range), kind, _among(token.modifiers, SEMANTIC_MODIFIERS))


def check_symbol(symbol: Symbol) -> Symbol:
    """A well-formed symbol."""
    _expect(symbol, Symbol)
    (kind,) = _among((symbol.kind,), SYMBOL_KINDS)
    return Symbol(_text(symbol.name), _text(symbol.uri), _span(symbol.range), kind, _text(symbol.container))


def _expect(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"not a {kind.__name__}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _is_range(value: Any) -> bool:
    """Whether it is so to the last type: that is quick to tell, and most are."""
    if type(value) is not Range or type(value.start) is not Position or type(value.end) is not Position:
        return False
    (first_line, first), (last_line, last) = value
    return type(first_line) is type(first) is type(last_line) is type(last) is int


def _among(values: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(value in known for value in values):
        raise ValueError("a name that is not known")
    return tuple(values)


def _json(value: Any) -> dict[str, Json]:
    """A mapping that can be sent: JSON knows neither objects nor NaN."""
    plain = dict(value)
    if not all(type(key) is str and _is_plain(item) for key, item in plain.items()):
        json.dumps(plain, allow_nan=False)
        if not all(isinstance(key, str) for key in plain):
            raise TypeError("not a string")
    return plain


def _is_plain(value: Any) -> bool:
    """Whether JSON surely knows it: quicker to tell than to try."""
    return type(value) in _PLAIN or (type(value) is float and isfinite(value))


def _span(value: Any) -> Range:
    if _is_range(value):
        return value  # type: ignore[no-any-return]
    (first_line, first), (last_line, last) = value
    if not all(isinstance(number, int) for number in (first_line, first, last_line, last)):
        raise TypeError("not a range")
    return Range(Position(first_line, first), Position(last_line, last))
