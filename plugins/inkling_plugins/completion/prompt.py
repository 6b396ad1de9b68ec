"""The windows of text that a completion works with: a small one to judge by, a larger one for the model."""

from __future__ import annotations

from inkling.api import Position, Snapshot
from inkling_plugins.completion.ghost_cache import Place

_NEAR_BEFORE = 4_000
_NEAR_AFTER = 2_000
"""Characters around the cursor that tell whether an old suggestion still fits, and that the filters look at."""
_LINES_BEFORE = 256
_LINES_AFTER = 64
_STEP = 64
_MOST_CHARACTERS = 24_000
"""Of each window for the model, which cuts further by its own tokens."""


def place_at(snapshot: Snapshot, position: Position, key: str) -> Place:
    """The cursor and the text near it. Costs the same in a file of any size."""
    offset = snapshot.offset(position)
    line, character = snapshot.position(offset)
    before = _unix(snapshot.slice(offset - _NEAR_BEFORE, offset))
    after = _unix(snapshot.slice(offset, offset + _NEAR_AFTER))
    return Place(snapshot.uri, line, character, before, after, snapshot.language, key)


def prompt_windows(snapshot: Snapshot, position: Position) -> tuple[str, str]:
    """The text before and after the cursor for the model.

    The first window begins at a line that moves on in steps of `_STEP` lines, so that while the user types it only
    grows at its end and the engine's prefix cache keeps fitting; the second is counted in lines from the cursor and
    does not change at all.
    """
    offset = snapshot.offset(position)
    line = snapshot.position(offset).line
    first = max(0, line - _LINES_BEFORE) // _STEP * _STEP
    last = min(line + _LINES_AFTER, snapshot.line_count - 1)
    start = snapshot.offset(Position(first, 0))
    if offset - start > _MOST_CHARACTERS:  # very long lines: give up alignment to lines, keep a coarse one
        start = (offset - _MOST_CHARACTERS // 2) // (_MOST_CHARACTERS // 2) * (_MOST_CHARACTERS // 2)
    end = min(snapshot.offset(snapshot.line_range(last).end), offset + _MOST_CHARACTERS)
    return _unix(snapshot.slice(start, offset)), _unix(snapshot.slice(offset, end))


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
