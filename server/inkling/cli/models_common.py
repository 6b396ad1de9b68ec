"""What the `inkling models` actions share: which settings name a model, and how sizes and tables are printed."""

from __future__ import annotations

from collections.abc import Sequence

from inkling.engine.protocol import Task

USED_BY = {
    Task.TEXT_GENERATION: "complete.model",
    Task.TEXT_CLASSIFICATION: "classify.model",
    Task.SUMMARIZATION: "summarize.model",
}
"""The bundled plugins' settings that name a model, by task."""


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be, the last one free."""
    widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles) - 1)]
    for row in (titles, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())
