"""Near-duplicates: texts of a document whose embeddings point the same way (task `feature-extraction`)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from operator import mul

from inkling.api import Diagnostic, Engine, InklingError, Nothing, Priority, Range, Related, Snapshot
from inkling_plugins.globs import matches
from inkling_plugins.rules.present import SEVERITIES
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.units import Part, parts_of, places_in

MOST = 1_000
"""Texts compared in one document: each with every other."""
_BATCH = 64
_KEPT = 20_000
Vectors = OrderedDict[bytes, list[float]]
"""By `unit_key`; the oldest are forgotten."""


async def similar(
    engine: Engine, vectors: Vectors, rule: Rule, snapshot: Snapshot, most: int
) -> AsyncIterator[Diagnostic | Nothing]:
    """A diagnostic on each text that an earlier one resembles by at least the rule's threshold."""
    if rule.reads.globs and not matches(snapshot.uri, rule.reads.globs):
        return
    try:
        weights = await engine.weights(rule.model_id, rule.task)
        found = await asyncio.to_thread(_parts, snapshot, rule, weights)
        if len(found) > min(MOST, most):
            yield Nothing("too-large", f"{rule.name}: {len(found):,} texts; up to {MOST:,} are compared.")
            return
        await _embed(engine, vectors, rule, [part for _, part in found])
        pairs = await asyncio.to_thread(_pairs, [vectors[part.key] for _, part in found], rule.threshold)
    except InklingError as error:
        yield Nothing(error.reason, f"{rule.name}: {error.message} {error.hint}".rstrip())
        return
    for second, first, score in pairs[: rule.max_results]:
        line = found[first][0].start.line + 1
        if (level := rule.level("similar")) != "off":
            yield Diagnostic(
                found[second][0],
                f"Nearly the same as line {line} ({score:.0%})",
                SEVERITIES[level],
                rule.code or f"{rule.name}/similar",
                rule.href,
                {"rule": rule.name, "label": "similar", "score": round(score, 4), "model": rule.model_id},
                related=(Related(found[first][0], "This one."),),
            )


def _parts(snapshot: Snapshot, rule: Rule, weights: str) -> list[tuple[Range, Part]]:
    return [
        (snapshot.range(*segment.to_document(part.start, part.end)), part)
        for segment in places_in(snapshot, rule)
        for part in parts_of(segment, rule, weights)
    ]


async def _embed(engine: Engine, vectors: Vectors, rule: Rule, parts: list[Part]) -> None:
    for part in parts:
        if part.key in vectors:
            vectors.move_to_end(part.key)
    missing = list({part.key: part.text for part in parts if part.key not in vectors}.items())
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        made = await engine.embed([text for _, text in batch], model=rule.model_id, priority=Priority.BACKGROUND)
        for (key, _), vector in zip(batch, made, strict=True):
            vectors[key] = vector
    while len(vectors) > _KEPT:
        vectors.popitem(last=False)


def _pairs(vectors: list[list[float]], threshold: float) -> list[tuple[int, int, float]]:
    """(text, the earlier text most like it, cosine) for texts that resemble an earlier one; vectors are of length 1."""
    pairs = []
    for second, vector in enumerate(vectors):
        best, score = -1, threshold
        for first in range(second):
            cosine = sum(map(mul, vector, vectors[first]))
            if cosine >= score:
                best, score = first, cosine
        if best >= 0:
            pairs.append((second, best, min(1.0, score)))
    return pairs
