"""`textDocument/completion`: all plugins' entries in one list, in the order of their ranks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import Completion, Position, Snapshot, Surface
from inkling.lsp.checks import check_completion
from inkling.lsp.dispatch import content_modified

if TYPE_CHECKING:
    from inkling.lsp.session import Session
    from inkling.plugins import Outcome

KIND = "completion"
PASSING = frozenset(["incomplete", "engine-slow", "engine-starting", "timed-out"])
"""Reasons that a moment later, with the same word longer, may hold no more: the client should ask again."""


def register(session: Session) -> None:
    """Register the method."""

    @session.server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(resolve_provider=False))
    def completion(params: types.CompletionParams) -> Awaitable[types.CompletionList] | types.CompletionList:
        snapshot = session.snapshot(params.text_document.uri, KIND)
        if snapshot is None:
            return types.CompletionList(is_incomplete=False, items=[])
        session.dispatch.supersede(snapshot.uri, KIND)
        character = params.context.trigger_character if params.context is not None else None
        return answer(snapshot, session.edge.position(snapshot, params.position), character)

    async def answer(snapshot: Snapshot, position: Position, character: str | None) -> types.CompletionList:
        def wanted(surface: Surface) -> bool:
            return not character or character in surface.triggers

        outcomes = await session.dispatch.ask(
            KIND, snapshot, (snapshot, position), lambda item: check_completion(item, position), wanted=wanted
        )
        if not session.documents.is_current(snapshot):
            raise content_modified()
        found = sorted((item for outcome in outcomes for item in outcome.items), key=lambda item: item.rank)
        items = [item_of(snapshot, position, item, place) for place, item in enumerate(found)]
        return types.CompletionList(is_incomplete=any(map(cut_short, outcomes)), items=items)

    def item_of(snapshot: Snapshot, position: Position, entry: Completion, place: int) -> types.CompletionItem:
        span = entry.range or snapshot.range(word_start(snapshot, position), snapshot.offset(position))
        documentation = types.MarkupContent(types.MarkupKind.Markdown, entry.documentation)
        return types.CompletionItem(
            label=entry.label,
            kind=types.CompletionItemKind.Text,
            detail=entry.detail or None,
            documentation=documentation if entry.documentation else None,
            sort_text=f"{place:05d}",
            filter_text=filter_text(snapshot.text_in(span), entry.new_text),
            text_edit=types.TextEdit(session.edge.to_range(snapshot, span), entry.new_text),
        )


def cut_short(outcome: Outcome[Completion]) -> bool:
    """Whether the plugin may have more to say as the word grows."""
    return any(nothing.reason in PASSING for nothing in outcome.reasons)


def word_start(snapshot: Snapshot, position: Position) -> int:
    """The offset of the word that ends at the cursor, or of the cursor."""
    word = snapshot.word_at(position)
    return snapshot.offset(min(word.start, position)) if word is not None else snapshot.offset(position)


def filter_text(replaced: str, new_text: str) -> str:
    """What the client compares with what is typed: a new text that does not continue the old one must not be lost."""
    return new_text if new_text.casefold().startswith(replaced.casefold()) else replaced
