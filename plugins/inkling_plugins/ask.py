"""Ask this document: go to where it answers a question, and see the next best places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inkling.api import Engine, InklingError, Plugin, Range, Snapshot, command
from inkling_plugins.answers import Answers, ClosestSentences, Place, extract

_SHOWN = 100
"""Characters of an answer in a list."""


class Ask(Plugin):
    """A question-answering model, or the closest sentences, on the document that is open."""

    name = "ask"

    @dataclass(frozen=True)
    class Settings:
        """The table `[ask]`."""

        enabled: bool = True
        """Offer "Ask This Document"."""
        model: str = field(default="", metadata={"scope": "model"})
        """An extractive question-answering model; without one, the closest sentences are shown."""
        sentence_model: str = field(default="starter:encoder", metadata={"scope": "model"})
        """The feature-extraction model that finds the closest sentences."""
        answers: int = field(default=5, metadata={"min": 1, "max": 50})
        """How many places to list."""
        max_characters: int = field(default=500_000, metadata={"min": 1000})
        """Longer texts are not read as a whole; select a part."""

    settings: Settings

    async def start(self) -> None:
        """Begin with nothing remembered."""
        self._closest = ClosestSentences()

    @command("ask.document", "Ask This Document")
    async def document(self, snapshot: Snapshot | None, range: Range | None, *, question: str = "", **_: Any) -> str:
        """Go to the best answer to `question` in the selection or the document; returns all of them as text."""
        if not self.settings.enabled:
            raise InklingError("disabled", "Asking is off.", "Set [ask] enabled = true.")
        if snapshot is None:
            raise InklingError("no-document", "There is no document to ask.", "Run this from an editor.")
        async with self.editor.progress("Reading"):
            found = await ask(self.engine, question, snapshot, self.settings, self._closest, range)
        best, *others = found.places
        await self.editor.open(snapshot.uri, snapshot.range(best.start, best.end))
        if others:
            options = {f"{number}. {_line(place, snapshot)}": place for number, place in enumerate(others, 2)}
            title = f"{found.told}. Shown: {_line(best, snapshot)}. Others:"
            chosen = await self.editor.choose(title, list(options))
            if chosen is not None and chosen in options:
                place = options[chosen]
                await self.editor.open(snapshot.uri, snapshot.range(place.start, place.end))
        else:
            await self.editor.show_message(f"{found.told}: {_line(best, snapshot)}")
        return "\n".join([f"{found.told}:", *(_line(place, snapshot) for place in found.places)])


async def ask(
    engine: Engine,
    question: str,
    snapshot: Snapshot,
    settings: Ask.Settings,
    closest: ClosestSentences,
    range: Range | None = None,
) -> Answers:
    """At least one answer, or an InklingError that says why there is none."""
    question = " ".join(question.split())
    if not question:
        raise InklingError("no-question", "There is no question.", "Give the command a question.")
    span = (0, len(snapshot))
    if range is not None and not range.is_empty:
        span = snapshot.offset(range.start), snapshot.offset(range.end)
    if span[1] - span[0] > settings.max_characters:
        raise InklingError(
            "too-large",
            f"The text has {span[1] - span[0]:,} characters; [ask] max_characters is {settings.max_characters:,}.",
            "Select a part of it.",
        )
    if not snapshot.slice(*span).strip():
        raise InklingError("nothing-to-ask", "There is no text here.", "Select some text, or open a document.")
    if settings.model:
        found = await extract(engine, question, snapshot, span, settings.model, settings.answers)
    else:
        found = await closest.find(engine, question, snapshot, span, settings.sentence_model, settings.answers)
    if not found.places:
        raise InklingError("no-answer", "Nothing in this text answers that.", "Ask it in other words.")
    return found


def _line(place: Place, snapshot: Snapshot) -> str:
    text = place.text if len(place.text) <= _SHOWN else place.text[: _SHOWN - 1] + "…"
    return f"{text} (line {snapshot.position(place.start).line + 1}, {place.score:.2f})"
