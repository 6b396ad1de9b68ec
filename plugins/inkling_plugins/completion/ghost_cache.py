"""Never compute twice: suggestions that were made, or are being made, serve every request that they still fit.

A `Ghost` is one generation: the place that it began at, its text so far, and the task that reads it from the engine.
The task belongs to the cache, not to the request that began it: a request that is cancelled by the next keystroke
leaves the stream running for a moment, and the next request takes it up when the typed text agrees with it. A stream
that nobody reads is closed after that moment, so a cancel reaches the engine.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Set
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cached_property

from inkling.api import Chunk
from inkling_plugins.completion.copy_source import Copy
from inkling_plugins.completion.present import Shown
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.site import Site

_MOST_GHOSTS = 24
"""Suggestions kept for a document."""
_MOST_DOCUMENTS = 16
_MOST_LINES_TYPED = 64
_WINDOW_FULL = 1_000
"""Characters from which the text after the cursor may have been cut off rather than be all there is."""
_AUTO_CLOSED = frozenset(")]}\"'`>")


@dataclass(frozen=True)
class Place:
    """A cursor and the text around it (bounded, `\\n` line ends). `key` sums up the settings that shape an answer."""

    uri: str
    line: int
    character: int
    before: str
    after: str
    language: str
    key: str

    @cached_property
    def site(self) -> Site:
        """What filters see of it."""
        return Site(self.before, self.after, self.language)

    def is_next_to(self, other: Place) -> bool:
        """True when typing may have led from `other` to here: the same document, the same line or the one below."""
        return self.uri == other.uri and 0 <= self.line - other.line <= 1

    def accepting(self, text: str) -> Place:
        """The cursor after `text` has been put in."""
        before = self.before + text
        last = text.rpartition("\n")[2]
        character = len(last) if "\n" in text else self.character + len(text)
        return replace(self, line=self.line + text.count("\n"), character=character, before=before)

    def typed_since(self, origin: Place) -> str | None:
        """What was typed between `origin` and here; None when anything else has changed.

        A bracket or quote that the editor closed by itself behind the cursor is no change.
        """
        lines = self.line - origin.line
        if self.uri != origin.uri or self.key != origin.key or not 0 <= lines <= _MOST_LINES_TYPED:
            return None
        start = len(self.before) + 1
        for _ in range(lines + 1):
            start = self.before.rfind("\n", 0, start - 1) + 1
            if not start:
                break
        start += origin.character
        if start > len(self.before):
            return None
        shared = min(start, len(origin.before))
        if self.before[start - shared : start] != origin.before[len(origin.before) - shared :]:
            return None
        if not _same_after(self.after, origin.after):
            return None
        return self.before[start:]


def _same_after(now: str, then: str) -> bool:
    for closed in range(4):
        if closed and now[closed - 1 : closed] not in _AUTO_CLOSED:
            return False
        rest = now[closed:]
        if rest == then or (len(rest) >= _WINDOW_FULL and then.startswith(rest)):
            return True
    return False


class Ghost:
    """One generation. `text` grows until `done`; `error` is what ended it.

    `lines` says whether several lines suit the place; `copy` is what open documents propose.
    """

    def __init__(self, origin: Place, lines: bool, copy: Copy | None = None) -> None:
        self.origin = origin
        self.lines = lines
        self.copy = copy
        self.text = ""
        self.tokens = 0
        self.done = False
        self.error: Exception | None = None
        self.notices: tuple[str, ...] = ()
        self.view: Shown | Rejected | None = None
        """What `present` said of the finished text."""
        self.unasked: Rejected | None = None
        """Why no model was asked."""
        self.asked_for = False
        """The user asked for a suggestion here: it is shown however unsure the model is."""
        self.abandoned = False
        """Closed before its end: not all of the text is here, and no request should be served from it."""
        self.scores: list[tuple[int, float]] = []
        self._grown = asyncio.Event()
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def copied(cls, origin: Place, copy: Copy, lines: bool) -> Ghost:
        """A ghost that needs no model: the copy is all of it."""
        ghost = cls(origin, lines, copy)
        ghost.text, ghost.done = copy.text, True
        return ghost

    @classmethod
    def without_model(cls, origin: Place, copy: Copy | None, view: Rejected) -> Ghost:
        """A ghost of no model, for the reason in `view`, unless the copy is likely enough."""
        ghost = cls(origin, False, copy)
        ghost.unasked, ghost.done = view, True
        return ghost

    def run(self, stream: AsyncGenerator[Chunk, None]) -> None:
        """Begin to read `stream`, in a task of its own."""
        self._task = asyncio.create_task(self._read(stream))

    async def _read(self, stream: AsyncGenerator[Chunk, None]) -> None:
        try:
            async with aclosing(stream):
                async for chunk in stream:
                    self.scores.append((len(self.text), chunk.logprob))
                    self.text += chunk.text
                    self.tokens += chunk.tokens
                    self.notices += chunk.notices
                    self.done = bool(chunk.finish)
                    self._grown.set()
        except Exception as error:
            self.error = error
        finally:
            self.done = True
            self._grown.set()

    async def growth(self) -> AsyncIterator[None]:
        """Wake now, and each time that the text has grown or the generation has ended."""
        while not self.done:
            self._grown.clear()
            yield
            if not self.done:
                await self._grown.wait()
        yield

    def agrees(self, typed: str) -> bool:
        """True when the user has typed what this says, as far as both are known, and something is left to show.

        A request at the very place is agreed with too: what was refused there is refused again without a model.
        """
        if self.abandoned or self.error is not None:
            return False
        if not typed:
            return True
        if isinstance(self.view, Shown):
            return self.view.text.startswith(typed) and len(typed) < len(self.view.text)
        return self.view is None and (self.text.startswith(typed) or typed.startswith(self.text))

    def hold(self) -> None:
        """A request reads this: keep the stream open."""
        self._readers += 1

    def release(self, linger_s: float) -> None:
        """The request has ended. When no other takes the stream up within `linger_s` seconds, close it."""
        self._readers -= 1
        if not self._readers and not self.done:
            asyncio.get_running_loop().call_later(linger_s, self._close_unread)

    def settle(self, view: Shown | Rejected) -> None:
        """All is known that will be shown: stop the engine's work and serve `view` from now on."""
        self.view = view
        self._stop()

    def close(self) -> None:
        """Stop the engine's work on this; a text cut short is not served again."""
        self.abandoned = self.abandoned or not self.done
        self._stop()

    def _close_unread(self) -> None:
        if not self._readers:
            self.close()

    def _stop(self) -> None:
        if self._task is not None and not self.done:
            self._task.cancel()


class GhostCache:
    """The ghosts of each document, newest last; the least recently used documents are forgotten."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, list[Ghost]] = OrderedDict()

    def find(self, place: Place) -> tuple[Ghost, str] | None:
        """The newest ghost that fits `place`, with what has been typed of it."""
        for ghost in reversed(self._documents.get(place.uri, [])):
            typed = place.typed_since(ghost.origin)
            if typed is not None and ghost.agrees(typed):
                return ghost, typed
        return None

    def add(self, ghost: Ghost) -> None:
        """Take in a new ghost. Streams that still run are closed: the newest request wins."""
        self.close_running()
        uri = ghost.origin.uri
        ghosts = self._documents.setdefault(uri, [])
        self._documents.move_to_end(uri)
        ghosts.append(ghost)
        del ghosts[:-_MOST_GHOSTS]
        while len(self._documents) > _MOST_DOCUMENTS:
            self._documents.popitem(last=False)

    def close_running(self) -> None:
        """Stop what is being made: the user has gone another way."""
        for ghosts in self._documents.values():
            for ghost in ghosts:
                if not ghost.done:
                    ghost.close()

    def keep(self, uris: Set[str]) -> None:
        """Forget the documents that are not open any more."""
        for uri in [uri for uri in self._documents if uri not in uris]:
            for ghost in self._documents.pop(uri):
                ghost.close()

    def clear(self) -> None:
        """Forget all and close what runs."""
        self.keep(frozenset())
