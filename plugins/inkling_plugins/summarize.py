"""Summaries as code actions and commands: shown, put above the text, or made into a documentation comment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from inkling.api import (
    Action,
    Edit,
    InklingError,
    Plugin,
    Position,
    Progress,
    Range,
    SegmentKind,
    Snapshot,
    Summary,
    code_actions,
    command,
    resolver,
    segments,
    sentences,
)
from inkling_plugins.doc_comments import DocPlace, comment, doc_place, documentation
from inkling_plugins.map_reduce import Plan, summarize_long

_PROSE_IN_CODE = (SegmentKind.COMMENT, SegmentKind.DOCSTRING)
_PROSE_IN_MARKDOWN = (SegmentKind.PARAGRAPH, SegmentKind.LIST_ITEM)
_MARKDOWN = frozenset({"markdown", "mdx"})
_TEXT_LANGUAGES = frozenset(
    {"markdown", "mdx", "plaintext", "text", "latex", "tex", "restructuredtext", "rst", "gitcommit"}
)
_FEWEST_WORDS = 12
_FEWEST_SENTENCES = 5
"""Of comments and docstrings, below which a summary above them would not be shorter."""


class Summarize(Plugin):
    """A summarization model, or the starter's key sentences, on selections and files."""

    name = "summarize"

    @dataclass(frozen=True)
    class Settings:
        """The table `[summarize]`."""

        enabled: bool = True
        """Offer summaries."""
        model: str = field(default="starter:summary", metadata={"scope": "model"})
        """`starter:summary` chooses key sentences; a seq2seq or causal model writes its own."""
        max_sentences: int = field(default=3, metadata={"min": 1, "max": 20})
        """Sentences of a summary."""
        max_tokens: int = field(default=128, metadata={"min": 8, "max": 4096})
        """Tokens that a model writes at most."""
        chunk_characters: int = field(default=6000, metadata={"min": 500})
        """Longer text is summarized in parts of this length."""

    settings: Settings

    @code_actions
    async def actions(self, snapshot: Snapshot, range: Range) -> AsyncIterator[Action]:
        """What may be done with the selection; nothing is computed before one is chosen."""
        if not self.settings.enabled:
            return
        if not range.is_empty and _enough(snapshot.text_in(range)):
            yield Action("Summarize selection", "refactor", command="summarize.selection")
            if snapshot.language in _TEXT_LANGUAGES or await asyncio.to_thread(_long_enough, snapshot, range):
                yield Action("Insert summary above", "refactor.rewrite", resolve="summary_above")
        if snapshot.language in _TEXT_LANGUAGES:
            return
        if await asyncio.to_thread(_says_enough, snapshot, range):
            name = "docstring" if snapshot.language == "python" else "doc comment"
            yield Action(f"Summarize into {name}", "refactor.rewrite", resolve="summary_into_docs")

    @resolver("summary_above")
    async def above(self, snapshot: Snapshot, range: Range) -> Edit:
        """The summary as a comment, or as a paragraph in prose, above the selection's first line."""
        summary = await self._summarize(snapshot, range)
        first = range.start.line
        text = snapshot.line(first)
        indentation = text[: len(text) - len(text.lstrip())]
        lines = comment(summary.text, snapshot.language, indentation)
        if snapshot.language in _TEXT_LANGUAGES:
            lines.append("")
        return _insert(snapshot, first, lines)

    @resolver("summary_into_docs")
    async def into_docs(self, snapshot: Snapshot, range: Range) -> Edit:
        """The summary as the docstring or documentation comment of the definition around the cursor, or of the file."""
        place = await asyncio.to_thread(doc_place, snapshot, range.start)
        if place is None:
            raise InklingError("has-docs", "This definition is documented already.", "Nothing was changed.")
        summary = await self._summarize(snapshot, _documented(snapshot, range, place))
        lines = documentation(summary.text, snapshot.language, place)
        if place.what == "file" and place.line < snapshot.line_count and snapshot.line(place.line).strip():
            lines.append("")
        return _insert(snapshot, place.line, lines)

    @command("summarize.selection", "Summarize selection")
    async def selection(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Show the summary of the selection; of the file when nothing is selected."""
        if snapshot is None:
            raise InklingError("no-document", "There is no document to summarize.", "Run this from an editor.")
        whole = range is None or range.is_empty
        return await self._show(
            snapshot, _all(snapshot) if whole or range is None else range, "file" if whole else "selection"
        )

    @command("summarize.file", "Summarize file")
    async def file(self, snapshot: Snapshot | None, range: Range | None, **_: Any) -> str:
        """Show the summary of the file."""
        if snapshot is None:
            raise InklingError("no-document", "There is no document to summarize.", "Run this from an editor.")
        return await self._show(snapshot, _all(snapshot), "file")

    async def _show(self, snapshot: Snapshot, range: Range, what: str) -> str:
        summary = await self._summarize(snapshot, range)
        name = snapshot.uri.rpartition("/")[2]
        if summary.kind == "key-sentences":
            how, body = "Key sentences, chosen", re.sub(r"(?m)^(?=.)", "- ", summary.text)
        else:
            how, body = "Written", summary.text
        note = f"*{how} by `{self.settings.model}` from the {what}.*"
        await self.editor.show_text(f"Summary of {name}", f"# {name}\n\n{body}\n\n{note}\n")
        return summary.text

    async def _summarize(self, snapshot: Snapshot, range: Range) -> Summary:
        settings = self.settings
        text = await asyncio.to_thread(_readable, snapshot, range)
        if not text.strip():
            raise InklingError(
                "nothing-to-summarize", "There is no text to summarize here.", "Select some prose or code."
            )

        async def one(part: str) -> Summary:
            summary = await self.engine.summarize(
                part, model=settings.model, max_sentences=settings.max_sentences, max_tokens=settings.max_tokens
            )
            chosen = [" ".join(part[start:end].split()) for start, end in summary.spans]
            return replace(summary, text="\n".join(chosen)) if chosen else summary

        async with self.editor.progress("Summarizing") as progress:
            summary = await summarize_long(text, settings.chunk_characters, one, lambda plan: _report(progress, plan))
        if not summary.text.strip():
            raise InklingError("empty-summary", f"{settings.model} gave no summary.", "Try a longer selection.")
        return summary


def _report(progress: Progress, plan: Plan) -> None:
    if plan.total > 1:
        progress.report(f"part {plan.done + 1} of {plan.total}", plan.done / plan.total)


def _enough(text: str) -> bool:
    return len(text.split(maxsplit=_FEWEST_WORDS)) >= _FEWEST_WORDS


def _long_enough(snapshot: Snapshot, range: Range) -> bool:
    """Whether the prose among code says so much that a summary above it would be shorter: what is chosen from one or
    two comments is only one of them, told twice."""
    start, end = snapshot.offset(range.start), snapshot.offset(range.end)
    found = (s for s in segments(snapshot, _PROSE_IN_CODE) if start <= s.start and s.end <= end)
    return sum(len(sentences(segment)) for segment in found) >= _FEWEST_SENTENCES


def _all(snapshot: Snapshot) -> Range:
    return snapshot.range(0, len(snapshot))


def _documented(snapshot: Snapshot, range: Range, place: DocPlace) -> Range:
    """What a documentation comment at `place` speaks of: a selection of some length, the block, or the whole file."""
    if _enough(snapshot.text_in(range)):
        return range
    if place.what == "file":
        return _all(snapshot)
    own = len(place.indentation.expandtabs(4))
    last = place.line
    for number in _lines(snapshot, place.line + (0 if place.inside else 1)):
        text = snapshot.line(number)
        indent = len(text[: len(text) - len(text.lstrip())].expandtabs(4))
        if text.strip() and indent <= own - (1 if place.inside else 0):
            break
        last = number
    return Range(Position(place.line, 0), snapshot.line_range(last).end)


def _says_enough(snapshot: Snapshot, range: Range) -> bool:
    """Whether there is a place for documentation, and something to say there."""
    place = doc_place(snapshot, range.start)
    return place is not None and _enough(snapshot.text_in(_documented(snapshot, range, place)))


def _lines(snapshot: Snapshot, first: int) -> range:
    return range(first, min(snapshot.line_count, first + 5_000))


def _readable(snapshot: Snapshot, range: Range) -> str:
    """The prose in the range: comments and docstrings of code, paragraphs of Markdown; all if those say little."""
    text = snapshot.text_in(range)
    if snapshot.language in _TEXT_LANGUAGES and snapshot.language not in _MARKDOWN:
        return text
    kinds = _PROSE_IN_MARKDOWN if snapshot.language in _MARKDOWN else _PROSE_IN_CODE
    start, end = snapshot.offset(range.start), snapshot.offset(range.end)
    prose = [s.text for s in segments(snapshot, kinds) if start <= s.start and s.end <= end and s.text.strip()]
    joined = "\n\n".join(prose)
    return joined if _enough(joined) else text


def _insert(snapshot: Snapshot, line: int, lines: list[str]) -> Edit:
    """`lines` as whole lines before line `line`, with the document's own line ends."""
    eol = snapshot.eol
    if line < snapshot.line_count:
        place = Position(line, 0)
        return Edit(Range(place, place), "".join(text + eol for text in lines))
    end = snapshot.position(len(snapshot))
    return Edit(Range(end, end), "".join(eol + text for text in lines))
