"""See a text as a model's tokenizer does: token boundaries in colours, ids beside them, two tokenizers compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from inkling.api import (
    InklingError,
    InlayHint,
    Nothing,
    Plugin,
    Position,
    Range,
    SemanticToken,
    Snapshot,
    TokenSpan,
    command,
    inlay_hints,
    semantic_tokens,
)
from inkling_plugins.inline_code import inline_code
from inkling_plugins.token_compare import compare, report

View = Literal["colours", "ids", "both"]
_MOST_HINTS = 3_000
_OFF = Nothing("disabled", "Token boundaries are off; the command “Show Token Boundaries” switches them on.")


class TokenLens(Plugin):
    """Token boundaries under the tokenizer of `model`; needs no engine."""

    name = "token_lens"

    @dataclass(frozen=True)
    class Settings:
        """The table `[token_lens]`."""

        shown: bool = False
        """Show token boundaries from the start; the command switches them on and off."""
        model: str = field(default="starter:code", metadata={"scope": "model"})
        """The model whose tokenizer cuts the text."""
        view: View = "colours"
        """Colours in turn, the tokens' ids between them, or both."""
        compare_with: str = field(default="starter:tone", metadata={"scope": "model"})
        """The model that "Compare Tokenizers" sets beside `model`."""
        max_characters: int = field(default=100_000, metadata={"min": 1})
        """Longer documents get no colours (an editor asks for all at once), and longer texts are not compared."""

    settings: Settings

    async def start(self) -> None:
        """Begin as the settings say."""
        self._switched: bool | None = None

    @property
    def _shown(self) -> bool:
        return self.settings.shown if self._switched is None else self._switched

    @semantic_tokens
    async def colours(self, snapshot: Snapshot, range: Range) -> list[SemanticToken] | Nothing:
        """Tokens of a line in two colours in turn, so that an edit changes those of its own line only."""
        settings = self.settings
        if not self._shown or settings.view == "ids":
            return _OFF
        start, end = snapshot.offset(Position(range.start.line, 0)), snapshot.offset(range.end)
        if end - start > settings.max_characters:
            return Nothing(
                "too-large",
                f"Over {settings.max_characters:,} characters (token_lens.max_characters). The view “ids” shows the "
                "tokens of what you look at.",
            )
        spans = await self.tokens.spans(snapshot, start, end, settings.model)
        # one that begins on an earlier line has the colour that it has there
        return await asyncio.to_thread(_coloured, snapshot, _groups([span for span in spans if span.start >= start]))

    @inlay_hints
    async def ids(self, snapshot: Snapshot, range: Range) -> AsyncIterator[InlayHint | Nothing]:
        """The id of each token behind it."""
        settings = self.settings
        if not self._shown or settings.view == "colours":
            yield _OFF
            return
        start, end = snapshot.offset(range.start), snapshot.offset(range.end)
        spans = await self.tokens.spans(snapshot, start, min(end, start + settings.max_characters), settings.model)
        groups = _groups(spans)
        for group in groups[:_MOST_HINTS]:
            yield _hint(snapshot, group)
        if len(groups) > _MOST_HINTS:
            yield Nothing("too-many", f"Ids are shown for the first {_MOST_HINTS:,} tokens only.")

    @command("token_lens.show", "Show Token Boundaries")
    async def show(self, snapshot: Snapshot | None, range: Range | None, on: bool | None = None, **_: Any) -> str:
        """Switch the lens on or off (`on` says which), and say what it found in the document."""
        if snapshot is not None:
            await self.tokens.spans(snapshot, 0, 1, self.settings.model)  # a model without a tokenizer is told now
        self._switched = (not self._shown) if on is None else bool(on)
        self.editor.refresh("semantic_tokens")
        self.editor.refresh("inlay_hints")
        text = await self._summary(snapshot) if self._switched else "Token boundaries are off."
        await self.editor.show_message(text)
        return text

    async def _summary(self, snapshot: Snapshot | None) -> str:
        model = self.settings.model
        if snapshot is None:
            return f"Token boundaries of {model} are on."
        count = await self.tokens.count(snapshot, model)
        text = f"Token boundaries of {model} are on: {count:,} tokens in this document"
        if len(snapshot) > self.settings.max_characters:
            return f"{text}."
        unknown = sum(span.unknown for span in await self.tokens.spans(snapshot, 0, len(snapshot), model))
        return f"{text}, {unknown:,} of them unknown to the vocabulary." if unknown else f"{text}."

    @command("token_lens.compare", "Compare Tokenizers")
    async def compare(
        self, snapshot: Snapshot | None, range: Range | None, model: str = "", other: str = "", **_: Any
    ) -> str:
        """Set two tokenizers side by side on the selection, or on the whole document."""
        if snapshot is None:
            raise InklingError("no-document", "There is no text to compare on.", "Run this from an editor.")
        whole = range is None or range.is_empty
        length = len(snapshot) if whole or range is None else snapshot.offset(range.end) - snapshot.offset(range.start)
        if length > self.settings.max_characters:
            raise InklingError(
                "too-large",
                f"The text has {length:,} characters; token_lens.max_characters is {self.settings.max_characters:,}.",
                "Select less of it.",
            )
        text = Snapshot.of(snapshot.text if whole or range is None else snapshot.text_in(range))
        models = (model or self.settings.model, other or self.settings.compare_with)
        if models[0] == models[1]:
            raise InklingError("same-model", f"Both tokenizers are those of {models[0]}.", "Name another as `other`.")
        spans = [await self.tokens.spans(text, 0, len(text), name) for name in models]
        compared = await asyncio.to_thread(compare, text.text, spans[0], spans[1])
        await self.editor.show_text("Tokenizers compared", report(models, compared))
        counts = " and ".join(f"{len(found):,} of {name}" for name, found in zip(models, spans, strict=True))
        return f"{counts}; {len(compared.different):,} of {compared.words:,} words are split differently."


def _groups(spans: Sequence[TokenSpan]) -> list[list[TokenSpan]]:
    """Tokens that share a character are shown as one."""
    groups: list[list[TokenSpan]] = []
    reached = 0
    for span in spans:
        if groups and span.start < reached:
            groups[-1].append(span)
        else:
            groups.append([span])
        reached = max(reached, span.end)
    return groups


def _coloured(snapshot: Snapshot, groups: Sequence[Sequence[TokenSpan]]) -> list[SemanticToken]:
    found: list[SemanticToken] = []
    line, odd, first, last = -1, False, 0, -1
    for group in groups:
        start, end = group[0].start, max(token.end for token in group)
        here = line if first <= start <= end <= last else snapshot.position(start).line
        if here != line:  # each line is looked up once
            place = snapshot.line_range(here)
            first = snapshot.offset(place.start)
            last = first + place.end.character
        inside = end <= last
        span = (
            Range(Position(here, start - first), Position(here, end - first)) if inside else snapshot.range(start, end)
        )
        line, odd = here, here == line and not odd
        if any(token.unknown for token in group):
            kind = "tokenUnknown"
        elif any(token.special or token.added for token in group):
            kind = "tokenSpecial"
        else:
            kind = "tokenAlternate" if odd else "token"
        found.append(SemanticToken(span, kind))
    return found


def _hint(snapshot: Snapshot, group: Sequence[TokenSpan]) -> InlayHint:
    span = snapshot.range(group[0].start, max(token.end for token in group))
    place = span.end if span.end.line == span.start.line else snapshot.line_range(span.start.line).end
    kinds = list(dict.fromkeys(kind for token in group if (kind := _kind(token))))
    label = "+".join(str(token.id) for token in group) + "".join(f" {kind}" for kind in kinds)
    tooltip = "\n\n".join(
        f"{inline_code(token.piece)} id {token.id}" + (f", {kind}" if (kind := _kind(token)) else "") for token in group
    )
    return InlayHint(place, label, tooltip)


def _kind(token: TokenSpan) -> str:
    return "unknown" if token.unknown else "special" if token.special else "added" if token.added else ""
