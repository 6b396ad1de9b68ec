"""Inline completion from a causal language model, with the manners that make it bearable all day.

The order of a request: is it wanted here at all; is it in memory or being made already; can it be copied from an open
document; and only then, after a wait that follows the typist's rhythm, the model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from inkling.api import (
    GenerateRequest,
    GhostText,
    InklingError,
    Nothing,
    Plugin,
    Position,
    Priority,
    Range,
    Snapshot,
    command,
    inline_completion,
)
from inkling_plugins.completion.debounce import Debounce, rate_at
from inkling_plugins.completion.exclude import exclusion
from inkling_plugins.completion.ghost_cache import Ghost, GhostCache, Place
from inkling_plugins.completion.present import LOW_CONFIDENCE, Manners, Shown, present
from inkling_plugins.completion.prompt import place_at, prompt_windows
from inkling_plugins.completion.reasons import Rejected, detail
from inkling_plugins.completion.repeats import drop_typed_ending, stop_at_repetition
from inkling_plugins.completion.site import rejects_middle, wants_lines
from inkling_plugins.completion.surroundings import Surroundings, copy_from

_CANCELLED_LINGER_S = 0.25
"""How long a stream outlives its cancelled request: the next keystroke's request comes within this time."""
_ANSWERED_LINGER_S = 5.0
"""How long it outlives a request that took what there was: the follow-up may take a while."""
_ONE_LINE_TOKENS = 48
_DEADLINE_S = 20.0


class Complete(Plugin):
    """Ghost text, and the command that writes into the document."""

    name = "complete"

    @dataclass(frozen=True)
    class Settings:
        """The table `[complete]`."""

        enabled: bool = True
        """Suggest inline completions."""
        model: str = field(default="starter:code", metadata={"scope": "model"})
        """A causal language model."""
        quantization: Literal["auto", "none", "int8", "int4", "nf4"] = "auto"
        """How the model's weights are kept."""
        max_tokens: int = field(default=128, metadata={"min": 1, "max": 2048})
        """Tokens of one suggestion, at most."""
        multi_line: Literal["auto", "never", "always"] = "auto"
        """Whether a suggestion may have several lines; auto goes by the syntax around the cursor."""
        languages: Mapping[str, bool] = field(default_factory=lambda: {"*": True})
        """On or off by language id; `*` is all others."""
        exclude: tuple[str, ...] = field(default=(), metadata={"merge": "append"})
        """Globs, as in .gitignore, of files to leave alone."""
        debounce_min_ms: int = field(default=20, metadata={"min": 0, "max": 10_000})
        """The shortest wait after a keystroke; it adapts to the typing rhythm and the model's speed."""
        debounce_max_ms: int = field(default=1000, metadata={"min": 0, "max": 10_000})
        """The longest wait after a keystroke."""
        min_confidence: float = field(default=0.3, metadata={"min": 0.0, "max": 1.0})
        """Mean token probability below which nothing is shown."""
        context_chunks: int = field(default=4, metadata={"min": 0, "max": 64})
        """Chunks of other open documents and recent edits that the model sees."""
        copy: bool = True
        """Suggest what followed the same text in open documents."""
        copy_alone: int = field(default=48, metadata={"min": 12, "max": 256})
        """Matching characters from which a copied line needs no model."""
        continue_tokens: int = field(default=256, metadata={"min": 1, "max": 8192})
        """Tokens that "Continue writing here" writes at most."""

    settings: Settings

    async def start(self) -> None:
        """Begin with an empty memory."""
        self._cache = GhostCache()
        self._surroundings = Surroundings()
        self._debounce = Debounce()
        self._shown: tuple[Place, str] | None = None

    async def stop(self) -> None:
        """Close what still runs."""
        self._cache.clear()

    @inline_completion
    async def suggest(
        self, snapshot: Snapshot, position: Position, invoked: bool
    ) -> AsyncGenerator[GhostText | Nothing, None]:
        """Growing ghost text, or the reason for none."""
        settings = self.settings
        refusal = self._refusal(snapshot, settings)
        if refusal is not None:
            yield refusal
            return
        place = place_at(snapshot, position, repr(settings))
        self._debounce.typed(time.monotonic())
        self._judge_last(place)
        if not invoked and rejects_middle(place.site):
            yield _nothing("mid-line")
            return
        found = self._cache.find(place)
        if found is None:
            if not invoked:
                rate = rate_at(place.site.line_before)
                least, most = settings.debounce_min_ms / 1000, settings.debounce_max_ms / 1000
                await asyncio.sleep(self._debounce.wait_s(rate=rate, least_s=least, most_s=max(least, most)))
            found = await self._begin(snapshot, position, place, settings), ""
        served = False
        async with aclosing(self._serve(*found, place, settings)) as items:
            async for item in items:
                served = True
                yield item
        if not served:  # what was being made went another way than the user's typing
            ghost = await self._begin(snapshot, position, place, settings)
            async with aclosing(self._serve(ghost, "", place, settings)) as items:
                async for item in items:
                    yield item

    @command("continue_writing", "Continue writing here")
    async def continue_writing(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Stream text into the document at the end of `range`, until the model ends, is cancelled or the user types."""
        if snapshot is None or range is None:
            raise InklingError("no-document", "There is no document to write into.", "Run this from an editor.")
        refusal = exclusion(snapshot.uri, self.settings.exclude)
        if refusal is not None:
            raise InklingError(refusal, detail(refusal))
        settings = self.settings
        request = self._request(snapshot, range.end, settings, max_tokens=settings.continue_tokens, stop=())
        written = ""
        async with (
            self.editor.progress("Continuing to write") as progress,
            self.editor.stream(snapshot, range.end, "Continue writing here") as out,
            aclosing(self.engine.generate(request)) as stream,
        ):
            async for chunk in stream:
                written += chunk.text
                if chunk.text:
                    await out.write(chunk.text.replace("\n", snapshot.eol))
                progress.report(f"{len(written.split())} words")
                if stop_at_repetition(written[-400:], place_at(snapshot, range.end, "").site) != written[-400:]:
                    break
        return f"{len(written)} characters written"

    def _refusal(self, snapshot: Snapshot, settings: Settings) -> Nothing | None:
        if not settings.enabled:
            return _nothing("disabled")
        if not settings.languages.get(snapshot.language, settings.languages.get("*", True)):
            return _nothing("language-off")
        excluded = exclusion(snapshot.uri, settings.exclude)
        return _nothing(excluded) if excluded else None

    def _judge_last(self, place: Place) -> None:
        """Was the suggestion shown last typed or accepted, at least in part, or ignored?"""
        if self._shown is None:
            return
        origin, text = self._shown
        typed = place.typed_since(origin)
        if typed == "":
            return
        self._debounce.shown(taken=typed is not None and (text.startswith(typed) or typed.startswith(text)))
        self._shown = None

    async def _begin(self, snapshot: Snapshot, position: Position, place: Place, settings: Settings) -> Ghost:
        """A new suggestion: a copy that can stand alone, else a stream from the model."""
        lines = self._manners(place, settings).lines
        others, copy = self._others(), None
        if settings.copy:
            copy = await asyncio.to_thread(copy_from, snapshot, position, others, 4 if lines else 1)
        if copy is not None and copy.matched >= settings.copy_alone and 2 * copy.votes > copy.places:
            ghost = Ghost.copied(place, copy)
            if isinstance(present(copy.text, 0, True, place.site, Manners(lines, 0.0), ghost.confidence), Shown):
                self._cache.add(ghost)
                return ghost
        self._surroundings.visit(snapshot, position.line, others)
        site = place.site
        stop = ("\n\n", *(["\n" + site.line_below] if len(site.line_below.strip()) > 8 else [])) if lines else ("\n",)
        most = settings.max_tokens if lines else min(settings.max_tokens, _ONE_LINE_TOKENS)
        ghost = Ghost(place, copy)
        self._cache.add(ghost)
        ghost.run(self.engine.generate(self._request(snapshot, position, settings, max_tokens=most, stop=stop)))
        return ghost

    async def _serve(
        self, ghost: Ghost, typed: str, place: Place, settings: Settings
    ) -> AsyncGenerator[GhostText | Nothing, None]:
        """What `ghost` says beyond `typed`, as it grows. Yields nothing when it goes another way than `typed`."""
        site, manners, began = ghost.origin.site, self._manners(ghost.origin, settings), time.monotonic()
        shown, complete, linger = "", False, _CANCELLED_LINGER_S
        ghost.hold()
        try:
            async for _ in ghost.growth():
                if ghost.abandoned:
                    break
                view = ghost.view or present(ghost.text, ghost.tokens, ghost.done, site, manners, ghost.confidence)
                if view is None:
                    continue
                if isinstance(view, Rejected) and view.reason == LOW_CONFIDENCE:
                    view = self._agreed_copy(ghost) or view
                if ghost.view is None and (ghost.done or isinstance(view, Rejected) or view.final):
                    ghost.settle(view)
                if isinstance(view, Rejected):
                    break
                rest = view.text[len(typed) :] if view.text.startswith(typed) else ""
                rest = _untyped(rest, place)
                if len(rest) > len(shown) and rest.startswith(shown):
                    if not shown and not typed and not ghost.done:
                        self._debounce.answered(time.monotonic() - began)
                    shown, complete = rest, view.final
                    self._shown = place, shown
                    yield GhostText(shown, complete=complete)
                if view.final:
                    break
            if not shown and (not typed or isinstance(ghost.view, Rejected)):
                yield self._why_nothing(ghost)
            elif shown and not complete:
                yield GhostText(shown, complete=True)
        except GeneratorExit:
            linger = _ANSWERED_LINGER_S
            raise
        finally:
            ghost.release(linger)

    def _agreed_copy(self, ghost: Ghost) -> Shown | None:
        """An unsure model that begins as a copy does makes the copy good enough to show."""
        if ghost.copy is None or not ghost.copy.agrees(ghost.text):
            return None
        line = ghost.copy.text.strip("\n").partition("\n")[0]
        view = present(line, 0, True, ghost.origin.site, Manners(False, 0.0), lambda start, end: 1.0)
        return view if isinstance(view, Shown) else None

    def _why_nothing(self, ghost: Ghost) -> Nothing:
        if isinstance(ghost.error, InklingError):
            return Nothing(ghost.error.reason, str(ghost.error))
        if ghost.error is not None:
            raise ghost.error
        if isinstance(ghost.view, Rejected):
            return _nothing(ghost.view.reason)
        return _nothing("empty" if ghost.view is not None else "superseded")

    def _manners(self, place: Place, settings: Settings) -> Manners:
        lines = wants_lines(place.site) if settings.multi_line == "auto" else settings.multi_line == "always"
        return Manners(lines, settings.min_confidence)

    def _request(
        self, snapshot: Snapshot, position: Position, settings: Settings, *, max_tokens: int, stop: tuple[str, ...]
    ) -> GenerateRequest:
        before, after = prompt_windows(snapshot, position)
        context = self._surroundings.context(snapshot.uri, before[-4000:], settings.context_chunks)
        return GenerateRequest(
            model=settings.model,
            prompt=before,
            suffix=after,
            context=context,
            max_tokens=max_tokens,
            stop=stop,
            deadline_s=_DEADLINE_S,
            cache_key=snapshot.uri,
            quantization=settings.quantization,
            priority=Priority.COMPLETION,
        )

    def _others(self) -> list[Snapshot]:
        """The other open documents, without those that no model may see."""
        return [other for other in self.editor.documents() if exclusion(other.uri, self.settings.exclude) is None]


def _untyped(rest: str, place: Place) -> str:
    """`rest` without the closing bracket that the editor has put behind the cursor."""
    kept = drop_typed_ending(rest, place.site)
    return "" if isinstance(kept, Rejected) else kept


def _nothing(reason: str) -> Nothing:
    return Nothing(reason, detail(reason))
