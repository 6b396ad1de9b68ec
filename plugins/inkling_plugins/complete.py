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
    ContextFile,
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
from inkling_plugins.completion.context_ring import LINES, ContextRing, chunk_of
from inkling_plugins.completion.copy_source import Copy, find_copy
from inkling_plugins.completion.debounce import Debounce, rate_at
from inkling_plugins.completion.exclude import exclusion
from inkling_plugins.completion.filters import Rejected, drop_typed_ending, stop_at_repetition
from inkling_plugins.completion.ghost_cache import Ghost, GhostCache, Place
from inkling_plugins.completion.present import LOW_CONFIDENCE, Manners, Shown, present
from inkling_plugins.completion.prompt import place_at, prompt_windows
from inkling_plugins.completion.reasons import detail
from inkling_plugins.completion.site import rejects_middle, wants_lines
from inkling_plugins.globs import path_of

_CANCELLED_LINGER_S = 0.25
"""How long a stream outlives its cancelled request: the next keystroke's request comes within this time."""
_ANSWERED_LINGER_S = 5.0
"""How long it outlives a request that took what there was: the follow-up may take a while."""
_ONE_LINE_TOKENS = 48
_DEADLINE_S = 20.0
_COPY_WINDOW = 200_000
_CONTEXT_CHARACTERS = 8_000


class Complete(Plugin):
    """Ghost text, and the command that writes into the document."""

    name = "complete"

    @dataclass(frozen=True)
    class Settings:
        """The table `[complete]`."""

        enabled: bool = field(default=True, metadata={"doc": "Suggest inline completions."})
        model: str = field(default="starter:code", metadata={"doc": "A causal language model.", "scope": "model"})
        quantization: Literal["auto", "none", "int8", "int4", "nf4"] = field(
            default="auto", metadata={"doc": "How the model's weights are kept."}
        )
        max_tokens: int = field(default=128, metadata={"doc": "Tokens of one suggestion.", "min": 1, "max": 2048})
        multi_line: Literal["auto", "never", "always"] = field(
            default="auto", metadata={"doc": "Whether a suggestion may have several lines; auto goes by the syntax."}
        )
        languages: Mapping[str, bool] = field(
            default_factory=lambda: {"*": True}, metadata={"doc": "On or off by language id; `*` is all others."}
        )
        exclude: tuple[str, ...] = field(
            default=(), metadata={"doc": "Globs, as in .gitignore, of files to leave alone.", "merge": "append"}
        )
        debounce_min_ms: int = field(default=20, metadata={"doc": "The shortest wait after a keystroke.", "min": 0})
        debounce_max_ms: int = field(default=1000, metadata={"doc": "The longest wait after a keystroke.", "min": 0})
        min_confidence: float = field(
            default=0.3,
            metadata={"doc": "Mean token probability below which nothing is shown.", "min": 0.0, "max": 1.0},
        )
        context_chunks: int = field(
            default=4, metadata={"doc": "Chunks of other open documents that the model sees.", "min": 0, "max": 64}
        )
        copy: bool = field(default=True, metadata={"doc": "Suggest what followed the same text in open documents."})
        copy_alone: int = field(
            default=48, metadata={"doc": "Matching characters from which a copy needs no model.", "min": 12, "max": 256}
        )
        continue_tokens: int = field(
            default=256, metadata={"doc": 'Tokens that "Continue writing here" writes at most.', "min": 1, "max": 8192}
        )

    settings: Settings

    async def start(self) -> None:
        """Begin with an empty memory."""
        self._cache = GhostCache()
        self._ring = ContextRing()
        self._debounce = Debounce()
        self._seen: set[str] = set()
        self._last: tuple[Snapshot, Position] | None = None
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
        copy = await asyncio.to_thread(self._copy, snapshot, position, 4 if lines else 1) if settings.copy else None
        if copy is not None and copy.matched >= settings.copy_alone and 2 * copy.votes > copy.places:
            ghost = Ghost.copied(place, copy)
            if isinstance(present(copy.text, 0, True, place.site, Manners(lines, 0.0), ghost.confidence), Shown):
                self._cache.add(ghost)
                return ghost
        await asyncio.to_thread(self._look_around, snapshot, position)
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
        copy = ghost.copy
        if copy is None:
            return None
        line = copy.text.strip("\n").partition("\n")[0]
        said = ghost.text.strip("\n").partition("\n")[0]
        same = next((i for i, (a, b) in enumerate(zip(line, said, strict=False)) if a != b), min(len(line), len(said)))
        if same < max(4, len(said) // 2):
            return None
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
        chunks = self._ring.select(snapshot.uri, before[-4000:], _CONTEXT_CHARACTERS)
        chunks = chunks[-settings.context_chunks :] if settings.context_chunks else []
        return GenerateRequest(
            model=settings.model,
            prompt=before,
            suffix=after,
            context=tuple(ContextFile(path_of(chunk.uri).rpartition("/")[2], chunk.text) for chunk in chunks),
            max_tokens=max_tokens,
            stop=stop,
            deadline_s=_DEADLINE_S,
            cache_key=snapshot.uri,
            quantization=settings.quantization,
            priority=Priority.COMPLETION,
        )

    def _look_around(self, snapshot: Snapshot, position: Position) -> None:
        """Keep the ring: the place that the user came from, and the head of each document opened since."""
        others = [o for o in self.editor.documents() if exclusion(o.uri, self.settings.exclude) is None]
        open_uris = {snapshot.uri, *(other.uri for other in others)}
        self._ring.drop(keep=open_uris)
        self._seen &= open_uris
        for other in others:
            if other.uri not in self._seen and other.uri != snapshot.uri:
                self._remember(other, 0)
        if self._last is not None:
            last, place = self._last
            if last.uri in open_uris and (last.uri != snapshot.uri or abs(place.line - position.line) > LINES):
                self._remember(last, place.line)
        self._last = snapshot, position

    def _remember(self, snapshot: Snapshot, line: int) -> None:
        self._seen.add(snapshot.uri)
        first = line // LINES * LINES
        lines = [snapshot.line(i) for i in range(first, min(first + LINES, snapshot.line_count))]
        chunk = chunk_of(snapshot.uri, lines)
        if chunk is not None and len(chunk.text) <= _CONTEXT_CHARACTERS // 2:
            self._ring.add(chunk)

    def _copy(self, snapshot: Snapshot, position: Position, lines: int) -> Copy | None:
        offset = snapshot.offset(position)
        texts = [snapshot.slice(offset, offset + _COPY_WINDOW)]
        texts += [
            other.slice(0, _COPY_WINDOW)
            for other in sorted(self.editor.documents(), key=lambda other: other.language != snapshot.language)
            if other.uri != snapshot.uri and exclusion(other.uri, self.settings.exclude) is None
        ]
        return find_copy(snapshot.slice(offset - _COPY_WINDOW, offset), texts, lines=lines)


def _untyped(rest: str, place: Place) -> str:
    """`rest` without the closing bracket that the editor has put behind the cursor."""
    kept = drop_typed_ending(rest, place.site)
    return "" if isinstance(kept, Rejected) else kept


def _nothing(reason: str) -> Nothing:
    return Nothing(reason, detail(reason))
