"""Plugins for tests, good and bad. They use nothing but `inkling.api`, so that any server can load them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from inkling.api import (
    Action,
    CodeLens,
    Completion,
    Diagnostic,
    Edit,
    GenerateRequest,
    GhostText,
    Hover,
    InklingError,
    InlayHint,
    Nothing,
    Plugin,
    Position,
    Range,
    Related,
    SemanticToken,
    Severity,
    Snapshot,
    Symbol,
    code_actions,
    code_lenses,
    command,
    completion,
    diagnostics,
    hover,
    inlay_hints,
    inline_completion,
    resolver,
    semantic_tokens,
    workspace_symbols,
)


class Words(Plugin):
    """Every surface, without a model: shouts words, marks the word "bad", completes by counting."""

    name = "words"

    @dataclass(frozen=True)
    class Settings:
        """The table `[words]`."""

        bad: str = "bad"
        """The word that is marked."""
        pause: float = 0.0
        """Seconds before each result."""

    @hover
    async def word(self, snapshot: Snapshot, position: Position) -> Hover | Nothing:
        print("a print must not reach the protocol" * 40)
        await asyncio.sleep(self.settings.pause)
        word = snapshot.word_at(position)
        return Hover(f"word {snapshot.text_in(word)}", word) if word else Nothing("no-word", "No word here.")

    @diagnostics
    async def bad(self, snapshot: Snapshot) -> AsyncGenerator[Diagnostic, None]:
        await asyncio.sleep(self.settings.pause)
        start = snapshot.text.find(self.settings.bad)
        while start >= 0:
            span = snapshot.range(start, start + len(self.settings.bad))
            fix = Action("Make it good", "quickfix", edits=(Edit(span, "good"),), preferred=True)
            yield Diagnostic(span, "a bad word", Severity.WARNING, "W1", fixes=(fix,))
            start = snapshot.text.find(self.settings.bad, start + 1)

    @code_actions
    async def actions(self, snapshot: Snapshot, range: Range) -> list[Action]:
        return [
            Action("Shout", "refactor.rewrite", resolve="shout", arguments={"mark": "!"}),
            Action("Count", "source", command="count"),
        ]

    @resolver("shout")
    async def shout(self, snapshot: Snapshot, range: Range, mark: str) -> Edit:
        await asyncio.sleep(self.settings.pause)
        return Edit(range, snapshot.text_in(range).upper() + mark)

    @code_lenses
    async def lenses(self, snapshot: Snapshot) -> list[CodeLens]:
        return [CodeLens(Range(Position(0, 0), Position(0, 0)), f"{len(snapshot.text.split())} words", "count")]

    @command("count", "Count words")
    async def count(self, snapshot: Snapshot | None, range: Range | None, factor: int = 1) -> str | None:
        if snapshot is None:
            return None
        async with self.editor.progress("Counting") as progress:
            progress.report("words", 0.5)
            await asyncio.sleep(self.settings.pause)
        return str(factor * len((snapshot.text if range is None else snapshot.text_in(range)).split()))

    @command("write", "Write")
    async def write(self, snapshot: Snapshot, range: Range, pieces: int = 3, pause: float = 0.0) -> None:
        async with self.editor.stream(snapshot, range.start, "Write") as stream:
            for number in every(pieces):
                await stream.write(f"<{number}>\n" if number % 2 else f"<{number}>")
                await asyncio.sleep(pause)

    @command("text", "Text")
    async def text(self, snapshot: Snapshot, range: Range | None) -> str:
        return snapshot.text

    @command("echo", "Echo")
    async def echo(self, snapshot: Snapshot | None, range: Range | None, text: str) -> str:
        return text

    @command("show", "Show")
    async def show(self, snapshot: Snapshot | None, range: Range | None) -> None:
        await self.editor.show_text("A title", "some text")

    @command("forbid", "Forbid")
    async def forbid(self, snapshot: Snapshot | None, range: Range | None, word: str) -> None:
        await self.editor.change_setting("words.bad", word)

    @inline_completion
    async def numbers(self, snapshot: Snapshot, position: Position, invoked: bool) -> AsyncGenerator[GhostText, None]:
        text = ""
        for piece in ("one ", "two\n", "three ", "four"):
            await asyncio.sleep(self.settings.pause)
            text += piece
            yield GhostText(text, complete=piece == "four")


every = range  # the API names a parameter `range`


class Places(Plugin):
    """The surfaces that are about places: completion, hints, colours, symbols; and what an editor can be asked for."""

    name = "places"

    @dataclass(frozen=True)
    class Settings:
        """The table `[places]`."""

        way: str = ""
        """How to go wrong: a range without the cursor, an unknown colour, an unknown kind, later."""

    @completion(triggers="@")
    async def complete(self, snapshot: Snapshot, position: Position) -> AsyncGenerator[Completion | Nothing, None]:
        word = snapshot.word_at(position)
        yield Completion("third", "THIRD", rank=9)
        if word is not None:
            yield Completion("better", "better", word, "instead", "*Better* than before.", rank=1)
        if self.settings.way == "later":
            yield Nothing("incomplete")
        if self.settings.way == "range":
            yield Completion("far", "far", Range(Position(0, 0), Position(0, 0)))

    @inlay_hints
    async def hints(self, snapshot: Snapshot, range: Range) -> list[InlayHint]:
        lines = every(snapshot.line_count)
        return [InlayHint(snapshot.line_range(line).end, f"#{line}", "A *line*", padding_left=True) for line in lines]

    @semantic_tokens
    async def colours(self, snapshot: Snapshot, range: Range) -> list[SemanticToken]:
        kind = "pink" if self.settings.way == "colour" else "token"
        found = [snapshot.range(word.start(), word.end()) for word in re.finditer(r"\w+", snapshot.text)]
        tokens = [SemanticToken(span, kind, ("readonly", "static")) for span in reversed(found)]
        everything = SemanticToken(snapshot.range(0, len(snapshot)), "mark")
        return {"everything": [everything], "both": [*tokens, everything]}.get(self.settings.way, tokens)

    @workspace_symbols
    async def symbols(self, query: str) -> AsyncGenerator[Symbol, None]:
        async for snapshot in self.editor.files():
            start = snapshot.text.find(query)
            if start >= 0:
                kind = "pear" if self.settings.way == "kind" else "function"
                yield Symbol(query, snapshot.uri, snapshot.range(start, start + len(query)), kind, "here")

    @diagnostics
    async def spare(self, snapshot: Snapshot) -> list[Diagnostic]:
        first, last = snapshot.line_range(0), snapshot.line_range(snapshot.line_count - 1)
        return [Diagnostic(first, "not needed", tags=("unnecessary",), related=(Related(last, "see there"),))]

    @command("files", "Files")
    async def files(self, snapshot: Snapshot | None, range: Range | None) -> str:
        lines: list[str] = []
        found = [found async for found in self.editor.files(lambda uri, why: lines.append(f"{uri} {why.reason}"))]
        lines += [f"{one.uri} {one.language} {len(one)}" for one in found]
        return "\n".join(sorted(lines))

    @command("go", "Go")
    async def go(self, snapshot: Snapshot, range: Range) -> None:
        await self.editor.open(snapshot.uri, range)

    @command("choose", "Choose")
    async def choose(self, snapshot: Snapshot | None, range: Range | None) -> str:
        return str(await self.editor.choose("Which one?", ["one", "two"]))

    @command("again", "Again")
    async def again(self, snapshot: Snapshot | None, range: Range | None, surface: str) -> None:
        self.editor.refresh(surface)

    @command("keep", "Keep")
    async def keep(self, snapshot: Snapshot | None, range: Range | None) -> str:
        return str(self.editor.cache_folder())

    @command("show_twice", "Show twice")
    async def show_twice(self, snapshot: Snapshot | None, range: Range | None) -> None:
        await self.editor.show_text("A title?", "one", "plaintext")
        await self.editor.show_text("A title?", "two", "plaintext")

    @command("show_growing", "Show growing")
    async def show_growing(self, snapshot: Snapshot | None, range: Range | None) -> None:
        async with self.editor.show_stream("Grown", "plaintext") as out:
            for piece in ("\n", "one", " two"):
                await out.write(piece)
                await asyncio.sleep(0.05)


class Model(Plugin):
    """Asks the engine."""

    name = "model"

    @diagnostics
    async def labels(self, snapshot: Snapshot) -> AsyncGenerator[Diagnostic, None]:
        for line in every(snapshot.line_count):
            found = await self.engine.classify([snapshot.line(line)], model="starter:tone")
            yield Diagnostic(snapshot.line_range(line), found[0][0].label)

    @inline_completion
    async def ghost(
        self, snapshot: Snapshot, position: Position, invoked: bool
    ) -> AsyncGenerator[GhostText | Nothing, None]:
        text = ""
        generation = self.engine.generate(GenerateRequest("starter:code", prompt=snapshot.text))
        try:
            async for chunk in generation:
                text += chunk.text
                yield GhostText(text, complete=bool(chunk.finish))
        finally:
            await generation.aclose()

    @command("generate", "Generate")
    async def generate(self, snapshot: Snapshot | None, range: Range | None) -> str:
        generation = self.engine.generate(GenerateRequest("starter:code", prompt="x"))
        try:
            return "".join([chunk.text async for chunk in generation])
        finally:
            await generation.aclose()


class Bad(Plugin):
    """Fails in the way that its setting says."""

    name = "bad"

    @dataclass(frozen=True)
    class Settings:
        """The table `[bad]`."""

        way: str = "raise"
        """raise, hang, ignore-cancel, type, item-type, inkling-error, start or nothing."""

    async def start(self) -> None:
        if self.settings.way == "start":
            raise RuntimeError("secret text")

    async def _fail(self) -> Any:
        way = self.settings.way
        if way == "raise":
            raise ValueError("secret text")
        if way == "hang":
            await asyncio.Event().wait()
        if way == "ignore-cancel":
            until = time.monotonic() + 3
            while time.monotonic() < until:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)
        if way == "block":
            time.sleep(2.1)
        if way == "type":
            return 42
        if way == "item-type":
            return [Hover(b"secret text")]  # type: ignore[arg-type]
        if way == "inkling-error":
            raise InklingError("model-not-found", "The model x/y is not on this machine.", "Pull it.")
        return Nothing("nothing-to-say")

    @hover
    async def hover(self, snapshot: Snapshot, position: Position) -> Any:
        return await self._fail()

    @diagnostics
    async def diagnose(self, snapshot: Snapshot) -> Any:
        return await self._fail()

    @code_actions
    async def act(self, snapshot: Snapshot, range: Range) -> Any:
        return await self._fail()

    @inline_completion
    async def ghost(self, snapshot: Snapshot, position: Position, invoked: bool) -> Any:
        return await self._fail()

    @command("fail", "Fail")
    async def fail(self, snapshot: Snapshot | None, range: Range | None) -> Any:
        return await self._fail()


class NotAsync(Plugin):
    """Its method is no coroutine function."""

    name = "not_async"

    @hover
    def hover(self, snapshot: Snapshot, position: Position) -> Hover:
        return Hover("never")


NotAClass = 42
