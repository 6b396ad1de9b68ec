"""Fill-mask: words that fit better, and words for a `[MASK]`, ranked by a masked language model."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from inkling.api import (
    Action,
    Completion,
    Edit,
    Fill,
    InklingError,
    Nothing,
    Plugin,
    Position,
    Priority,
    Range,
    Scope,
    Snapshot,
    code_actions,
    command,
    completion,
    scope_at,
)
from inkling_plugins.mask_context import MASK, MASKS, context, with_case

_REMEMBERED = 256
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NO_MODEL = "No masked language model is set, and none ships with Inkling."
_HOW = (
    'Write [better_word] model = "distilbert/distilroberta-base" (or another fill-mask model that is on this machine, '
    "see `inkling models list`) into inkling.toml."
)


class BetterWord(Plugin):
    """Quick replacements for the word under the cursor, and completions at `[MASK]` and `<mask>`."""

    name = "better_word"

    @dataclass(frozen=True)
    class Settings:
        """The table `[better_word]`."""

        enabled: bool = True
        """Offer words, once a model is set."""
        model: str = field(default="", metadata={"scope": "model"})
        """A fill-mask model; there is none to begin with."""
        count: int = field(default=5, metadata={"min": 1, "max": 50})
        """How many words are offered."""
        least: float = field(default=0.01, metadata={"min": 0.0, "max": 1.0})
        """Words with a lower probability are not offered."""
        min_letters: int = field(default=3, metadata={"min": 1})
        """Shorter words are left alone."""

    settings: Settings

    async def start(self) -> None:
        """Begin with nothing remembered."""
        self._known: OrderedDict[tuple[str, str], list[Fill]] = OrderedDict()
        self._told: set[tuple[str, str]] = set()

    @code_actions
    async def better(self, snapshot: Snapshot, range: Range) -> AsyncIterator[Action | Nothing]:
        """One action for each word that fits in place of the one under the cursor."""
        word = self._word(snapshot, range)
        if word is None:
            return
        if (why := self._why_not(snapshot, "actions")) is not None:
            if why.reason:
                yield why
            return
        for found, score in await self._replacements(snapshot, word):
            yield Action(f"Better word: “{found}” ({score:.0%})", "refactor.rewrite", edits=(Edit(word, found),))

    @completion(triggers="]>")
    async def fill(self, snapshot: Snapshot, position: Position) -> AsyncIterator[Completion | Nothing]:
        """Words for the mask at the cursor, in place of it."""
        span = _mask_at(snapshot, position)
        if span is None:
            return
        if (why := self._why_not(snapshot, "completion")) is not None:
            if why.reason:
                yield why
            return
        start, end = snapshot.offset(span.start), snapshot.offset(span.end)
        before, after = context(snapshot, start, end)
        opens = not before.strip() or before.rstrip().endswith((".", "!", "?"))
        for rank, (found, score) in enumerate(await self._fills(before, after, "")):
            text = found[:1].upper() + found[1:] if opens else found
            yield Completion(text, text, span, f"{score:.0%}", rank=rank)

    @command("better_word.choose", "Better Word…")
    async def choose(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Have the user choose among the words that fit in place of the one at the cursor, or for a mask."""
        if not self.settings.model:
            raise InklingError("no-model", _NO_MODEL, _HOW)
        word = self._word(snapshot, range) if snapshot is not None and range is not None else None
        if snapshot is None or word is None:
            raise InklingError("no-word", "There is no word at the cursor.", "Put the cursor on a word of prose.")
        found = await self._replacements(snapshot, word)
        if not found:
            raise InklingError("no-better-word", f"{self.settings.model} knows no better word here.")
        titles = [f"{text} ({score:.0%})" for text, score in found]
        chosen = await self.editor.choose("Better word:", titles)
        if chosen is None:
            return ""
        text = found[titles.index(chosen)][0]
        await self.editor.apply(snapshot, [Edit(word, text)], "Better word")
        return text

    def _why_not(self, snapshot: Snapshot, surface: str) -> Nothing | None:
        """Why nothing is offered; that no model is set is told once for a document."""
        if not self.settings.enabled:
            return Nothing("disabled", "[better_word] enabled = false.")
        if self.settings.model:
            return None
        if (snapshot.uri, surface) in self._told:
            return Nothing("")
        if len(self._told) > 1000:
            self._told.clear()
        self._told.add((snapshot.uri, surface))
        return Nothing("no-model", f"{_NO_MODEL} {_HOW}")

    def _word(self, snapshot: Snapshot, range: Range) -> Range | None:
        """The word of prose that is selected, or that the cursor is on; names in code are no such words."""
        word = range if not range.is_empty else snapshot.word_at(range.start)
        if word is None or word.start.line != word.end.line:
            return None
        text = snapshot.text_in(word)
        if len(text) > 40 or not _WORD.fullmatch(text) or len(text) < self.settings.min_letters:
            return None
        inside = Position(word.start.line, word.start.character + 1)
        return None if scope_at(snapshot, inside) is Scope.CODE else word

    async def _replacements(self, snapshot: Snapshot, word: Range) -> list[tuple[str, float]]:
        before, after = context(snapshot, snapshot.offset(word.start), snapshot.offset(word.end))
        return await self._fills(before, after, snapshot.text_in(word))

    async def _fills(self, before: str, after: str, instead_of: str) -> list[tuple[str, float]]:
        """(word, probability), best first, in the case of the word that they stand instead of."""
        settings = self.settings
        text = f"{before}{MASK}{after}"
        key = (settings.model, text)
        if key not in self._known:
            # among the best there are marks and parts of words, which are no use here
            asked = 4 * settings.count + 8
            fills = await self.engine.fill_mask(text, model=settings.model, top_k=asked, priority=Priority.ACTION)
            self._known[key] = fills
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        found: dict[str, tuple[str, float]] = {}
        for fill in self._known[key]:
            word = fill.token.strip()
            if fill.score < settings.least or not _WORD.fullmatch(word) or word.casefold() == instead_of.casefold():
                continue
            found.setdefault(word.casefold(), (with_case(word, instead_of), fill.score))
        return list(found.values())[: settings.count]


def _mask_at(snapshot: Snapshot, position: Position) -> Range | None:
    """The mask that the cursor is in or behind."""
    first = max(0, position.character - 40)
    line = snapshot.offset(Position(position.line, 0))
    text = snapshot.slice(line + first, min(line + position.character + 40, snapshot.offset(position) + 40))
    for match in MASKS.finditer(text):
        start, end = line + first + match.start(), line + first + match.end()
        if start < line + position.character <= end:
            return snapshot.range(start, end)
    return None
