"""Near-duplicates: texts of a document whose embeddings point the same way (task `feature-extraction`)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from inkling.api import Action, Diagnostic, Engine, InklingError, Nothing, Priority, Related, Segment, Snapshot
from inkling_plugins.ignores import Ignores, ignore_edit
from inkling_plugins.rules.baseline import fingerprint
from inkling_plugins.rules.judge import Finding, Mark, placed
from inkling_plugins.rules.linter import Result
from inkling_plugins.rules.present import SEVERITIES, flood
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.units import Part, parts_of, places_in

MOST = 1_000
"""Texts compared in one document: each with every other."""
LABEL = "similar"
_BATCH = 64
_KEPT = 20_000
_KEPT_PAIRS = 32

Pair = tuple[int, int, float]
"""A text, the earlier text most like it, and their cosine."""


@dataclass
class Twins(Result):
    """A `Result` that also knows, by a finding's span, the span of the earlier text."""

    firsts: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)


class Similar:
    """Vectors by `unit_key`, and the pairs of documents compared last; the oldest are forgotten."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[bytes, Sequence[float]] = OrderedDict()
        self._pairs: OrderedDict[tuple[float, tuple[bytes, ...]], list[Pair]] = OrderedDict()

    async def check(self, engine: Engine, rule: Rule, snapshot: Snapshot, most: int, *, ask: bool = True) -> Twins:
        """Texts that an earlier one resembles by at least the rule's threshold; without `ask` no model is asked."""
        result = Twins(rule)
        try:
            weights = await engine.weights(rule.model_id, rule.task)
            texts = await asyncio.to_thread(_texts, snapshot, rule, weights)
            if len(texts) > min(MOST, most):
                words = f"{rule.name}: {len(texts):,} texts; up to {min(MOST, most):,} are compared."
                result.reasons.append(Nothing("too-large", words))
                return result
            pairs = await self._compare(engine, rule, [part for _, part in texts], ask)
        except InklingError as error:
            result.reasons.append(Nothing(error.reason, f"{rule.placed_name}: {error.message} {error.hint}".rstrip()))
            return result
        if not pairs or rule.level(LABEL) == "off":
            return result
        ignores = Ignores(snapshot)
        found: list[Finding] = []
        for second, first, score in pairs:
            origin, part = texts[second]
            finding = placed(rule, origin, Mark(LABEL, score, part.start, part.end, part, {}))
            names = (LABEL, rule.name, f"{rule.name}/{LABEL}")
            if not any(ignores.cover(origin, finding.start, name) for name in names):
                found.append(finding)
                earlier, its = texts[first]
                result.firsts[finding.start, finding.end] = earlier.to_document(its.start, its.end)
        result.findings = found
        return result

    async def _compare(self, engine: Engine, rule: Rule, parts: Sequence[Part], ask: bool) -> list[Pair]:
        key = (rule.threshold, tuple(part.key for part in parts))
        if key in self._pairs:
            self._pairs.move_to_end(key)
            return self._pairs[key]
        missing = {part.key: part.text for part in parts if part.key not in self._vectors}
        if missing and not ask:
            return []
        vectors = {part.key: self._vectors[part.key] for part in parts if part.key not in missing}
        self._remember(vectors)
        todo = list(missing)
        for start in range(0, len(todo), _BATCH):
            batch = todo[start : start + _BATCH]
            texts = [missing[one] for one in batch]
            made = await engine.embed(texts, model=rule.model_id, priority=Priority.BACKGROUND)
            if len(made) != len(batch):
                raise InklingError("bad-answer", f"{rule.model_id} gave {len(made)} vectors for {len(batch)} texts.")
            vectors.update(zip(batch, made, strict=True))
            self._remember(vectors)
        pairs = await asyncio.to_thread(_pairs, [vectors[part.key] for part in parts], rule.threshold)
        self._pairs[key] = pairs
        while len(self._pairs) > _KEPT_PAIRS:
            self._pairs.popitem(last=False)
        return pairs

    def _remember(self, vectors: Mapping[bytes, Sequence[float]]) -> None:
        for key, vector in vectors.items():
            self._vectors[key] = vector
            self._vectors.move_to_end(key)
        while len(self._vectors) > _KEPT:
            self._vectors.popitem(last=False)


def diagnostics(
    snapshot: Snapshot, result: Twins, findings: Sequence[Finding], show_all: bool = False
) -> Iterator[Diagnostic]:
    """A diagnostic on each of these findings of the result, with the earlier text beside it; the rest are counted."""
    rule = result.rule
    shown = findings if show_all else findings[: rule.max_results]
    for finding in shown:
        level = rule.level(LABEL)
        first = snapshot.range(*result.firsts[finding.start, finding.end])
        ignore = ignore_edit(snapshot, finding.origin, finding.start, f"{rule.name}/{LABEL}")
        title = f'Ignore "{rule.name}/{LABEL}" here'
        score = finding.mark.score
        if level != "off":
            yield Diagnostic(
                snapshot.range(finding.start, finding.end),
                f"Nearly the same as line {first.start.line + 1} ({score:.0%})",
                SEVERITIES[level],
                rule.code or f"{rule.name}/{LABEL}",
                rule.href,
                {
                    "rule": rule.name,
                    "label": LABEL,
                    "score": round(score, 4),
                    "model": rule.model_id,
                    "fingerprint": fingerprint(finding),
                },
                fixes=(Action(title, "quickfix", edits=(ignore,)),) if ignore is not None else (),
                related=(Related(first, "This one."),),
            )
    if hidden := findings[len(shown) :]:
        yield flood(snapshot, rule, hidden[0], {LABEL: len(hidden)})


def _texts(snapshot: Snapshot, rule: Rule, weights: str) -> list[tuple[Segment, Part]]:
    return [(segment, part) for segment in places_in(snapshot, rule) for part in parts_of(segment, rule, weights)]


def _pairs(vectors: Sequence[Sequence[float]], threshold: float) -> list[Pair]:
    """Texts that resemble an earlier one; vectors are of length 1."""
    if len(vectors) < 2:
        return []
    import numpy as np

    matrix = np.asarray(vectors, np.float32)
    cosines = matrix @ matrix.T
    cosines[np.triu_indices(len(vectors))] = -2.0  # a text is compared with those before it
    best = cosines.argmax(axis=1)
    scores = cosines[np.arange(len(vectors)), best]
    seconds = np.flatnonzero(scores >= threshold - 1e-6)  # the products are of single precision
    return [(int(n), int(best[n]), min(1.0, float(scores[n]))) for n in seconds if n > 0]
