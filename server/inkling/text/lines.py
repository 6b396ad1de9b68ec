"""Lines of a plain string as spans: the one place where text modules split by lines."""

from __future__ import annotations

from collections.abc import Iterator

from inkling.text.segment import Span
from inkling.text.tree import LINE_END


def line_spans(text: str, start: int = 0, end: int | None = None) -> Iterator[Span]:
    """The spans of the lines of `text[start:end]`, without their ends. `\\n`, `\\r\\n` and `\\r` alone end a line."""
    end = len(text) if end is None else end
    for match in LINE_END.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def strip_span(text: str, start: int, end: int) -> Span:
    """The span without white space at its ends; empty at `start` when there is nothing else."""
    body = text[start:end]
    stripped = body.strip()
    if not stripped:
        return start, start
    first = start + len(body) - len(body.lstrip())
    return first, first + len(stripped)
