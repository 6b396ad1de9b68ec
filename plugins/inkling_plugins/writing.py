"""Generated text written into the user's document while it comes; a cancel leaves the document as it was before.

Text that replaces a selection grows behind it, and the selection goes when the text is whole: so nothing of the user's
is lost when the model fails half-way, and the first words are seen at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from inkling.api import Edit, Editor, Engine, GenerateRequest, InklingError, Position, Progress, Range, Snapshot

Pieces = AsyncGenerator[str, None]
_TRIES = 4
_PAUSE_S = 0.1


async def generated(engine: Engine, request: GenerateRequest) -> Pieces:
    """The text of a generation, piece by piece; closing this stops the engine."""
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            if chunk.text:
                yield chunk.text


async def write_at(editor: Editor, snapshot: Snapshot, place: Position, pieces: Pieces, title: str, label: str) -> str:
    """Stream `pieces` into the document at `place`; returns what was written, which stays also after a failure."""
    written = ""
    async with (
        editor.progress(title) as progress,
        editor.stream(snapshot, place, label) as out,
        aclosing(pieces),
    ):
        async for piece in pieces:
            written += piece
            await out.write(piece)
            _count(progress, written)
    return written


async def write_new(editor: Editor, snapshot: Snapshot, place: Position, pieces: Pieces, title: str, label: str) -> str:
    """As `write_at`, but all or nothing: a failure or a cancel takes back what was written."""
    try:
        return await write_at(editor, snapshot, place, pieces, title, label)
    except InklingError as error:
        if error.reason != "document-changed":  # else the user is at work in it: theirs to decide
            await _take_back(editor, snapshot, place, label)
        raise
    except BaseException:
        await asyncio.shield(_take_back(editor, snapshot, place, label))
        raise


async def write_over(editor: Editor, snapshot: Snapshot, range: Range, pieces: Pieces, title: str, label: str) -> str:
    """Stream `pieces` in the place of `range`, whose text goes once all of it is there."""
    written = await write_new(editor, snapshot, range.end, pieces, title, label)
    if not written.strip():
        await _take_back(editor, snapshot, range.end, label)
        raise InklingError("empty", "The model wrote nothing.", "Try it with more text, or with another model.")
    await editor.apply(snapshot, [Edit(range, "")], label)
    return written


async def show(editor: Editor, pieces: Pieces, title: str, working: str = "") -> str:
    """Stream `pieces` into a place of their own under `title`; returns what was shown. `working` names the progress."""
    written = ""
    async with (
        editor.progress(working or title) as progress,
        editor.show_stream(title) as out,
        aclosing(pieces),
    ):
        async for piece in pieces:
            written += piece
            await out.write(piece)
            _count(progress, written)
        if written.strip() and not written.endswith("\n"):
            await out.write("\n")
    return written.strip()


async def collect(editor: Editor, pieces: Pieces, title: str) -> str:
    """All of `pieces`, with progress."""
    written = ""
    async with editor.progress(title) as progress, aclosing(pieces):
        async for piece in pieces:
            written += piece
            _count(progress, written)
    return written


async def through(pieces: Pieces, feed: Callable[[str], str], finish: Callable[[], str]) -> Pieces:
    """`pieces` as a filter gives them on."""
    async with aclosing(pieces):
        async for piece in pieces:
            if out := feed(piece):
                yield out
    if out := finish():
        yield out


def _count(progress: Progress, written: str) -> None:
    progress.report(f"{len(written.split())} words")


async def _take_back(editor: Editor, snapshot: Snapshot, place: Position, label: str) -> None:
    """Delete what was inserted at `place`, if nothing else has changed since; a piece may still be under way."""
    at = snapshot.offset(place)
    for _ in range(_TRIES):
        now = next((document for document in editor.documents() if document.uri == snapshot.uri), None)
        grown = len(now) - len(snapshot) if now is not None else 0
        if now is not None and grown > 0 and _only_grown(snapshot.text, now.text, at, grown):
            with suppress(InklingError):
                await editor.apply(now, [Edit(now.range(at, at + grown), "")], label)
                return
        await asyncio.sleep(_PAUSE_S)


def _only_grown(old: str, new: str, at: int, grown: int) -> bool:
    return new[:at] == old[:at] and new[at + grown :] == old[at:]
