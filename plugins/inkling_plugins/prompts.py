"""Prompt actions: what a chat model makes of the selection, where the user wants it."""

from __future__ import annotations

import asyncio
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
    Position,
    Range,
    Snapshot,
    code_actions,
    command,
)
from inkling_plugins.doc_comments import doc_place, documentation
from inkling_plugins.generated_text import CodeOnly, Indented
from inkling_plugins.prompt_templates import Prompt, fill, indentation, prompts, subject
from inkling_plugins.writing import Pieces, collect, generated, show, through, write_new, write_over

_NEEDS = (
    'Set a chat model: [prompts] model = "…" in inkling.toml. '
    "`inkling models recommend` names some that fit this machine."
)


class Prompts(Plugin):
    """Explain, Rewrite, Fix, Write Docstring, and the user's own."""

    name = "prompts"

    @dataclass(frozen=True)
    class Settings:
        """The table `[prompts]`, and the tables `[[prompt]]`."""

        enabled: bool = True
        """Offer prompt actions."""
        model: str = field(default="", metadata={"scope": "model"})
        """An instruction-following (chat) model. None is set: the starters cannot follow instructions."""
        context_characters: int = field(default=4000, metadata={"min": 0})
        """Characters that {before} and {after} hold at most."""
        quantization: str = "auto"
        """How the model's weights are held."""
        prompt: tuple[Prompt, ...] = field(default=(), metadata={"merge": "name", "top_level": True})
        """A prompt of your own, or a change to a bundled one: see docs/prompts.md for its keys."""

    settings: Settings

    @code_actions
    async def actions(self, snapshot: Snapshot, range: Range) -> AsyncIterator[Action | Nothing]:
        """The prompts that suit the place; nothing is computed before one is chosen."""
        if not self.settings.enabled:
            return
        if await asyncio.to_thread(subject, snapshot, range) is None:
            return
        lacking = []
        for prompt in prompts(self.settings.prompt).values():
            if not prompt.suits(snapshot.language):
                continue
            if self._lacks_model(prompt):
                lacking.append(prompt.label)
                continue
            kind = "refactor.rewrite" if prompt.result == "replace" else "refactor"
            yield Action(prompt.label, kind, command="prompt", arguments={"name": prompt.name})
        if lacking:
            yield Nothing("needs-chat-model", f"{', '.join(lacking)}: {_NEEDS}")

    @command("prompt", "Run a Prompt on the Selection")
    async def run(self, snapshot: Snapshot | None, range: Range | None, *, name: str = "", **_: Any) -> str:
        """Run the prompt `name` on the selection or the block at the cursor; without a name the user chooses."""
        if not self.settings.enabled:
            raise InklingError("disabled", "Prompts are off.", "Set [prompts] enabled = true.")
        if snapshot is None or range is None:
            raise InklingError("no-document", "There is no selection.", "Run this from an editor.")
        known = {n: p for n, p in prompts(self.settings.prompt).items() if p.suits(snapshot.language)}
        if not name:
            chosen = await self.editor.choose("Run which prompt?", [prompt.label for prompt in known.values()])
            name = next((n for n, prompt in known.items() if prompt.label == chosen), "")
            if not name:
                return "Nothing was chosen."
        prompt = known.get(name)
        if prompt is None:
            hint = f"Here are {', '.join(known)}." if known else "Add a [[prompt]] to inkling.toml."
            raise InklingError("no-prompt", f'There is no prompt "{name[:64]}" for {snapshot.language}.', hint)
        if self._lacks_model(prompt):
            message = f"{prompt.label} needs a chat model; the starters are too small to follow instructions."
            raise InklingError("needs-chat-model", message, _NEEDS)
        place = await asyncio.to_thread(subject, snapshot, range)
        if place is None:
            raise InklingError("no-selection", "There is no text at the cursor.", "Select some text.")
        return await self._answer(prompt, snapshot, place)

    def _lacks_model(self, prompt: Prompt) -> bool:
        model = prompt.model or self.settings.model
        return not model or model.startswith("starter:")

    async def _answer(self, prompt: Prompt, snapshot: Snapshot, place: Range) -> str:
        pieces = self._pieces(prompt, snapshot, place)
        title = prompt.label
        if prompt.result == "show":
            text = await show(self.editor, pieces, title)
            if not text:
                raise InklingError("empty", "The model wrote nothing.", "Try another model.")
            return text
        if prompt.result == "docstring":
            return await self._document(snapshot, place, pieces, title)
        indent = indentation(snapshot, place.start.line)
        if prompt.wants_code(snapshot.language):
            code = CodeOnly()
            pieces = through(pieces, code.feed, code.finish)
        lines = Indented(indent)
        pieces = through(pieces, lines.feed, lines.finish)
        if prompt.result == "replace":
            return await write_over(self.editor, snapshot, place, pieces, title, title)
        if prompt.result == "insert-above":
            at = Position(place.start.line, len(indent))
            return await write_new(self.editor, snapshot, at, _with(pieces, "", "\n" + indent), title, title)
        end = snapshot.line_range(place.end.line).end
        return await write_new(self.editor, snapshot, end, _with(pieces, "\n" + indent, ""), title, title)

    async def _document(self, snapshot: Snapshot, place: Range, pieces: Pieces, title: str) -> str:
        """The answer as the documentation comment of the definition; a whole, since its lines are to be wrapped."""
        where = await asyncio.to_thread(doc_place, snapshot, place.start)
        if where is None:
            await pieces.aclose()
            raise InklingError("has-docs", "This definition is documented already.", "Nothing was changed.")
        code = CodeOnly()
        text = await collect(self.editor, through(pieces, code.feed, code.finish), title)
        text = text.strip().strip("\"'`").strip()
        if not text:
            raise InklingError("empty", "The model wrote nothing.", "Try another model.")
        lines = documentation(text, snapshot.language, where)
        at = Position(where.line, 0)
        if where.line < snapshot.line_count:
            edit = Edit(Range(at, at), "".join(line + snapshot.eol for line in lines))
        else:
            end = snapshot.position(len(snapshot))
            edit = Edit(Range(end, end), "".join(snapshot.eol + line for line in lines))
        await self.editor.apply(snapshot, [edit], title)
        return text

    def _pieces(self, prompt: Prompt, snapshot: Snapshot, place: Range) -> Pieces:
        asked = fill(prompt.template, snapshot, place, self.settings.context_characters)
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        request = GenerateRequest(
            model=prompt.model or self.settings.model,
            messages=(*messages, {"role": "user", "content": asked}),
            max_tokens=prompt.max_tokens,
            temperature=prompt.temperature,
            cache_key=f"{snapshot.uri}#prompt",
            quantization=self.settings.quantization,
        )
        return generated(self.engine, request)


async def _with(pieces: Pieces, before: str, after: str) -> Pieces:
    """`pieces` between two texts; nothing at all when there are none."""
    begun = False
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece if begun else before + piece
            begun = True
    if begun and after:
        yield after
