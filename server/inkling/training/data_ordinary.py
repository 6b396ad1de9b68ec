"""Ordinary text of installed packages, in which a warning would be a false alarm: comments, and what READMEs say.

What a classifier meets every day is neither in the sentences that were written to train it nor in those that judge
it. Part of it is trained on, another part, of other packages, tells how often the result is wrong.
"""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Sequence

from inkling.text.segment import SegmentKind
from inkling.text.segments import segments
from inkling.text.sentence import sentences
from inkling.text.snapshot import Snapshot
from inkling.training.classifier_recipe import FalseAlarms, WeakComments
from inkling.training.corpus.sources import installed
from inkling.training.data_comments import is_prose, package_comments
from inkling.training.data_labelled import Example


def ordinary_texts(alarms: FalseAlarms, seed: int) -> dict[str, list[str]]:
    """Texts by what they are, at most `alarms.most` of each package and kind, each text once.

    Raises CorpusError when a package is not installed.
    """
    packages = installed(alarms.comments)[0] if alarms.comments else []
    comments = {package.name: list(package_comments(package)) for package in packages}
    prose = {name: description_sentences(name) for name in _present(alarms.prose)}
    return {"comments": _sample(comments, alarms.most, seed), "prose": _sample(prose, alarms.most, seed)}


def ordinary_prose(weak: WeakComments, seed: int) -> list[Example]:
    """Sentences of the descriptions that `weak.prose` names, as negatives; the topic is the package."""
    found = ((name, _sample({name: description_sentences(name)}, weak.most, seed)) for name in _present(weak.prose))
    return [
        Example(text, label=weak.negative, topic=f"{name}, prose", weight=weak.weight)
        for name, texts in found
        for text in texts
    ]


def description_sentences(distribution: str) -> list[str]:
    """The sentences of an installed distribution's description, as its index page shows it (Markdown)."""
    text = str(importlib.metadata.metadata(distribution).json.get("description", ""))
    snapshot = Snapshot.of(text, uri="file:///README.md", language="markdown")
    kinds = (SegmentKind.PARAGRAPH, SegmentKind.LIST_ITEM)
    return [one.text for segment in segments(snapshot, kinds) for one in sentences(segment)]


def _present(names: Sequence[str]) -> Sequence[str]:
    if names:
        installed(names)  # raises for what is missing
    return names


def _sample(texts: dict[str, list[str]], most: int, seed: int) -> list[str]:
    found: dict[str, None] = {}
    for name, candidates in sorted(texts.items()):
        prose = [text for text in dict.fromkeys(candidates) if is_prose(text) and text not in found]
        chance = random.Random(f"{seed} {name}")  # noqa: S311 - a sample, not a secret
        found |= dict.fromkeys(chance.sample(prose, min(most, len(prose))))
    return list(found)
