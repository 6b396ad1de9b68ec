"""Exact token counts: of the word, block and document under the cursor, and a warning above a budget."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from inkling.api import (
    CodeLens,
    Diagnostic,
    Hover,
    InklingError,
    Plugin,
    Position,
    Range,
    Severity,
    Snapshot,
    TokenSpan,
    code_lenses,
    command,
    diagnostics,
    find_block,
    hover,
)
from inkling_plugins.globs import matches
from inkling_plugins.inline_code import inline_code

_LARGE = 2_000
"""Characters from which a document is parsed off the event loop."""
_FENCE = re.compile(r"(?:\A|(?<=[\r\n]))(?P<fence>`{3,}|~{3,})(?P<info>[^\r\n]*)(?:\r\n|\r|\n|\Z)")


class TokenCount(Plugin):
    """Hover, code lens and budget warnings under the tokenizer of `model`; needs no engine."""

    name = "token_count"

    @dataclass(frozen=True)
    class Settings:
        """The table `[token_count]`."""

        model: str = field(default="starter:code", metadata={"scope": "model"})
        """The model whose tokenizer counts."""
        hover: bool = True
        """Show counts on hover."""
        lens: Literal["auto", "always", "never"] = "auto"
        """The count above the first line; auto: files with a budget, and those above `lens_share`."""
        lens_share: float = field(default=0.5, metadata={"min": 0.0})
        """The share of the model's context window that makes a file large."""
        budgets: Mapping[str, int] = field(
            default_factory=lambda: {"*.prompt": 4000, "*.prompt.md": 4000, "*.prompt.txt": 4000}, metadata={"min": 0}
        )
        """The most tokens of a document, by glob; the last glob that matches counts."""
        block_budget: int = field(default=0, metadata={"min": 0})
        """The most tokens of a block fenced as `prompt` inside a document; 0 is no limit."""

    settings: Settings

    @hover
    async def counts(self, snapshot: Snapshot, position: Position) -> Hover | None:
        """The counts around the cursor, and the token under it."""
        if not self.settings.hover:
            return None
        model = self.settings.model
        word = snapshot.word_at(position)
        block = await find_block(snapshot, position)
        # one after the other: nearly always all of it is in memory, and the tokenizer has one thread anyway
        in_document = await self.tokens.count(snapshot, model)
        window = await self.tokens.context_window(model)
        token = await self.tokens.at(snapshot, snapshot.offset(position), model)
        in_block = await self.tokens.count_part(snapshot, block.start, block.end, model) if block else 0
        in_word = await self._count(snapshot.text_in(word)) if word else 0
        parts = []
        if word:
            parts.append(f"{inline_code(snapshot.text_in(word))} {in_word:,}")
        if block:
            parts.append(f"{block.kind.replace('_', ' ')} {in_block:,}")
        parts.append(f"document {in_document:,}")
        if window:
            parts.append(_share(in_document, window))
        lines = [f"**Tokens** · {' · '.join(parts)}"]
        if token is not None:
            lines.append(f"{_piece(token)} · {inline_code(model)}")
        return Hover("\n\n".join(lines), word)

    @code_lenses
    async def lens(self, snapshot: Snapshot) -> CodeLens | None:
        """The document's count above its first line."""
        settings = self.settings
        if settings.lens == "never" or not len(snapshot):
            return None
        budget = self._budget(snapshot)
        count = await self.tokens.count(snapshot, settings.model)
        window = await self.tokens.context_window(settings.model)
        if settings.lens == "auto" and not budget and not (window and count >= settings.lens_share * window):
            return None
        of = f" of a budget of {budget[1]:,}" if budget else f", {_share(count, window)}" if window else ""
        return CodeLens(snapshot.line_range(0), f"{count:,} tokens{of} ({settings.model})")

    @diagnostics
    async def budgets(self, snapshot: Snapshot) -> AsyncIterator[Diagnostic]:
        """A warning for a document above its budget, and for each prompt block above the block budget."""
        settings = self.settings
        budget = self._budget(snapshot)
        if budget:
            count = await self.tokens.count(snapshot, settings.model)
            if count > budget[1]:
                yield _over(snapshot.line_range(0), "This document", count, budget[1], settings.model)
        if settings.block_budget:
            for start, end in await self._prompts(snapshot):
                count = await self._count(snapshot.slice(start, end))
                if count > settings.block_budget:
                    place = snapshot.line_range(max(0, snapshot.position(start).line - 1))
                    yield _over(place, "This prompt", count, settings.block_budget, settings.model)

    @command("token_count.count", "Count tokens")
    async def count(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Say how many tokens the selection and the document take."""
        if snapshot is None:
            raise InklingError("no-document", "There is no document to count.", "Run this from an editor.")
        model = self.settings.model
        in_document, window = await self.tokens.count(snapshot, model), await self.tokens.context_window(model)
        parts = [f"document {in_document:,}"]
        if range is not None and not range.is_empty:
            parts.insert(0, f"selection {await self._count(snapshot.text_in(range)):,}")
        if window:
            parts.append(_share(in_document, window))
        text = f"Tokens of {model}: {', '.join(parts)}."
        await self.editor.show_message(text)
        return text

    def _budget(self, snapshot: Snapshot) -> tuple[str, int] | None:
        found = [(glob, limit) for glob, limit in self.settings.budgets.items() if matches(snapshot.uri, (glob,))]
        return found[-1] if found else None

    async def _count(self, text: str) -> int:
        return await self.tokens.count_text(text, self.settings.model) if text else 0

    async def _prompts(self, snapshot: Snapshot) -> list[tuple[int, int]]:
        if len(snapshot) < _LARGE:
            return _prompt_blocks(snapshot)
        return await asyncio.to_thread(_prompt_blocks, snapshot)


def _prompt_blocks(snapshot: Snapshot) -> list[tuple[int, int]]:
    """The spans of what stands between the fences of ```` ```prompt ```` blocks; they do not overlap."""
    text, spans = snapshot.text, []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence if re.match(r"[ \t]*prompt\b", fence["info"]) else None
        elif fence["fence"].startswith(opening["fence"]) and not fence["info"].strip(" \t"):
            spans.append((opening.end(), fence.start()))
            opening = None
    return spans if opening is None else [*spans, (opening.end(), len(text))]


def _over(range: Range, what: str, count: int, budget: int, model: str) -> Diagnostic:
    message = f"{what} takes {count:,} tokens of {model}: {count - budget:,} over its budget of {budget:,}."
    return Diagnostic(range, message, Severity.WARNING, "over-budget", data={"tokens": count, "budget": budget})


def _share(tokens: int, window: int) -> str:
    """How much of the model's window that is: `30 % of the 2,048-token window`."""
    share = tokens / window
    times = f"{share:.1f} ×" if share > 1 else f"{100 * share:.0f} % of" if share >= 0.1 else f"{100 * share:.1f} % of"
    return f"{times} the {window:,}-token window"


def _piece(token: TokenSpan) -> str:
    return f"token {inline_code(token.piece)} id {token.id}"
