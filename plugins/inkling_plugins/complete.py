"""Inline completion from a causal language model, with the manners that make it bearable all day.

The order of a request: is it wanted here at all; is it in memory or being made already; can it be copied from an open
document; and only then, after a wait that follows the typist's rhythm, the model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from inkling.api import (
    GhostText,
    InklingError,
    Nothing,
    Plugin,
    Position,
    Priority,
    Range,
    Scope,
    Snapshot,
    command,
    inline_completion,
)
from inkling_plugins.completion.debounce import Debounce, rate_at
from inkling_plugins.completion.ghost_cache import Ghost, GhostCache, Place
from inkling_plugins.completion.maker import Maker
from inkling_plugins.completion.present import LOW_CONFIDENCE, Manners, Shown, chance, first_line_end, present
from inkling_plugins.completion.prompt import place_at
from inkling_plugins.completion.reasons import NOTICES, Rejected, detail
from inkling_plugins.completion.repeats import drop_typed_ending, stop_at_repetition
from inkling_plugins.completion.settings import CompleteSettings
from inkling_plugins.completion.site import Site, rejects_middle
from inkling_plugins.completion.workspace_lines import WorkspaceLines
from inkling_plugins.globs import matches
from inkling_plugins.writing import Pieces, generated, write_at

_CANCELLED_LINGER_S = 0.25
"""How long a stream outlives its cancelled request: the next keystroke's request comes within this time."""
_ANSWERED_LINGER_S = 5.0
"""How long it outlives a request that took what there was: the follow-up may take a while."""
_LOOP_WINDOW = 400


class Complete(Plugin):
    """Ghost text, and the command that writes into the document."""

    name = "complete"
    Settings = CompleteSettings
    settings: CompleteSettings

    async def start(self) -> None:
        """Begin with an empty memory."""
        self._cache = GhostCache()
        self._workspace = WorkspaceLines(self.editor)
        self._maker = Maker(self.engine, self._cache, self._others, self._workspace)
        self._debounce = Debounce()
        self._place: Place | None = None
        self._shown: tuple[Place, str] | None = None
        self._told: set[tuple[str, str]] = set()

    async def stop(self) -> None:
        """Close what still runs."""
        self._maker.rest()
        self._workspace.close()
        self._cache.clear()

    @inline_completion
    async def suggest(
        self, snapshot: Snapshot, position: Position, invoked: bool
    ) -> AsyncGenerator[GhostText | Nothing, None]:
        """Growing ghost text, or the reason for none."""
        settings = self.settings
        refusal = self._refusal(snapshot, settings)
        if refusal:
            yield _nothing(refusal)
            return
        place = place_at(snapshot, position, repr(settings))
        wait_s = self._wait_s(place, settings)
        self._judge_last(place)
        if not invoked and rejects_middle(place.site):
            yield _nothing("mid-line")
            return
        ghost, typed = self._cache.find(place) or (None, "")
        if invoked and ghost is not None and ghost.view == LOW_CONFIDENCE:
            ghost = None  # held back once; now the user asks for it all the same
        if ghost is None:
            self._maker.rest()
            self._cache.close_running()
            waiting = asyncio.create_task(asyncio.sleep(0 if invoked else wait_s))
            scope, copy = await self._maker.look(snapshot, position, settings)
            if not settings.comments and scope in (Scope.COMMENT, Scope.DOCSTRING):
                waiting.cancel()
                yield _nothing("in-comment")
                return
            await waiting
            ghost = self._maker.begin(snapshot, position, place, settings, scope, copy)
        ghost.asked_for |= invoked
        served = False
        async with aclosing(self._serve(ghost, typed, place, settings)) as items:
            async for item in items:
                served = True
                yield _with_line_ends(item, snapshot)
        if not served:  # what was being made went another way than the user's typing
            ghost = self._maker.begin(snapshot, position, place, settings)
            async with aclosing(self._serve(ghost, "", place, settings)) as items:
                async for item in items:
                    yield _with_line_ends(item, snapshot)
        shown = self._shown[1] if self._shown is not None and self._shown[0] is place else ""
        self._maker.prepare(snapshot, position, place, shown, settings)
        await self._tell(ghost.notices, settings.model)

    async def _tell(self, notices: tuple[str, ...], model: str) -> None:
        """Say what the engine had to remark about a model, once."""
        for notice in notices:
            if notice in NOTICES and (notice, model) not in self._told:
                self._told.add((notice, model))
                await self.editor.show_message(NOTICES[notice].format(model=model))

    @command("continue_writing", "Continue writing here")
    async def continue_writing(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Stream text into the document at the end of `range`, until the model ends, is cancelled or the user types."""
        if snapshot is None or range is None:
            raise InklingError("no-document", "There is no document to write into.", "Run this from an editor.")
        if matches(snapshot.uri, self.settings.exclude):
            raise InklingError("excluded", detail("excluded"))
        settings, site = self.settings, place_at(snapshot, range.end, "").site
        request = self._maker.request(snapshot, range.end, settings, lines=True)
        request = replace(
            request, max_tokens=settings.continue_tokens, stop=(), deadline_s=None, priority=Priority.ACTION
        )
        pieces = _until_it_loops(generated(self.engine, request), site)
        title = "Continuing to write"
        written = await write_at(self.editor, snapshot, range.end, pieces, title, "Continue writing here")
        return f"{len(written)} characters written"

    def _refusal(self, snapshot: Snapshot, settings: CompleteSettings) -> str | None:
        if not settings.enabled:
            return "disabled"
        if not settings.languages.get(snapshot.language, settings.languages.get("*", True)):
            return "language-off"
        return "excluded" if matches(snapshot.uri, settings.exclude) else None

    def _wait_s(self, place: Place, settings: CompleteSettings) -> float:
        """How long to wait at `place`; a cursor that has jumped is not typing, and waits the least."""
        least, most = settings.debounce_min_ms / 1000, settings.debounce_max_ms / 1000
        goes_on = self._place is not None and place.is_next_to(self._place)
        self._place = place
        self._debounce.typed(time.monotonic(), goes_on=goes_on)
        if not goes_on:
            return least
        return self._debounce.wait_s(rate=rate_at(place.site.line_before), least_s=least, most_s=max(least, most))

    def _judge_last(self, place: Place) -> None:
        """Was the suggestion shown last typed or accepted, at least in part, or ignored?"""
        if self._shown is None:
            return
        origin, text = self._shown
        typed = place.typed_since(origin)
        if typed == "":
            return
        self._shown = None
        if typed is not None or place.is_next_to(origin):
            self._debounce.shown(taken=typed is not None and (text.startswith(typed) or typed.startswith(text)))

    async def _serve(
        self, ghost: Ghost, typed: str, place: Place, settings: CompleteSettings
    ) -> AsyncGenerator[GhostText | Nothing, None]:
        """What `ghost` says beyond `typed`, as it grows. Yields nothing when it goes another way than `typed`."""
        site, manners = ghost.origin.site, Manners(ghost.lines, 0.0 if ghost.asked_for else settings.min_confidence)
        shown, complete, linger, began = "", False, _CANCELLED_LINGER_S, time.monotonic()
        ghost.hold()
        try:
            async for _ in ghost.growth():
                if not ghost.agrees(typed):
                    break
                view = (
                    ghost.view
                    or ghost.unasked
                    or present(ghost.text, ghost.tokens, ghost.done, site, manners, ghost.scores)
                )
                if ghost.view is None:
                    view = _or_copy(view, ghost, manners)
                if view is None:
                    continue
                if ghost.view is None and (ghost.done or isinstance(view, Rejected) or view.final):
                    ghost.settle(view)
                if isinstance(view, Rejected):
                    break
                rest = _untyped(view.text[len(typed) :], place) if view.text.startswith(typed) else ""
                if len(rest) > len(shown) and rest.startswith(shown):
                    if not shown and not typed and not ghost.done:
                        self._debounce.answered(time.monotonic() - began)
                    shown, complete = rest, view.final
                    self._shown = place, shown
                    yield GhostText(shown, complete=complete)
                if view.final:
                    break
            if not shown and (not typed or isinstance(ghost.view, Rejected)):
                yield _why_nothing(ghost)
            elif shown and not complete:
                yield GhostText(shown, complete=True)
        except GeneratorExit:
            linger = _ANSWERED_LINGER_S
            raise
        finally:
            ghost.release(linger)

    def _others(self) -> list[Snapshot]:
        """The open documents, without those that the user keeps from completion."""
        return [other for other in self.editor.documents() if not matches(other.uri, self.settings.exclude)]


async def _until_it_loops(pieces: Pieces, site: Site) -> Pieces:
    """`pieces` up to where the model repeats itself."""
    written = ""
    async with aclosing(pieces):
        async for piece in pieces:
            written = (written + piece)[-_LOOP_WINDOW:]
            yield piece
            if stop_at_repetition(written, site) != written:
                return


def _or_copy(view: Shown | Rejected | None, ghost: Ghost, manners: Manners) -> Shown | Rejected | None:
    """The likelier of what the model says and what open documents propose, once the model's first line is known."""
    if ghost.copy is None:
        return view
    begun = bool(ghost.origin.site.line_before.strip())
    copied = ghost.copy.chance_beside(ghost.text, begun)
    if copied < manners.least:
        return view
    end = first_line_end(ghost.text)
    if end is None and not ghost.done and not isinstance(view, Rejected) and not (view and view.final):
        return None
    said = len(view.text) if isinstance(view, Shown) else 0
    if said and chance(ghost.scores, 0, min(end or len(ghost.text), said)) >= copied:
        return view
    line = ghost.copy.text.strip("\n").partition("\n")[0]
    proposed = present(line, 0, True, ghost.origin.site, Manners(False, 0.0))
    return proposed if isinstance(proposed, Shown) else view


def _untyped(rest: str, place: Place) -> str:
    """`rest` without the closing bracket that the editor has put behind the cursor."""
    kept = drop_typed_ending(rest, place.site)
    return "" if isinstance(kept, Rejected) else kept


def _with_line_ends(item: GhostText | Nothing, snapshot: Snapshot) -> GhostText | Nothing:
    """The text with the document's own line ends."""
    if isinstance(item, Nothing) or "\n" not in item.text or snapshot.eol == "\n":
        return item
    return replace(item, text=item.text.replace("\n", snapshot.eol))


def _why_nothing(ghost: Ghost) -> Nothing:
    if isinstance(ghost.error, InklingError):
        return Nothing(ghost.error.reason, str(ghost.error))
    if ghost.error is not None:
        raise ghost.error
    if isinstance(ghost.view, Rejected):
        return _nothing(ghost.view.reason)
    return _nothing("superseded" if ghost.abandoned or ghost.view is None else "empty")


def _nothing(reason: str) -> Nothing:
    return Nothing(reason, detail(reason))
