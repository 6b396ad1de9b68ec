"""A document in pieces worth finding: definitions with their documentation, sections and paragraphs of prose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inkling.api import Definition, Range, SegmentKind, Snapshot, outline, segments, uri_path
from inkling_plugins.search.words import split_identifier, terms

CHUNKER = 1
"""Grows when the same text would be cut otherwise: what was kept of it is then of no use."""
_TEXT = 1200
"""Characters of a chunk's text that are kept."""
_READ = 600
"""Characters of a paragraph that the model reads."""
_PROSE = 800
"""Characters up to which neighbouring paragraphs of prose are one chunk."""
_BLANK = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(.+?[.!?])(?=\s|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece. `container` says where it belongs: the names or headings around it. `text` is prose about it."""

    name: str
    container: str
    kind: str
    range: Range
    parameters: tuple[str, ...] = ()
    text: str = ""

    def views(self) -> tuple[str, ...]:
        """What the model reads of it; it is as near to a question as the nearest of these."""
        about = " ".join(_BLANK.split(self.text, maxsplit=1)[0].split())[:_READ]
        name = split_identifier(self.name) or self.name
        return (f"{name}: {about}" if about else f"{split_identifier(self.container)} {name}".strip(),)

    def terms(self) -> Iterator[str]:
        """The terms of a lexical search; a name's count double."""
        yield from terms(self.name)
        yield from terms(f"{self.container} {self.name} {' '.join(self.parameters)}")
        yield from terms(self.text)


def chunks(snapshot: Snapshot) -> list[Chunk]:
    """The chunks of a document, in its order. Costs a parse: for a thread."""
    found = outline(snapshot)
    stem = uri_path(snapshot.uri).rpartition("/")[2]
    if found:
        return [*_file(snapshot, found[0].start, stem), *(_definition(snapshot, stem, one) for one in found)]
    return list(_prose(snapshot, stem))


def _definition(snapshot: Snapshot, file: str, found: Definition) -> Chunk:
    where = f"{file.partition('.')[0]}.{found.container}" if found.container else file.partition(".")[0]
    span = snapshot.range(found.start, found.end)
    return Chunk(found.name, where, found.kind, span, found.parameters, found.documentation[:_TEXT])


def _file(snapshot: Snapshot, before: int, name: str) -> Iterator[Chunk]:
    """What the head of a source file says of the whole file."""
    for segment in segments(snapshot, (SegmentKind.DOCSTRING, SegmentKind.COMMENT)):
        if segment.end > before:
            return
        if len(segment.text.split()) >= 5 and not segment.text.startswith(("!", "-*-")):
            span = snapshot.range(segment.start, segment.end)
            yield Chunk(name, "", "file", span, (), segment.text[:_TEXT])
            return


def _prose(snapshot: Snapshot, file: str) -> Iterator[Chunk]:
    """Neighbouring paragraphs under one heading, up to a length."""
    headings: list[tuple[int, str]] = []
    texts: list[str] = []
    start = end = 0
    kinds = (
        SegmentKind.HEADING,
        SegmentKind.PARAGRAPH,
        SegmentKind.LIST_ITEM,
        SegmentKind.DOCSTRING,
        SegmentKind.COMMENT,
    )

    def chunk() -> Iterator[Chunk]:
        if texts:
            names = [title for _, title in headings] or [file]
            where = " › ".join([file, *names[:-1]]) if headings else ""
            yield Chunk(names[-1], where, "string", snapshot.range(start, end), (), "\n\n".join(texts)[:_TEXT])
            texts.clear()

    for segment in segments(snapshot, kinds):
        text = " ".join(segment.text.split())
        if segment.kind is SegmentKind.HEADING:
            yield from chunk()
            level = _level(snapshot, segment.start)
            while headings and headings[-1][0] >= level:
                headings.pop()
            headings.append((level, text))
        elif any(character.isalpha() for character in text):
            if texts and sum(map(len, texts)) + len(text) > _PROSE:
                yield from chunk()
            if not texts:
                start = segment.start
            texts.append(text)
            end = segment.end
    yield from chunk()


def _level(snapshot: Snapshot, offset: int) -> int:
    line = snapshot.line(snapshot.position(offset).line).lstrip(" >")
    return len(line) - len(line.lstrip("#")) or 1
