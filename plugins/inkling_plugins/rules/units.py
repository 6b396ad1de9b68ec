"""What the model reads at once: sentences, whole segments, blocks of a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from inkling.api import Segment, SegmentKind, Segments, Snapshot, query_spans, segments, sentences
from inkling_plugins.ignores import without_directives
from inkling_plugins.rules.on import Place
from inkling_plugins.rules.rule import Rule

BLOCK = 1_500
"""Characters of a block of a file; longer paragraphs are cut at line ends, longer lines where they are."""
LONGEST = 20_000
"""Characters of one unit; of longer ones the rest is not read."""
_FEWEST = 3
_BLANK = re.compile(r"\n[ \t\r]*\n[\s]*")
_WHOLE = frozenset({SegmentKind.STRING, SegmentKind.FUNCTION, SegmentKind.CLASS, SegmentKind.SECTION})


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a segment's clean text, the text that the model reads, and its key.

    For classifiers, white space is made even, so that a paragraph that is wrapped anew is the same text; spans of
    token classification need every character where it was.
    """

    start: int
    end: int
    text: str
    key: bytes


def places_in(snapshot: Snapshot, rule: Rule) -> Segments:
    """The segments that a rule reads, in document order, none twice. Raises InklingError `bad-query`."""
    places = rule.reads.of(snapshot.language)
    kinds = {kind for place in places for kind in place.kinds}
    usual = segments(snapshot, kinds) if kinds else Segments(())
    special = [segment for place in places for segment in _special(snapshot, place, rule)]
    if not special and usual.apart:
        return usual
    found: dict[tuple[int, int], Segment] = {}
    for segment in (*special, *usual):
        found.setdefault((segment.start, segment.end), segment)
    return Segments(sorted(found.values(), key=lambda segment: (segment.start, -segment.end)))


def _special(snapshot: Snapshot, place: Place, rule: Rule) -> Iterator[Segment]:
    if place.query:
        for start, end in query_spans(snapshot, place.query):
            yield Segment(SegmentKind.STRING, start, end, snapshot.slice(start, end))
    elif place.special == "file" and rule.task == "token-classification":
        for start, end in blocks(snapshot.text):
            yield Segment(SegmentKind.STRING, start, end, snapshot.slice(start, end))
    elif place.special == "file" and len(snapshot):
        yield Segment(SegmentKind.SECTION, 0, len(snapshot), snapshot.slice(0, LONGEST))


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of a text between blank lines, so that an edit changes one of them; long ones cut at line ends."""
    start = 0
    for gap in [*_BLANK.finditer(text), None]:
        end = gap.start() if gap else len(text)
        while end - start > BLOCK:
            cut = text.rfind("\n", start + 1, start + BLOCK)
            cut = cut + 1 if cut > start else start + BLOCK
            yield start, cut
            start = cut
        if text[start:end].strip():
            yield start, end
        start = gap.end() if gap else end


def parts_of(segment: Segment, rule: Rule, weights: str = "") -> tuple[Part, ...]:
    """A segment's units: offsets are into its clean text, so that they hold wherever the segment moves.

    `weights` is what the engine says of the model's, for the keys.
    """
    clean = without_directives(segment)
    by_sentence = rule.by_sentence(segment.kind not in _WHOLE)
    fewest = rule.min_words or (_FEWEST if by_sentence else 1)
    if by_sentence:
        still = Segment(segment.kind, 0, len(clean.text), clean.text)
        spans = [(sentence.start, sentence.end) for sentence in sentences(still)]
    else:
        spans = [(0, len(clean.text))]
    found = []
    for start, end in spans:
        raw = clean.text[start : min(end, start + LONGEST)]
        words = raw.split()
        if len(words) >= fewest and any(map(str.isalnum if rule.task == "token-classification" else str.isalpha, raw)):
            text = raw if rule.task == "token-classification" else " ".join(words)
            found.append(Part(start, end, text, unit_key(rule, weights, text)))
    return tuple(found)


def unit_key(rule: Rule, weights: str, text: str) -> bytes:
    """What a model's answer is kept by: a hash of the text, the model, its weights and what else decides."""
    return hashlib.blake2b(f"{rule.job!r}\0{weights}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def labels_key(rule: Rule, weights: str) -> bytes:
    """What the labels of a rule's model are kept by."""
    return hashlib.blake2b(f"{rule.job!r}\0{weights}".encode(), digest_size=16, person=b"labels").digest()
