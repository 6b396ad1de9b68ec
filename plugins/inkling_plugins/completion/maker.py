"""Where suggestions come from: a copy that can stand alone, else the model; and what is prepared in idle moments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from inkling.api import Engine, GenerateRequest, InklingError, Position, Priority, Scope, Snapshot, scope_at
from inkling_plugins.completion.copy_source import Copy
from inkling_plugins.completion.ghost_cache import Ghost, GhostCache, Place
from inkling_plugins.completion.line_index import LineIndex
from inkling_plugins.completion.present import Manners, Shown, present
from inkling_plugins.completion.prompt import prompt_windows
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.settings import CompleteSettings
from inkling_plugins.completion.site import PROSE, Site, wants_lines
from inkling_plugins.completion.surroundings import Surroundings, copy_from
from inkling_plugins.completion.workspace_lines import WorkspaceLines
from inkling_plugins.globs import matches

IDLE_S = 1.0
"""A pause after which the model may read new context."""
_ONE_LINE_TOKENS = 48
_DEADLINE_S = 20.0
_COPIED_LINES = 4
_TELLING = 8
"""Characters that make a line unlike others."""
_PARSED = 400_000
"""Characters above which a document's syntax is not asked about."""
NOT_FOR_THIS_LANGUAGE = Rejected("not-for-this-language")
_UNKNOWN_TO = {"starter:code": PROSE}
"""Languages in which a model of ours is not asked: of 24 places in prose the starter was sure enough in none. In other
code than Python it is silent at nine places of ten, and right about as often as in Python where it speaks."""
_IN_TEXT = (Scope.COMMENT, Scope.DOCSTRING, Scope.STRING)


class Maker:
    """Makes ghosts and puts them into the cache. `others` gives the documents that a model may see."""

    def __init__(
        self, engine: Engine, cache: GhostCache, others: Callable[[], Sequence[Snapshot]], workspace: WorkspaceLines
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._others = others
        self._workspace = workspace
        self._surroundings = Surroundings()
        self._idle: asyncio.Task[None] | None = None

    async def look(
        self, snapshot: Snapshot, position: Position, settings: CompleteSettings
    ) -> tuple[Scope, Copy | None]:
        """What surrounds the cursor, and what the workspace proposes; found off the event loop, beside the wait."""
        others = self._others()
        self._cache.keep({snapshot.uri, *(other.uri for other in others)})
        if settings.copy:
            most = settings.copy_workspace_mb << 20
            self._workspace.refresh(snapshot, most, lambda uri: matches(uri, settings.exclude))
        index = self._workspace.index
        return await asyncio.to_thread(_look, snapshot, position, others, index, settings.copy)

    def begin(
        self,
        snapshot: Snapshot,
        position: Position,
        place: Place,
        settings: CompleteSettings,
        scope: Scope = Scope.CODE,
        copy: Copy | None = None,
    ) -> Ghost:
        """A new suggestion at the cursor: the copy if it can stand alone, else a stream from the model."""
        self.rest()
        lines = _several_lines(place.site, settings, scope)
        begun = bool(place.site.line_before.strip())
        if copy is not None and copy.stands_alone(begun, settings.copy_alone):
            ghost = Ghost.copied(place, copy, lines)
            if isinstance(present(copy.text, 0, True, place.site, Manners(lines, 0.0)), Shown):
                self._cache.add(ghost)
                return ghost
        if not _knows(place.site.language, settings):
            ghost = Ghost.without_model(place, copy, NOT_FOR_THIS_LANGUAGE)
            self._cache.add(ghost)
            return ghost
        ghost = Ghost(place, lines, copy)
        self._cache.add(ghost)
        ghost.run(self._engine.generate(self.request(snapshot, position, settings, lines=lines)))
        return ghost

    def request(
        self, snapshot: Snapshot, position: Position, settings: CompleteSettings, *, lines: bool
    ) -> GenerateRequest:
        """What the model is asked at the cursor."""
        before, after = prompt_windows(snapshot, position)
        return GenerateRequest(
            model=settings.model,
            prompt=before,
            suffix=after if _fills(settings) and after.strip() else None,
            context=self._surroundings.context(snapshot.uri, before, settings.context_chunks),
            max_tokens=settings.max_tokens if lines else min(settings.max_tokens, _ONE_LINE_TOKENS),
            stop=_stops(Site(before, after, snapshot.language), lines),
            deadline_s=_DEADLINE_S,
            cache_key=snapshot.uri,
            heal=True,
            quantization=settings.quantization,
            priority=Priority.COMPLETION,
        )

    def prepare(
        self, snapshot: Snapshot, position: Position, place: Place, shown: str, settings: CompleteSettings
    ) -> None:
        """A request has been answered with `shown`: prepare for the next one, unless that comes first."""
        self.rest()
        self._idle = asyncio.create_task(self._prepare(snapshot, position, place, shown, settings))

    def rest(self) -> None:
        """The user is back, or gone."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def _prepare(
        self, snapshot: Snapshot, position: Position, place: Place, shown: str, settings: CompleteSettings
    ) -> None:
        try:
            if not _knows(snapshot.language, settings):
                return
            if settings.ahead and shown:
                await self._run_ahead(snapshot, position, place, shown, settings)
            await asyncio.sleep(IDLE_S)
            await self._read_context(snapshot, position, settings)
        except InklingError:
            return  # the next request will meet the same, and say so

    async def _run_ahead(
        self, snapshot: Snapshot, position: Position, place: Place, shown: str, settings: CompleteSettings
    ) -> None:
        """Make the suggestion that follows `shown`, as if it were accepted. A request that fits takes it over."""
        accepted = place.accepting(shown)
        if self._cache.find(accepted) is not None:
            return
        lines = _several_lines(accepted.site, settings, Scope.CODE)
        request = self.request(snapshot, position, settings, lines=lines)
        request = replace(
            request, prompt=request.prompt + shown, stop=_stops(accepted.site, lines), priority=Priority.BACKGROUND
        )
        ghost = Ghost(accepted, lines)
        self._cache.add(ghost)
        ghost.run(self._engine.generate(request))
        async for _ in ghost.growth():
            pass

    async def _read_context(self, snapshot: Snapshot, position: Position, settings: CompleteSettings) -> None:
        """Take in where the user has been, and let the model read it now rather than at the next keystroke."""
        if not settings.context_chunks:
            return
        old = self.request(snapshot, position, settings, lines=False)
        others = self._others()
        chunks = await asyncio.to_thread(self._surroundings.news, snapshot, position.line, others)
        self._surroundings.keep(chunks, snapshot, position.line, others)
        new = self.request(snapshot, position, settings, lines=False)
        if new.context != old.context:
            warm = replace(new, max_tokens=1, priority=Priority.BACKGROUND)
            async with aclosing(self._engine.generate(warm)) as stream:
                async for _ in stream:
                    pass


def _look(
    snapshot: Snapshot, position: Position, others: Sequence[Snapshot], index: LineIndex, copies: bool
) -> tuple[Scope, Copy | None]:
    scope = scope_at(snapshot, position) if len(snapshot) <= _PARSED else Scope.CODE
    return scope, copy_from(snapshot, position, others, _COPIED_LINES, index) if copies else None


def _knows(language: str, settings: CompleteSettings) -> bool:
    """Whether the model is of use in `language`; who turns the language on has said so."""
    said = settings.languages.get(language, settings.languages.get("*", False))
    return said or language not in _UNKNOWN_TO.get(settings.model, ())


def _fills(settings: CompleteSettings) -> bool:
    if settings.fill_in_middle == "auto":
        return not settings.model.startswith("starter:")
    return settings.fill_in_middle == "always"


def _several_lines(site: Site, settings: CompleteSettings, scope: Scope) -> bool:
    if settings.multi_line == "auto":
        return scope not in _IN_TEXT and wants_lines(site)
    return settings.multi_line == "always"


def _stops(site: Site, lines: bool) -> tuple[str, ...]:
    """Where the engine may stop by itself: at the line's end, or at a blank line and the line below the cursor."""
    if not lines:
        return ("\n",)
    below = site.line_below
    return ("\n\n", "\n" + below) if len(below.strip()) >= _TELLING else ("\n\n",)
