"""Which sentences of a text are its key sentences: by place, content, title and what kind of thing they say.

The mean of a text's sentences says what it is about, but of ten sentences about one thing some tell what it does or
what to beware of, and others that the icon is new. So a sentence also scores by words such as "must" and "no longer",
and by being nearer to examples of sentences that matter than to examples of those that don't. The weights were chosen
on `models/data/summary.dev.jsonl`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inkling.engine.tasks.splitting import sentence_spans

LEAD, CENTRE, TITLE, CUE, KIND, REPEATS = 0.3, 0.5, 0.3, 0.15, 0.5, 0.15
"""Weights of: the place in the text, the cosine to the mean, the cosine to the title, the words, the kind of sentence,
and the cosine to a sentence that was chosen before (taken off)."""

CUES = re.compile(
    r"\b(?:must|not|never|no longer|cannot|only|unless|instead|raises?|refus\w+|remov\w+|replac\w+|requires?|needs?|"
    r"breaking|deprecated|security|default|warning|important|safe|before|until|any ?more|without|stops?|lost?|limits?|"
    r"guarantee\w*|supports?|returns?|at most|at least|lets?|allows?)\b|n't\b",
    re.IGNORECASE,
)
MOST_CUES = 2
MATTERS = (
    "This program does one thing: it turns a file into another form.",
    "A library for testing, which finds bugs.",
    "Return the value, computed from the arguments.",
    "Raises an error if the input is wrong.",
    "This is no longer supported and has been removed.",
    "You must change your configuration before you update.",
    "It does not work with this kind of file.",
    "A fault that lost data has been fixed.",
    "By default it only warns.",
    "It is not safe to share between threads.",
    "You can now do something that was not possible before.",
    "Do not use it for this purpose.",
)
ASIDES = (
    "Thanks to everyone who helped.",
    "The icon has new colours.",
    "We are proud of this release.",
    "See the website for examples.",
    "It started as a small project.",
    "A typing error was corrected.",
    "Arguments are passed on.",
    "The order is alphabetical.",
    "Install it with your package manager.",
    "The documentation was proofread.",
)

_BULLET = re.compile(r"(?:[-*+•>#]+|\d+[.)])\s+")
_RULE = re.compile(r"[^\w\s]{3,}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_END = re.compile(r"[.!?…:;。！？][\"'”’)\]`*_]*$")
FEWEST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Parts:
    """A text's title, empty where it has none, and the spans of the sentences that may be chosen."""

    title: str
    sentences: list[tuple[int, int]]


def parts(text: str) -> Parts:
    """Cut a text. Banners, rules, bare headings and list markers are no sentences, and no part of one."""
    title, found = "", []
    for start, end in sentence_spans(text):
        for first, last in _plain(text, start, end):
            sentence = text[first:last]
            if _is_heading(text, first, last):
                title = title or sentence
            elif len(_WORD.findall(sentence)) >= FEWEST_WORDS or not sentence.isascii():
                found.append((first, last))
    return Parts(title, found or sentence_spans(text))


def _plain(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A sentence's stretches between banner lines and below headings, without the marker of a list."""
    stretches: list[tuple[int, int]] = []
    first = start
    for line in re.finditer(r"[^\n]*\n?", text[start:end]):
        content = line.group().strip()
        if _RULE.fullmatch(content) or content.startswith("#"):
            stretches.append((first, start + line.start()))
            if content.startswith("#"):
                stretches.append((start + line.start(), start + line.end()))
            first = start + line.end()
    stretches.append((first, end))
    plain = []
    for begin, stop in stretches:
        raw = text[begin:stop]
        begin, stop = begin + len(raw) - len(raw.lstrip()), begin + len(raw.rstrip())
        marker = _BULLET.match(text, begin, stop)
        if marker is not None and not text.startswith("#", begin):
            begin = marker.end()
        if begin < stop:
            plain.append((begin, stop))
    return plain


def _is_heading(text: str, start: int, end: int) -> bool:
    """A Markdown heading, or one short line without a full stop above a blank one."""
    line = text[start:end]
    if line.startswith("#"):
        return True
    alone = "\n" not in line and re.match(r"[ \t]*\n[ \t]*\n", text[end:]) is not None
    return alone and not _END.search(line) and len(line.split()) <= 8


def choose(
    vectors: Tensor, texts: Sequence[str], title: Tensor | None, matters: Tensor, asides: Tensor, count: int
) -> list[int]:
    """Indices of the `count` key sentences, in order.

    `vectors` [sentences, width], `title` [width] or None, `matters` and `asides` [examples, width], all of length 1.
    """
    if not texts:
        return []
    centre = torch.nn.functional.normalize(vectors.mean(0), dim=0)
    places = torch.arange(1, len(texts) + 1, dtype=vectors.dtype)
    cues = torch.tensor([min(MOST_CUES, len(CUES.findall(text))) for text in texts], dtype=vectors.dtype)
    kind = (vectors @ matters.T).amax(1) - (vectors @ asides.T).amax(1)
    scores = LEAD / places + CENTRE * (vectors @ centre) + CUE * cues + KIND * kind
    if title is not None:
        scores = scores + TITLE * (vectors @ title)
    chosen: list[int] = []
    nearest = torch.zeros_like(scores)
    for _ in range(min(count, len(texts))):
        rest = scores - REPEATS * nearest
        rest[chosen] = -torch.inf
        chosen.append(int(rest.argmax()))
        nearest = torch.maximum(nearest, vectors @ vectors[chosen[-1]])
    return sorted(chosen)
