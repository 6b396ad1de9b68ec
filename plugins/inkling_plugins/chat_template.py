"""Lists of messages as a model's chat template writes them: tokens per message, refusals, a preview."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

from inkling.api import (
    CodeLens,
    Diagnostic,
    InklingError,
    Nothing,
    Plugin,
    Range,
    Rendered,
    Severity,
    Snapshot,
    code_lenses,
    command,
    diagnostics,
)
from inkling_plugins.chat.conversations import SPEAKS, Conversation, Message, can_hold, conversations, kind_of
from inkling_plugins.chat.nodes import NotReadableError

_LARGE = 2_000
"""Characters from which a document is parsed off the event loop."""
_REMEMBERED = 100_000
"""Messages whose tokens are remembered, in all conversations together."""


Found = tuple[list[Conversation], Nothing | None]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the template made of a conversation, its text left away; the tokens of each message, and of all the text."""

    rendered: Rendered
    tokens: tuple[int, ...] = ()
    total: int = 0


class ChatTemplate(Plugin):
    """What a model gets to see of a conversation in JSON, JSON lines, YAML, TOML or a `.prompt` file."""

    name = "chat_template"

    @dataclass(frozen=True)
    class Settings:
        """The table `[chat_template]`."""

        enabled: bool = True
        """Look for lists of messages in documents."""
        model: str = field(default="starter:code", metadata={"scope": "model"})
        """The model whose chat template and tokenizer are used."""
        lens: bool = True
        """Show the tokens of each message above it, and of the conversation."""
        problems: bool = True
        """Mark messages that the template refuses or leaves out."""
        max_characters: int = field(default=1_000_000, metadata={"min": 1})
        """Larger documents are not read."""
        max_conversations: int = field(default=200, metadata={"min": 1})
        """How many conversations of a document are rendered; a line of a JSON lines file is one."""

    settings: Settings

    async def start(self) -> None:
        """Begin with nothing remembered."""
        self._known: OrderedDict[tuple[str, bytes], Counted] = OrderedDict()
        self._messages_known = 0
        self._read: WeakKeyDictionary[Snapshot, tuple[int, asyncio.Future[Found]]] = WeakKeyDictionary()

    @code_lenses
    async def lenses(self, snapshot: Snapshot) -> AsyncIterator[CodeLens | Nothing]:
        """A lens above each conversation, which opens the preview, and one above each message on a line of its own."""
        settings = self.settings
        if not settings.lens:
            yield Nothing("disabled", "[chat_template] lens = false.")
            return
        found, why = await self._conversations(snapshot)
        if why is not None:
            yield why
        window = await self.tokens.context_window(settings.model) if found else None
        for talk in found:
            counted = await self._counted(talk)
            place = snapshot.range(talk.start, talk.start)
            if counted.rendered.refused:
                yield CodeLens(place, f"{_messages(talk)}, refused by the chat template of {settings.model}")
                continue
            share = f", {100 * counted.total / window:.1f} % of its window" if window else ""
            title = f"{_messages(talk)}, {counted.total:,} tokens of {settings.model}{share}"
            yield CodeLens(place, title, "chat_template.preview")
            lines = [snapshot.position(message.start).line for message in talk.messages]
            if len(set(lines)) == len(lines) and len(lines) > 1:
                for message, tokens in zip(talk.messages, counted.tokens, strict=True):
                    yield CodeLens(snapshot.range(message.start, message.start), f"{message.role}: {tokens:,} tokens")

    @diagnostics
    async def problems(self, snapshot: Snapshot) -> AsyncIterator[Diagnostic | Nothing]:
        """What the template refuses, on the message with which that begins, and messages that it leaves out."""
        if not self.settings.problems:
            yield Nothing("disabled", "[chat_template] problems = false.")
            return
        found, why = await self._conversations(snapshot)
        if why is not None:
            yield why
        for talk in found:
            for number, message in enumerate(talk.messages):
                if not message.role:
                    yield _mark(snapshot, message, "This message has no role.", "missing-role")
                elif not any(key in message.value for key in SPEAKS):
                    yield _mark(snapshot, message, f"Message {number + 1} has no content.", "missing-content")
            if all(message.role for message in talk.messages):
                for problem in await self._refusals(snapshot, talk):
                    yield problem

    async def _refusals(self, snapshot: Snapshot, talk: Conversation) -> list[Diagnostic]:
        model, rendered = self.settings.model, (await self._counted(talk)).rendered
        if rendered.refused and rendered.at is None:
            text = f"The chat template of {model} is not usable. {rendered.refused}"
            return [Diagnostic(snapshot.range(talk.start, talk.start + 1), text, Severity.WARNING, "template-broken")]
        if rendered.refused:
            at = talk.messages[min(rendered.at or 0, len(talk.messages) - 1)]
            text = f"The chat template of {model} refuses this: {rendered.refused}"
            return [_mark(snapshot, at, text, "template-refuses")]
        text = f"The chat template of {model} leaves this message out."
        return [
            _mark(snapshot, talk.messages[number], text, "left-out", Severity.INFORMATION)
            for number in rendered.left_out
            if number < len(talk.messages)
        ]

    @command("chat_template.preview", "Preview Chat Template")
    async def preview(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Show the conversation at the cursor, or the first one, as the model would get it."""
        if snapshot is None or not kind_of(snapshot):
            raise InklingError(
                "no-conversation",
                "There is no list of messages here.",
                "Open a JSON, JSON lines, YAML, TOML or .prompt file that holds one.",
            )
        found, why = await self._conversations(snapshot, told=True)
        if not found:
            raise InklingError(
                why.reason if why is not None else "no-conversation",
                why.detail if why is not None else "This document holds no list of messages with roles.",
                "A message is an object with `role` and `content`.",
            )
        offset = snapshot.offset(range.start) if range is not None else 0
        talk = next((talk for talk in found if talk.start <= offset <= talk.end), found[0])
        model = self.settings.model
        values, tools = [message.value for message in talk.messages], list(talk.tools)
        async with self.editor.progress("Rendering"):
            rendered = await self.engine.render_chat(values, model=model, tools=tools, add_generation_prompt=True)
        if rendered.refused:
            where = f" (message {rendered.at + 1})" if rendered.at is not None else ""
            raise InklingError(
                "template-refuses", f"The chat template of {model} refuses this: {rendered.refused}{where}"
            )
        count = await self.tokens.count_text(rendered.text, model)
        await self.editor.show_text("Chat template preview", rendered.text, "plaintext")
        return f"{count:,} tokens of {model}, ready for its answer."

    async def _conversations(self, snapshot: Snapshot, told: bool = False) -> Found:
        settings = self.settings
        if not settings.enabled and not told:
            return [], Nothing("disabled", "[chat_template] enabled = false.")
        if not kind_of(snapshot):
            return [], None
        if len(snapshot) > settings.max_characters:
            size = f"{len(snapshot):,} characters; chat_template.max_characters is {settings.max_characters:,}."
            return [], Nothing("too-large", size)
        most = settings.max_conversations
        if len(snapshot) < _LARGE and kind_of(snapshot) != "yaml":  # whose aliases may stand for far more
            return _find(snapshot, most)
        known, reading = self._read.get(snapshot, (0, None))
        if reading is None or known != most or reading.cancelled():
            reading = asyncio.ensure_future(asyncio.to_thread(_find, snapshot, most))
            self._read[snapshot] = most, reading
        return await asyncio.shield(reading)  # the lens and the problems wait for one reading of the document

    async def _counted(self, talk: Conversation) -> Counted:
        """Rendered once for the lens and the problems, and not again while its text stays the same."""
        model = self.settings.model
        values = [message.value for message in talk.messages]
        key = (model, talk.digest)
        counted = self._known.get(key)
        if counted is None:
            rendered = await self.engine.render_chat(values, model=model, tools=list(talk.tools))
            counted = await self._count(rendered, len(values))
            self._keep(key, counted)
        else:
            self._known.move_to_end(key)
        return counted

    def _keep(self, key: tuple[str, bytes], counted: Counted) -> None:
        if key not in self._known:  # else the lens and the problems asked at the same time
            self._messages_known += 1 + len(counted.tokens)
            self._known[key] = counted
        while self._messages_known > _REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            self._messages_known -= 1 + len(oldest.tokens)

    async def _count(self, rendered: Rendered, messages: int) -> Counted:
        """Every token belongs to the message in whose part of the text it begins; what follows the last, to that."""
        if rendered.refused:
            return Counted(rendered)
        text = Snapshot.of(rendered.text)
        spans = await self.tokens.spans(text, 0, len(text), self.settings.model)
        tokens = [0] * messages
        for span in spans:
            tokens[min(bisect_right(rendered.ends, span.start), messages - 1)] += 1
        return Counted(replace(rendered, text="", ends=()), tuple(tokens), len(spans))


def _find(snapshot: Snapshot, most: int) -> Found:
    """The conversations of a document, at most so many; and why not all of them."""
    if not can_hold(snapshot):
        return [], None
    try:
        found = conversations(snapshot, most)
    except NotReadableError as error:
        line = snapshot.position(error.offset).line + 1
        return [], Nothing("not-readable", f"The document cannot be read: {error} (line {line}).")
    if len(found) > most:
        return found[:most], Nothing("too-many", f"Only the first {most:,} conversations are looked at.")
    return found, None


def _messages(talk: Conversation) -> str:
    count = len(talk.messages)
    return f"{count} message{'s' if count > 1 else ''}"


def _mark(
    snapshot: Snapshot, message: Message, text: str, code: str, severity: Severity = Severity.WARNING
) -> Diagnostic:
    return Diagnostic(snapshot.range(message.place, message.place_end), text, severity, code)
