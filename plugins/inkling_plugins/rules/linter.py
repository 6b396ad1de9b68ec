"""One document under its rules: what is found, what is still being read, and why nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from inkling.api import (
    Engine,
    InklingError,
    Label,
    Nothing,
    Position,
    Range,
    Segment,
    Snapshot,
    segments_are_near,
)
from inkling_plugins.globs import matches
from inkling_plugins.ignores import Ignores, may_ignore
from inkling_plugins.rules.findings import Chosen, Findings, Ranking
from inkling_plugins.rules.judge import Finding, Mark
from inkling_plugins.rules.reader import Owner, Reader
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.sheet import Note, Sheet
from inkling_plugins.rules.store import Store
from inkling_plugins.rules.units import labels_key, places_in

T = TypeVar("T")
LARGE = 2_000
"""Characters from which a document is parsed off the event loop."""
FEW = 8
"""Segments not read yet up to which the rest of a document is made ready while the model reads them."""
SENT_S = 0.002
"""What it takes a question to be on its way to the engine."""


@dataclass
class Result:
    """What one rule gave in one document: findings in document order, and reasons for what is missing."""

    rule: Rule
    findings: Sequence[Finding] = ()
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
        self._sheets: dict[Owner, Sheet] = {}
        self._rankings: dict[Owner, tuple[tuple[Rule, str], Ranking]] = {}
        self._near: dict[str, Position] = {}
        self.demanded: set[Owner] = set()

    def look(self, uri: str, position: Position) -> None:
        """The user looks here: what is near is read first."""
        self._near[uri] = position

    def keep(self, uris: Collection[str]) -> None:
        """Forget all documents but these. What somebody waits for is read all the same, and then forgotten too."""
        for uri in [uri for uri in self._near if uri not in uris]:
            del self._near[uri]
        for owner in [owner for owner in self._sheets if owner[0] not in uris]:
            del self._sheets[owner]
            self._rankings.pop(owner, None)
        self.demanded -= {owner for owner in self.demanded if owner[0] not in uris}

    async def places(self, snapshot: Snapshot, rule: Rule) -> list[Range]:
        """Where the rule's texts are. Raises InklingError `bad-query`."""
        segments = await _off_loop(snapshot, lambda: places_in(snapshot, rule))
        return [snapshot.range(segment.start, segment.end) for segment in segments]

    async def check(
        self,
        snapshot: Snapshot,
        rule: Rule,
        patience_s: float,
        most: int,
        *,
        ask: bool = True,
        meanwhile: Callable[[Findings], None] = lambda findings: None,
    ) -> Result:
        """A rule's findings. What is not read within `patience_s` is read on behind; without `ask` no model is.

        `meanwhile` is called while the model reads what an edit changed, with the findings in everything else.
        """
        result = Result(rule)
        try:
            weights = await self._engine().weights(rule.model_id, rule.task)
            sheet = await self._sheet(snapshot, rule, weights)
            count = sheet.units
            if count > most:
                words = f"{rule.name}: {count:,} texts to read, of at most {most:,}."
                result.reasons.append(Nothing("too-large", words))
                return result
            unread = list(sheet.unread())
            missing = self._missing(snapshot, unread)
            few = len(unread) <= FEW < len(sheet.notes)
            # what was typed just now is not on disk, as a rule; a look there would hold up the question to the model
            if ask and ((missing and not few) or self._strange_labels(rule, weights) != []):
                keys = [*missing, labels_key(rule, weights)]
                self._store.take_over(await asyncio.to_thread(self._store.look_up, keys))
                missing = {key: text for key, text in missing.items() if self._store.get(key) is None}
                await self._ask_labels(rule, weights)
            self._check_labels(rule, weights)
            if missing and ask:
                reading = self.reader.read((snapshot.uri, rule.name), rule, missing, patience_s)
                if few:
                    reading = self._beside(reading, lambda: meanwhile(self._findings(snapshot, sheet)))
                try:
                    left = await reading
                except InklingError:
                    self._store.take_over(await asyncio.to_thread(self._store.look_up, missing))
                    if any(self._store.get(key) is None for key in missing):
                        raise
                    left = 0
                if left:
                    words = f"{rule.name}: {left:,} of {count:,} texts are still being read."
                    result.reasons.append(Nothing("still-reading", words))
            elif not missing:
                self.reader.forget((snapshot.uri, rule.name))
        except InklingError as error:
            result.reasons.append(Nothing(error.reason, f"{rule.placed_name}: {error.message} {error.hint}".rstrip()))
            return result
        if len(unread) > FEW:
            await _off_loop(snapshot, lambda: [note.settle(rule, self._store.get) for _, note in unread])
        result.findings = self._findings(snapshot, sheet)
        return result

    async def _beside(self, reading: Coroutine[Any, Any, int], work: Callable[[], None]) -> int:
        """Read, and do some work as soon as the question is on its way."""
        task = asyncio.create_task(reading)
        try:
            await asyncio.wait({task}, timeout=SENT_S)
            if not task.done():
                work()
            return await task
        finally:
            task.cancel()

    async def _sheet(self, snapshot: Snapshot, rule: Rule, weights: str) -> Sheet:
        """The document's sheet, which shares what it can with the one before it. Raises InklingError `bad-query`."""
        owner = (snapshot.uri, rule.name)
        known = self._sheets.get(owner)
        old = known if known is not None and (known.rule, known.weights) == (rule, weights) else Sheet(rule, weights)

        def followed() -> Sheet:
            sheet = self._sheets[owner] = old.followed_by(places_in(snapshot, rule))
            return sheet

        near = old is known and rule.reads.whole_kinds(snapshot.language) and segments_are_near(snapshot)
        if near and old.lacks(places_in(snapshot, rule)) <= FEW:
            return followed()
        return await _off_loop(snapshot, followed)

    def _missing(self, snapshot: Snapshot, unread: Iterable[tuple[Segment, Note]]) -> Mapping[bytes, str]:
        """The texts that nobody has read, those nearest to where the user looks first."""
        texts = [
            (segment.start, part)
            for segment, note in unread
            for part in note.parts
            if self._store.get(part.key) is None
        ]
        near = self._near.get(snapshot.uri)
        if texts and near is not None:
            place = snapshot.offset(near)
            texts.sort(key=lambda item: abs(item[0] + item[1].start - place))
        return {part.key: part.text for _, part in texts}

    def _findings(self, snapshot: Snapshot, sheet: Sheet) -> Findings:
        """What has been found in a sheet so far, without what is ignored."""
        rule, get = sheet.rule, self._store.get
        found = [note.settle(rule, get) if note.marks is None else note.marks for note in sheet.notes]
        if may_ignore(snapshot) or not sheet.segments.apart:
            kept = _kept(snapshot, rule, sheet.segments, found)
            return Findings(rule, sheet.segments, kept)
        settled = [note for note in sheet.notes if note.marks is not None]
        if len(sheet.notes) - len(settled) > FEW:
            return Findings(rule, sheet.segments, found)
        return Findings(rule, sheet.segments, found, lambda most: self._ranking(snapshot.uri, sheet, settled, most))

    def _ranking(self, uri: str, sheet: Sheet, settled: Sequence[Note], most: int) -> Chosen:
        """The gravest findings, by a ranking that is kept from version to version."""
        owner, made_for = (uri, sheet.rule.name), (sheet.rule, sheet.weights)
        known, ranking = self._rankings.get(owner, (made_for, None))
        if ranking is None or known != made_for:
            ranking = Ranking(sheet.rule)
            self._rankings[owner] = made_for, ranking
        ranking.follow(settled)
        return ranking.choose(sheet, most)

    async def _ask_labels(self, rule: Rule, weights: str) -> None:
        """Learn which labels a rule's model has, where the rule names one that it is not known to have.

        That is once for these weights; a wrong label asks again, since a remote's model may have changed by its name.
        """
        if self._strange_labels(rule, weights) != []:
            state = await self._engine().load(rule.model_id, rule.task)
            labels = tuple(Label(label, 0.0) for label in dict.fromkeys(map(_bare, state.labels)))
            self._store.put(labels_key(rule, weights), labels)

    def _strange_labels(self, rule: Rule, weights: str) -> list[str] | None:
        """The labels that a rule names and its model has not; None while the model's are not known."""
        if rule.task == "zero-shot-classification" or not rule.named_labels:
            return []
        known = self._store.get(labels_key(rule, weights))
        if known is None:
            return None
        names = {label.label for label in known}
        return [label for label in rule.named_labels if label not in names] if names else []

    def _check_labels(self, rule: Rule, weights: str) -> None:
        """Raises InklingError when a rule names labels that its model is known not to have.

        They are kept beside what the model said: where all has been read before, no model need be loaded for them.
        """
        if strange := self._strange_labels(rule, weights):
            known = [label.label for label in self._store.get(labels_key(rule, weights)) or ()]
            names = ", ".join(f'"{label}"' for label in strange)
            raise InklingError(
                "unknown-label",
                f"{rule.model_id} has no label {names}. Its labels: {', '.join(known)}.",
                "Name those in the rule.",
            )


def _kept(
    snapshot: Snapshot, rule: Rule, segments: Sequence[Segment], found: Iterable[tuple[Mark, ...]]
) -> list[tuple[Mark, ...]]:
    """The marks that no comment ignores, each place and label once."""
    ignores = Ignores(snapshot)
    seen: set[tuple[int, int, str]] = set()

    def keeps(segment: Segment, mark: Mark) -> bool:
        start, end = segment.to_document(mark.start, mark.end)
        place = (start, end, mark.label)
        names = (mark.label, rule.name, f"{rule.name}/{mark.label}")
        if place in seen or any(ignores.cover(segment, start, name) for name in names):
            return False
        seen.add(place)
        return True

    return [
        tuple(mark for mark in marks if keeps(segments[at], mark)) if marks else () for at, marks in enumerate(found)
    ]


async def _off_loop(snapshot: Snapshot, work: Callable[[], T]) -> T:
    return work() if len(snapshot) < LARGE else await asyncio.to_thread(work)


def _bare(label: str) -> str:
    """A token label without the mark of its place in a span."""
    return label[2:] if label[:2] in ("B-", "I-", "E-", "S-", "L-", "U-") else label
