"""Examples in parts, for calibration: no topic is in two of them, as a user's text is of other topics too."""

from __future__ import annotations

import random
from collections.abc import Sequence

from inkling.training.data_labelled import DataError, Example


def deal_kinds(examples: Sequence[Example], folds: int, seed: int) -> list[list[int]]:
    """`deal_topics`, of written and of weakly labelled examples each, so that every part has its share of both."""
    kinds: dict[float, list[int]] = {}
    for index, example in enumerate(examples):
        kinds.setdefault(example.weight, []).append(index)
    dealt = [
        [[kind[i] for i in part] for part in deal_topics([examples[i] for i in kind], folds, seed)]
        for kind in kinds.values()
    ]
    return [[i for part in parts for i in part] for parts in zip(*dealt, strict=True)]


def deal_topics(examples: Sequence[Example], folds: int, seed: int) -> list[list[int]]:
    """Deal indices into `folds` parts of about one size such that no topic is in two parts.

    A large topic makes a large part; the parts nearest to the mean size come first, as those are asked about.
    Examples without a topic are topics of their own. Raises DataError when there are fewer topics than parts.
    """
    topics: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        topics.setdefault(example.topic or f"#{index}", []).append(index)
    if len(topics) < folds:
        raise DataError(
            f"{len(topics)} topics cannot be dealt into {folds} parts: lower calibration.folds, add topics, "
            "or leave topic out to split by single texts."
        )
    groups = list(topics.values())
    random.Random(seed).shuffle(groups)  # noqa: S311 - a split, not a secret
    parts: list[list[int]] = [[] for _ in range(folds)]
    for group in sorted(groups, key=len, reverse=True):
        min(parts, key=len).extend(group)
    mean = len(examples) / folds
    return [sorted(part) for part in sorted(parts, key=lambda part: abs(len(part) - mean))]
