"""Translation of a selection: in its place, or shown beside it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from inkling.api import (
    Action,
    Edit,
    GenerateRequest,
    InklingError,
    Nothing,
    Plugin,
    Range,
    Snapshot,
    code_actions,
    command,
    resolver,
)
from inkling_plugins.writing import Pieces, collect, generated, show, write_over

_PARAGRAPH = re.compile(r"(\n[ \t]*\n\s*)")
_NOT_CHAT = frozenset({"wrong-task", "no-chat-template"})
_NEEDS = (
    'Set one: [translate] model = "…" in inkling.toml. `inkling models recommend` names some that fit this machine.'
)


class Translate(Plugin):
    """A translation model, or a chat model that is asked to translate."""

    name = "translate"

    @dataclass(frozen=True)
    class Settings:
        """The table `[translate]`."""

        enabled: bool = True
        """Offer translations."""
        model: str = field(default="", metadata={"scope": "model"})
        """A translation model (Marian, NLLB, M2M100, T5, …) or a chat model; none is set."""
        source: str = ""
        """The language of the text, as the model names it; empty: the model's own or any."""
        target: str = ""
        """The language to translate into, as the model names it, such as `English`, `de` or `deu_Latn`."""
        max_tokens: int = field(default=1024, metadata={"min": 8, "max": 32768})
        """Tokens that a chat model writes at most."""

    settings: Settings

    @code_actions
    async def actions(self, snapshot: Snapshot, range: Range) -> AsyncIterator[Action | Nothing]:
        """Offered on a selection with words."""
        settings = self.settings
        if not settings.enabled or range.is_empty or not re.search(r"[^\W\d_]{2}", snapshot.text_in(range)):
            return
        if not settings.model or settings.model.startswith("starter:"):
            yield Nothing("needs-translation-model", f"Translate Selection: no model is set. {_NEEDS}")
            return
        into = f" into {settings.target}" if settings.target else ""
        yield Action(f"Translate selection{into}", "refactor.rewrite", resolve="translate")
        yield Action(f"Show translation{into}", "refactor", command="translate.show")

    @resolver("translate")
    async def edit(self, snapshot: Snapshot, range: Range) -> Edit:
        """The translation as an edit, which an editor may preview."""
        text = await collect(self.editor, self._pieces(snapshot, range, self.settings.target), "Translating")
        return Edit(range, _nonempty(text).replace("\n", snapshot.eol))

    @command("translate.selection", "Translate Selection")
    async def selection(self, snapshot: Snapshot | None, range: Range | None, *, target: str = "", **_: Any) -> str:
        """Put the translation in the place of the selection, as it comes; `target` overrides the setting."""
        snapshot, range = _selected(snapshot, range)
        pieces = self._pieces(snapshot, range, target or self.settings.target)
        return await write_over(self.editor, snapshot, range, pieces, "Translating", "Translate selection")

    @command("translate.show", "Show Translation of Selection")
    async def show(self, snapshot: Snapshot | None, range: Range | None, *, target: str = "", **_: Any) -> str:
        """Show the translation in a place of its own."""
        snapshot, range = _selected(snapshot, range)
        pieces = self._pieces(snapshot, range, target or self.settings.target)
        name = snapshot.uri.rpartition("/")[2]
        return _nonempty(await show(self.editor, pieces, f"Translation of {name}", "Translating"))

    def _pieces(self, snapshot: Snapshot, range: Range, target: str) -> Pieces:
        settings = self.settings
        if not settings.enabled:
            raise InklingError("disabled", "Translation is off.", "Set [translate] enabled = true.")
        if not settings.model or settings.model.startswith("starter:"):
            raise InklingError("needs-translation-model", "No translation model is set.", _NEEDS)
        text = snapshot.text_in(range).replace("\r\n", "\n").replace("\r", "\n")
        if not text.strip():
            raise InklingError("no-selection", "There is no text to translate.", "Select some text.")
        return self._translated(text, target)

    async def _translated(self, text: str, target: str) -> Pieces:
        """The translation, paragraph by paragraph; a chat model's token by token. White space at both ends stays."""
        settings = self.settings
        parts = _PARAGRAPH.split(text)
        chats = True
        for part in parts:
            if not part.strip():
                yield part
                continue
            lead, tail = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
            if lead:
                yield lead
            if chats:
                begun = False
                try:
                    request = self._request(part.strip(), target)
                    async with aclosing(_trimmed(generated(self.engine, request))) as pieces:
                        async for piece in pieces:
                            begun = True
                            yield piece
                except InklingError as error:
                    if begun or error.reason not in _NOT_CHAT:
                        raise
                    chats = False
            if not chats:
                yield await self.engine.translate(
                    part.strip(), model=settings.model, source=settings.source, target=target
                )
            if tail:
                yield tail

    def _request(self, text: str, target: str) -> GenerateRequest:
        settings = self.settings
        source = f" from {settings.source}" if settings.source else ""
        asked = f"Translate the text{source} into {target or 'English'}. Answer with the translation alone.\n\n{text}"
        return GenerateRequest(
            model=settings.model, messages=({"role": "user", "content": asked},), max_tokens=settings.max_tokens
        )


async def _trimmed(pieces: Pieces) -> Pieces:
    """`pieces` without white space at either end."""
    held, begun = "", False
    async with aclosing(pieces):
        async for piece in pieces:
            text = held + piece
            text = text if begun else text.lstrip()
            body = text.rstrip()
            held = text[len(body) :]
            if body:
                begun = True
                yield body


def _selected(snapshot: Snapshot | None, range: Range | None) -> tuple[Snapshot, Range]:
    if snapshot is None or range is None or range.is_empty:
        raise InklingError("no-selection", "Nothing is selected.", "Select the text to translate.")
    return snapshot, range


def _nonempty(text: str) -> str:
    if not text.strip():
        raise InklingError("empty", "The model gave no translation.", "Try another model.")
    return text
