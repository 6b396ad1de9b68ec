"""One document under its rules: what is found, what is still being read, and why nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from inkling.api import Engine, InklingError, Label, Nothing, Position, Range, Segment, SegmentKind, Snapshot
from inkling_plugins.globs import matches
from inkling_plugins.ignores import Ignores
from inkling_plugins.rules.judge import Finding, Mark, marks, placed
from inkling_plugins.rules.reader import Owner, Reader
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.store import Store
from inkling_plugins.rules.units import Part, parts_of, places_in

T = TypeVar("T")
LARGE = 2_000
"""Characters from which a document is parsed off the event loop."""

Memo = dict[tuple[SegmentKind, str], tuple[tuple[Part, ...], tuple[Mark, ...] | None]]
"""By kind and text of a segment: its units, and its marks once all of them have been read."""


@dataclass
class Result:
    """What one rule gave in one document: findings in document order, and reasons for what is missing."""

    rule: Rule
    findings: list[Finding] = field(default_factory=list)
    reasons: list[Nothing] = field(default_factory=list)


def why_not(rule: Rule, snapshot: Snapshot) -> Nothing | None:
    """Why a rule says nothing in this document whatever is in it."""
    if not rule.enabled:
        return Nothing("disabled", f"{rule.name}: enabled = false, in {rule.origin}.")
    if rule.reads.globs and not matches(snapshot.uri, rule.reads.globs):
        return Nothing("other-files", f"{rule.name}: `on` names other files.")
    if not rule.reads.of(snapshot.language):
        return Nothing("other-languages", f"{rule.name}: `on` names no text of {snapshot.language}.")
    return None


class Linter:
    """Rules on documents. `heard(uri)` is called when more is known of a document than was said."""

    def __init__(self, engine: Callable[[], Engine], store: Store, heard: Callable[[Owner, bool], None]) -> None:
        self.reader = Reader(engine, store, heard)
        self._engine = engine
        self._store = store
        self._memos: dict[Owner, tuple[Rule, str, Memo]] = {}
        self._near: dict[str, Position] = {}
        self._labels: dict[tuple[tuple[object, ...], str], tuple[str, ...]] = {}
        self.demanded: set[Owner] = set()

    def look(self, uri: str, position: Position) -> None:
        """The user looks here: what is near is read first."""
        self._near[uri] = position

    def keep(self, uris: Collection[str]) -> None:
        """Forget all documents but these. What somebody waits for is read all the same, and then forgotten too."""
        for uri in [uri for uri in self._near if uri not in uris]:
            del self._near[uri]
        for owner in [owner for owner in self._memos if owner[0] not in uris]:
            del self._memos[owner]
        self.demanded -= {owner for owner in self.demanded if owner[0] not in uris}

    async def places(self, snapshot: Snapshot, rule: Rule) -> list[Range]:
        """Where the rule's texts are. Raises InklingError `bad-query`."""
        segments = await _off_loop(snapshot, lambda: places_in(snapshot, rule))
        return [snapshot.range(segment.start, segment.end) for segment in segments]

    async def check(self, snapshot: Snapshot, rule: Rule, patience_s: float, most: int, *, ask: bool = True) -> Result:
        """A rule's findings. What is not read within `patience_s` is read on behind; without `ask` no model is."""
        result = Result(rule)
        try:
            segments = await _off_loop(snapshot, lambda: places_in(snapshot, rule))
            weights = await self._engine().weights(rule.model_id, rule.task)
            memo = await _off_loop(snapshot, lambda: self._memo(snapshot.uri, rule, weights, segments))
            count = sum(len(parts) for parts, _ in memo.values())
            if count > most:
                words = f"{rule.name}: {count:,} texts to read, of at most {most:,}."
                result.reasons.append(Nothing("too-large", words))
                return result
            missing = self._missing(snapshot, segments, memo)
            if missing and ask:
                await self._ask_labels(rule, weights)
            self._check_labels(rule, weights, memo)
            if missing and ask:
                left = await self.reader.read((snapshot.uri, rule.name), rule, missing, patience_s)
                if left:
                    words = f"{rule.name}: {left:,} of {count:,} texts are still being read."
                    result.reasons.append(Nothing("still-reading", words))
            elif not missing:
                self.reader.forget((snapshot.uri, rule.name))
        except InklingError as error:
            result.reasons.append(Nothing(error.reason, f"{rule.name}: {error.message} {error.hint}".rstrip()))
            return result
        result.findings = await _off_loop(snapshot, lambda: self._findings(snapshot, rule, segments, memo))
        return result

    def _memo(self, uri: str, rule: Rule, weights: str, segments: Sequence[Segment]) -> Memo:
        """The units of every segment; those of a segment that was here before are as they were."""
        owner = (uri, rule.name)
        old_rule, old_weights, old = self._memos.get(owner, (rule, weights, {}))
        if (old_rule, old_weights) != (rule, weights):
            old = {}
        memo: Memo = {}
        for segment in segments:
            key = (segment.kind, segment.text)
            if key not in memo:
                memo[key] = old.get(key) or (parts_of(segment, rule, weights), None)
        self._memos[owner] = (rule, weights, memo)
        return memo

    def _missing(self, snapshot: Snapshot, segments: Sequence[Segment], memo: Memo) -> Mapping[bytes, str]:
        """The texts that nobody has read, those nearest to where the user looks first."""
        unread: list[tuple[int, Part]] = []
        for segment in segments:
            parts, known = memo[(segment.kind, segment.text)]
            if known is None:
                unread += [(segment.start, part) for part in parts if self._store.get(part.key) is None]
        if not unread:
            return {}
        near = self._near.get(snapshot.uri)
        if near is not None:
            place = snapshot.offset(near)
            unread.sort(key=lambda item: abs(item[0] + item[1].start - place))
        return {part.key: part.text for _, part in unread}

    def _findings(self, snapshot: Snapshot, rule: Rule, segments: Iterable[Segment], memo: Memo) -> list[Finding]:
        found: list[Finding] = []
        for segment in segments:
            key = (segment.kind, segment.text)
            parts, known = memo[key]
            if known is None:
                readings = [(part, self._store.get(part.key)) for part in parts]
                known = tuple(mark for part, reading in readings if reading for mark in marks(rule, part, reading))
                if all(reading is not None for _, reading in readings):
                    memo[key] = (parts, known)
            found += [placed(rule, segment, mark) for mark in known]
        if not found:
            return []
        ignores = Ignores(snapshot)
        seen: set[tuple[int, int, str]] = set()
        kept = []
        for finding in found:
            place = (finding.start, finding.end, finding.mark.label)
            names = (finding.mark.label, rule.name, f"{rule.name}/{finding.mark.label}")
            if place not in seen and not any(ignores.cover(finding.origin, finding.start, name) for name in names):
                seen.add(place)
                kept.append(finding)
        return kept

    async def _ask_labels(self, rule: Rule, weights: str) -> None:
        """Learn which labels a rule's model has, once, and only where the rule names some."""
        if (rule.job, weights) not in self._labels and rule.task != "zero-shot-classification" and rule.named_labels:
            state = await self._engine().load(rule.model_id, rule.task)
            self._labels[rule.job, weights] = tuple(dict.fromkeys(_bare(label) for label in state.labels))

    def _check_labels(self, rule: Rule, weights: str, memo: Memo) -> None:
        """Raises InklingError when a rule names labels that its model does not have.

        Where all has been read before, what was read tells the labels: no model need be loaded for that.
        """
        if rule.task == "zero-shot-classification" or not rule.named_labels:
            return
        known = self._labels.get((rule.job, weights)) or self._labels_read(memo)
        strange = [label for label in rule.named_labels if label not in known]
        if known and strange:
            names = ", ".join(f'"{label}"' for label in strange)
            raise InklingError(
                "unknown-label",
                f"{rule.model_id} has no label {names}. Its labels: {', '.join(known)}.",
                f"Name those in the rule ({rule.origin}).",
            )

    def _labels_read(self, memo: Memo) -> tuple[str, ...]:
        part = next((parts[0] for parts, _ in memo.values() if parts), None)
        reading = self._store.get(part.key) if part is not None else None
        return tuple(item.label for item in reading or () if isinstance(item, Label))


async def _off_loop(snapshot: Snapshot, work: Callable[[], T]) -> T:
    return work() if len(snapshot) < LARGE else await asyncio.to_thread(work)


def _bare(label: str) -> str:
    """A token label without the mark of its place in a span."""
    return label[2:] if label[:2] in ("B-", "I-", "E-", "S-", "L-", "U-") else label
