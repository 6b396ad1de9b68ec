"""One developer of `inkling bench load`: types a real text into an engine, as a server's completion plugin would ask.

What is suggested is compared with what the text really goes on with. So whether a suggestion is typed through (no
request), accepted or in the way comes from the model, not from a dice.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

from inkling.cli.load_target import Target
from inkling.cli.typist import Rhythm, Stroke
from inkling.engine.protocol import GenerateRequest, Priority
from inkling.errors import InklingError

_BEFORE, _STEP, _AFTER = 4000, 1000, 500
"""Characters of the text around the cursor that the model is shown. What comes before moves on in steps, since a
prompt with another beginning shares no prefix."""

_HOLE = 800
"""So much is typed in one place: the text after it is what stands below the cursor all the while."""

_NOTICE_S = 0.35
"""A suggestion that stood this long and is right for at least `_WORTH` characters is accepted."""

_WORTH = 6


@dataclass
class Tally:
    """What all developers did and saw. Times in seconds."""

    keys: int = 0
    from_memory: int = 0
    completions: int = 0
    cancelled: int = 0
    unseen: int = 0
    """Of those cancelled, the ones of which no text had come: a slow pool has more of them, and no longer times."""
    finished: int = 0
    accepted: int = 0
    diagnostics: int = 0
    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    diagnostics_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """Sent to the engine."""
        return self.completions + self.diagnostics


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked for: models, length, and the most requests that all developers may send together."""

    lm: str
    classifier: str
    max_tokens: int
    limit: int
    fill_in_middle: bool = False


class Developer:
    """Types `text` from `cursor` on, in the given rhythm, until cancelled."""

    def __init__(self, name: str, target: Target, text: str, cursor: int, work: Work, tally: Tally) -> None:
        self._name = name
        self._target = target
        self._text = text
        self._cursor = self._hole = cursor
        self._work = work
        self._tally = tally
        self._rhythm = Rhythm()
        self._suggestion = ""
        self._since = 0.0
        self._asked_at = 0
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def type(self, strokes: Iterator[Stroke], pause_s: float) -> None:
        """Until cancelled, or the limit is reached. `pause_s`: of an edit before diagnostics are asked for."""
        edited = False
        try:
            for stroke in strokes:
                if edited and stroke.after_s > pause_s:
                    await asyncio.sleep(pause_s)
                    self._spawn(self._classify())
                    edited = False
                    await asyncio.sleep(stroke.after_s - pause_s)
                else:
                    await asyncio.sleep(stroke.after_s)
                if self._tally.requests >= self._work.limit:
                    return
                self._key(stroke)
                edited = True
        finally:
            self._forget()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _key(self, stroke: Stroke) -> None:
        self._tally.keys += 1
        if stroke.jump:
            self._forget()
            self._elsewhere()
        taken = self._suggestion and time.monotonic() - self._since >= _NOTICE_S and self._right() >= _WORTH
        if taken:
            self._tally.accepted += 1
            self._cursor += self._right()
            self._forget()
        else:
            self._cursor += 1
        if self._cursor >= min(len(self._text) - 1, self._hole + _HOLE):
            self._forget()
            self._elsewhere()
        typed = self._text[self._asked_at : self._cursor]
        if not taken and self._suggestion and self._suggestion.startswith(typed) and self._suggestion != typed:
            self._tally.from_memory += 1  # the rest of it stays on screen, or the stream still runs
            return
        self._forget()
        wait_s = self._rhythm.typed(stroke.after_s)
        self._running = self._spawn(self._complete(wait_s))

    def _elsewhere(self) -> None:
        self._cursor = self._hole = (self._cursor * 7919 + 104_729) % max(1, len(self._text) - 200)

    def _right(self) -> int:
        """How many further characters of the suggestion are what the text goes on with."""
        rest = self._suggestion[self._cursor - self._asked_at :]
        coming = self._text[self._cursor : self._cursor + len(rest)]
        return next(
            (n for n, (a, b) in enumerate(zip(rest, coming, strict=False)) if a != b), min(len(rest), len(coming))
        )

    def _forget(self) -> None:
        self._suggestion = ""
        if self._running is not None and not self._running.done():
            self._running.cancel()
        self._running = None

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _complete(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        at = self._asked_at = self._cursor
        after = self._hole + _HOLE
        request = GenerateRequest(
            self._work.lm,
            self._text[max(0, (at - _BEFORE) // _STEP * _STEP) : at],
            self._text[after : after + _AFTER] if self._work.fill_in_middle else None,
            max_tokens=self._work.max_tokens,
            stop=("\n\n",),
            cache_key=self._name,
            priority=Priority.COMPLETION,
            deadline_s=10.0,
        )
        began = time.monotonic()
        first = True
        self._tally.completions += 1
        try:
            async with aclosing(self._target.generate(request)) as chunks:
                async for chunk in chunks:
                    if first and chunk.text:
                        first = False
                        self._since = time.monotonic()
                        self._rhythm.answered(self._since - began)
                        self._tally.first_s.append(self._since - began)
                    self._suggestion += chunk.text
            self._tally.finished += 1
            self._tally.whole_s.append(time.monotonic() - began)
        except asyncio.CancelledError:
            self._tally.cancelled += 1
            self._tally.unseen += first
            raise
        except InklingError as error:
            self._tally.errors[error.reason] += 1

    async def _classify(self) -> None:
        start = self._text.rfind("\n", 0, max(0, self._cursor - 80)) + 1
        lines = [line for line in self._text[start : self._cursor].splitlines() if line.strip()] or ["pass"]
        began = time.monotonic()
        self._tally.diagnostics += 1
        try:
            await self._target.classify(lines[-3:], self._work.classifier)
            self._tally.diagnostics_s.append(time.monotonic() - began)
        except InklingError as error:
            self._tally.errors[error.reason] += 1
