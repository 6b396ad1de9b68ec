"""Which functions in the open files do nearly the same as this one? By embeddings, on your own machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from inkling.api import (
    Action,
    InklingError,
    Plugin,
    Position,
    Range,
    Segment,
    SegmentKind,
    Snapshot,
    code_actions,
    command,
    segments,
)


class SimilarFunctions(Plugin):
    """A code action inside a function, and the command that it runs."""

    name = "similar_functions"

    @dataclass(frozen=True)
    class Settings:
        """The table `[similar_functions]` of inkling.toml."""

        model: str = field(default="starter:encoder", metadata={"scope": "model"})
        """A feature-extraction model."""
        most: int = field(default=5, metadata={"min": 1, "max": 50})
        """How many functions to list."""
        characters: int = field(default=1000, metadata={"min": 100})
        """How much of each function the model reads."""

    @code_actions
    async def offer(self, snapshot: Snapshot, range: Range) -> AsyncIterator[Action]:
        """Offered where the cursor is in a function; nothing is computed yet."""
        if await asyncio.to_thread(_function_at, snapshot, range.start):
            yield Action("Show similar functions", "source", command="similar_functions.show")

    @command("similar_functions.show", "Show similar functions")
    async def show(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """List the open files' functions that are nearest to the one at the cursor."""
        here = await asyncio.to_thread(_function_at, snapshot, range.start) if snapshot and range else None
        if snapshot is None or here is None:
            raise InklingError("no-function", "The cursor is not in a function.", "Put it into one.")
        documents = [snapshot, *(other for other in self.editor.documents() if other.uri != snapshot.uri)]
        found = await asyncio.to_thread(lambda: [(d, f) for d in documents for f in _functions(d)])
        others = [(d, f) for d, f in found if (d.uri, f.start) != (snapshot.uri, here.start)]
        async with self.editor.progress("Reading functions"):
            texts = [d.slice(f.start, f.end)[: self.settings.characters] for d, f in [(snapshot, here), *others]]
            first, *vectors = await self.engine.embed(texts, model=self.settings.model)
        scores = [sum(a * b for a, b in zip(first, vector, strict=True)) for vector in vectors]
        best = sorted(zip(scores, others, strict=True), key=lambda pair: -pair[0])[: self.settings.most]
        lines = [f"* {score:.2f} `{_headline(d, f)}` {d.uri}#L{d.position(f.start).line + 1}" for score, (d, f) in best]
        text = "\n".join(lines) or "There are no other functions in the open files."
        await self.editor.show_text("Similar functions", f"# Like `{_headline(snapshot, here)}`\n\n{text}\n")
        return text


def _functions(snapshot: Snapshot) -> tuple[Segment, ...]:
    return segments(snapshot, (SegmentKind.FUNCTION,))


def _function_at(snapshot: Snapshot, position: Position) -> Segment | None:
    """The innermost function around the position."""
    offset = snapshot.offset(position)
    around = [function for function in _functions(snapshot) if function.start <= offset <= function.end]
    return min(around, key=lambda function: function.end - function.start, default=None)


def _headline(snapshot: Snapshot, function: Segment) -> str:
    return snapshot.line(snapshot.position(function.start).line).strip()
