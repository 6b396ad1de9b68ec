"""The one module that a plugin imports.

A plugin is a class with typed settings and decorated async methods, one per surface. It gets immutable snapshots, an
engine handle and an editor handle, and returns or yields the plain dataclasses below; no LSP type appears here.

    class WordLength(Plugin):
        name = "word_length"

        @hover
        async def length(self, snapshot: Snapshot, position: Position) -> Hover | None:
            word = snapshot.word_at(position)
            return Hover(f"{len(snapshot.text_in(word))} characters", word) if word else None

Register it under the entry-point group `inkling.plugins`. A method that raises, hangs or returns something else loses
only its own result. To show nothing *with a reason*, return (or yield) `Nothing("too-large")`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, overload

from inkling.engine.protocol import (
    Answer,
    Chunk,
    ContextFile,
    Engine,
    Entity,
    Fill,
    GenerateRequest,
    Label,
    Priority,
    Rendered,
    Summary,
    Task,
)
from inkling.errors import InklingError
from inkling.text.outline import Definition, outline
from inkling.text.position import Position, Range
from inkling.text.query import query_spans
from inkling.text.segments import (
    Segment,
    SegmentKind,
    Segments,
    block_at,
    find_block,
    segments,
    segments_are_near,
    sentences,
)
from inkling.text.snapshot import Snapshot
from inkling.text.syntax import Scope, scope_at
from inkling.text.token_span import TokenSpan
from inkling.text.uri import file_path, uri_path

API_VERSION = 1
"""Grows when a plugin written for the previous number could break."""

Scalar = str | int | float | bool | None


class Severity(IntEnum):
    """Numbered as in the protocol."""

    ERROR = 1
    WARNING = 2
    INFORMATION = 3
    HINT = 4


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to show, and why: a slug such as `disabled`, `too-large`, `no-fim-tokens`, and words for the user."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Hover:
    """Markdown to show, and the span that it speaks of."""

    markdown: str
    range: Range | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `range` of the snapshot's document by `new_text`."""

    range: Range
    new_text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A code action: exactly one of `edits` (ready), `resolve` (the `@resolver` that makes them) and `command`."""

    title: str
    kind: str = "refactor"
    edits: tuple[Edit, ...] = ()
    resolve: str = ""
    command: str = ""
    arguments: Mapping[str, Scalar] = field(default_factory=dict)
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that a diagnostic speaks of; without a `uri` in the same document."""

    range: Range
    message: str
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A squiggle. The host adds the plugin's name as source; `fixes` are quick fixes while the span is unchanged.

    `tags` are of `unnecessary` (shown faded) and `deprecated` (struck through). One that is given again, the very same
    object, is taken to be as it was: where little changed that saves checking and converting it.
    """

    range: Range
    message: str
    severity: Severity = Severity.INFORMATION
    code: str = ""
    href: str = ""
    data: Mapping[str, Scalar] = field(default_factory=dict)
    fixes: tuple[Action, ...] = ()
    tags: tuple[str, ...] = ()
    related: tuple[Related, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeLens:
    """A line of text above `range`; with `command`, it can be clicked."""

    range: Range
    title: str
    command: str = ""
    arguments: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GhostText:
    """An inline completion: all the text known so far, to replace `range` (default: insert at the cursor).

    Yield growing versions of it while a stream runs, each beginning with the one before, the last with `complete=True`.
    """

    text: str
    range: Range | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Completion:
    """An entry of the completion list: `new_text` replaces `range` (default: what is written of the word so far).

    The range lies on one line and holds the cursor. Entries are shown by `rank`, lowest first.
    """

    label: str
    new_text: str
    range: Range | None = None
    detail: str = ""
    documentation: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True)
class InlayHint:
    """A few words shown between the characters of a line, which they are no part of."""

    position: Position
    label: str
    tooltip: str = ""
    padding_left: bool = False
    padding_right: bool = False


SEMANTIC_TYPES = (
    "namespace", "type", "class", "enum", "interface", "struct", "typeParameter", "parameter", "variable", "property",
    "enumMember", "event", "function", "method", "macro", "keyword", "modifier", "comment", "string", "number",
    "regexp", "operator", "decorator", "label",
    "entity", "mark", "token", "tokenAlternate", "tokenSpecial", "tokenUnknown",
)  # fmt: skip
"""What a `SemanticToken` may be: the protocol's own types, which every colour theme knows, and then ours."""

SEMANTIC_MODIFIERS = (
    "declaration", "definition", "readonly", "static", "deprecated", "abstract", "async", "modification",
    "documentation", "defaultLibrary",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SemanticToken:
    """A span to colour: `type` is one of `SEMANTIC_TYPES`, `modifiers` of `SEMANTIC_MODIFIERS`. It may cross lines."""

    range: Range
    type: str
    modifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Symbol:
    """Something of the workspace that has a name and a place.

    `kind` is one of the protocol's, in lower case: `file`, `class`, `function`, `string`, …
    """

    name: str
    uri: str
    range: Range
    kind: str = "string"
    container: str = ""


class Progress(Protocol):
    """A running work-done progress."""

    def report(self, message: str, fraction: float | None = None) -> None:
        """Say what is being done; `fraction` is 0 to 1."""
        ...


class EditStream(Protocol):
    """Text growing inside the user's document, one undo step where the client can; or in a place of its own."""

    async def write(self, text: str) -> None:
        """Append. Raises `InklingError("document-changed")` when the user typed there; what was written stays."""
        ...


class Editor(Protocol):
    """What a plugin may ask of the editor."""

    def progress(self, title: str) -> AbstractAsyncContextManager[Progress]:
        """Show work with a cancel button, once it lasts over half a second. Cancel raises `CancelledError` inside."""
        ...

    def stream(self, snapshot: Snapshot, position: Position, label: str) -> AbstractAsyncContextManager[EditStream]:
        """Open a stream of text into the document at `position`."""
        ...

    async def apply(self, snapshot: Snapshot, edits: Sequence[Edit], label: str) -> None:
        """Apply edits made for `snapshot`; raises `InklingError("document-changed")` when the document has moved on."""
        ...

    async def show_message(self, text: str, severity: Severity = Severity.INFORMATION) -> None:
        """One short message."""
        ...

    async def show_text(self, title: str, text: str, language: str = "markdown") -> None:
        """A longer text in a place of its own."""
        ...

    def show_stream(self, title: str, language: str = "markdown") -> AbstractAsyncContextManager[EditStream]:
        """Open a stream into a place of its own, seen while it grows where the client can, else when it is whole.

        White space before the first word is left out, and nothing opens for a stream without words.
        """
        ...

    async def open(self, uri: str, range: Range | None = None) -> None:
        """Show a document with `range` selected; an editor that cannot is told the place in a message."""
        ...

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        """Have the user choose one of a few; None when they choose none."""
        ...

    def refresh(self, surface: str) -> None:
        """Have a surface shown anew: `inlay_hints`, `semantic_tokens`, `code_lenses` or `diagnostics`."""
        ...

    def workspace_folders(self) -> Sequence[Path]:
        """The workspace's folders on this machine, first one first."""
        ...

    def files(self, skipped: Callable[[str, Nothing], None] | None = None) -> AsyncGenerator[Snapshot, None]:
        """The workspace's text files, off the event loop; an open one as it is in the editor.

        Left out are what git ignores, what no plugin may see, and what is too large or no text; `skipped(uri, why)`
        is told of each of those last ones.
        """
        ...

    def cache_folder(self) -> Path:
        """A folder for what this plugin has computed for this workspace, private to the user; made when missing."""
        ...

    async def change_setting(self, key: str, value: Any) -> None:
        """Write `key` (dotted, as in inkling.toml) into the workspace's inkling.toml; lists are appended to."""
        ...

    def is_saved(self, snapshot: Snapshot) -> bool:
        """Whether it is as the document was when opened or last saved; what is no open file counts as saved.

        A plugin that waits for that says `Nothing("not-saved")`, and is asked again when the user saves.
        """
        ...

    def documents(self) -> Sequence[Snapshot]:
        """All open documents that plugins may see, most recently used first; the one asked about is among them."""
        ...


class Tokens(Protocol):
    """Token counts under a model's own tokenizer, off the event loop and without torch."""

    async def count(self, snapshot: Snapshot, model: str) -> int:
        """Tokens of the whole document, exact and incremental: the cost follows the edit."""
        ...

    async def count_text(self, text: str, model: str) -> int:
        """Tokens of a text by itself, without special tokens."""
        ...

    async def count_part(self, snapshot: Snapshot, start: int, end: int, model: str) -> int:
        """Tokens of the text between two offsets by itself; in a counted document the cost does not grow with it."""
        ...

    async def at(self, snapshot: Snapshot, offset: int, model: str) -> TokenSpan | None:
        """The token that covers the character at `offset`."""
        ...

    async def spans(self, snapshot: Snapshot, start: int, end: int, model: str) -> Sequence[TokenSpan]:
        """The tokens that have a character between two offsets, exactly as in the whole document."""
        ...

    async def context_window(self, model: str) -> int | None:
        """How many tokens the model can read; None when its files do not say."""
        ...


class Plugin:
    """Base class. The host sets the attributes before any call; `settings` is replaced whole on a change."""

    name: ClassVar[str]
    """Its name in settings, messages and diagnostics: lower-case words joined by underscores."""

    @dataclass(frozen=True)
    class Settings:
        """Override with a frozen dataclass: the table `[<name>]` of inkling.toml, every field with a default."""

    settings: Any
    engine: Engine
    editor: Editor
    tokens: Tokens

    async def start(self) -> None:
        """Called once, before the first request."""

    async def stop(self) -> None:
        """Called once, at shutdown."""

    async def diagnostics_key(self) -> str:
        """All that decides about this plugin's diagnostics besides the document itself and the plugin's version.

        Where it is the same as before, `inkling check` does not ask again about a file in which nothing was found.
        Empty (the default): it cannot be told, so every file is looked at each time. Asked before `start`.
        """
        return ""


F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Surface:
    """The mark that a decorator leaves on a method; the host reads it."""

    kind: str
    name: str = ""
    title: str = ""
    languages: tuple[str, ...] = ()
    triggers: str = ""


def _mark(surface: Surface) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        function.__inkling_surface__ = surface  # type: ignore[attr-defined]
        return function

    return decorate


def hover(function: F) -> F:
    """`async (snapshot, position) -> Hover | Nothing | None`."""
    return _mark(Surface("hover"))(function)


def diagnostics(function: F) -> F:
    """`async (snapshot)`, returning or yielding `Diagnostic`."""
    return _mark(Surface("diagnostics"))(function)


def code_actions(function: F) -> F:
    """`async (snapshot, range)`, returning or yielding `Action`."""
    return _mark(Surface("code_actions"))(function)


def code_lenses(function: F) -> F:
    """`async (snapshot)`, returning or yielding `CodeLens`."""
    return _mark(Surface("code_lenses"))(function)


def inline_completion(function: F) -> F:
    """`async (snapshot, position, invoked)`, yielding growing `GhostText`; `invoked`: the user asked for it."""
    return _mark(Surface("inline_completion"))(function)


@overload
def completion(function: F) -> F: ...
@overload
def completion(*, triggers: str) -> Callable[[F], F]: ...
def completion(function: F | None = None, *, triggers: str = "") -> F | Callable[[F], F]:
    """`async (snapshot, position)`, returning or yielding `Completion`.

    Asked when the user types a word or asks for completions, and after each character of `triggers`. Yield
    `Nothing("incomplete")` as well to be asked again with each further character.
    """
    decorate = _mark(Surface("completion", triggers=triggers))
    return decorate if function is None else decorate(function)


def inlay_hints(function: F) -> F:
    """`async (snapshot, range)`, returning or yielding `InlayHint`; `range` is what the user looks at."""
    return _mark(Surface("inlay_hints"))(function)


def semantic_tokens(function: F) -> F:
    """`async (snapshot, range)`, returning or yielding `SemanticToken`; `range` is what to colour, often everything."""
    return _mark(Surface("semantic_tokens"))(function)


def workspace_symbols(function: F) -> F:
    """`async (query)`, returning or yielding `Symbol`."""
    return _mark(Surface("workspace_symbols"))(function)


def resolver(name: str) -> Callable[[F], F]:
    """`async (snapshot, range, **arguments)`, returning or yielding `Edit`, for an `Action(resolve=name)`."""
    return _mark(Surface("resolver", name))


def command(name: str, title: str) -> Callable[[F], F]:
    """`async (snapshot | None, range | None, **arguments) -> str | None`: the editor command `inkling.<name>`."""
    return _mark(Surface("command", name, title))


__all__ = [
    "API_VERSION", "SEMANTIC_MODIFIERS", "SEMANTIC_TYPES", "Action", "Answer", "Chunk", "CodeLens", "Completion",
    "ContextFile", "Definition", "Diagnostic", "Edit", "EditStream", "Editor", "Engine", "Entity", "Fill",
    "GenerateRequest", "GhostText", "Hover", "InklingError", "InlayHint", "Label", "Nothing", "Plugin", "Position",
    "Priority", "Progress", "Range", "Related", "Rendered", "Scope", "Segment", "SegmentKind", "Segments",
    "SemanticToken", "Severity", "Snapshot", "Summary", "Surface", "Symbol", "Task", "TokenSpan", "Tokens",
    "block_at", "code_actions", "code_lenses", "command", "completion", "diagnostics", "file_path", "find_block",
    "hover", "inlay_hints", "inline_completion", "outline", "query_spans", "resolver", "scope_at", "segments",
    "segments_are_near", "semantic_tokens", "sentences", "uri_path", "workspace_symbols",
]  # fmt: skip
