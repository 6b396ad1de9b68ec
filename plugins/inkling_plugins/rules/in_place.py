"""Which documents a user's own rule reads in place of the table `[classify]`, so that no sentence is marked twice.

The plugins `rules` and `classify` are two faces of one reader. Each `Rules` is known here while it works;
those of other workspaces in the same process are told apart by their folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from inkling.api import SegmentKind, Snapshot
from inkling_plugins.rules.linter import why_not
from inkling_plugins.rules.rule import Rule


class Holder(Protocol):
    """Who has rules: the plugin `rules`."""

    def rules_in(self, folders: Sequence[Path]) -> Iterable[Rule]:
        """Its active rules, if it works for these folders."""
        ...


class Face(Protocol):
    """Who has a table that is a rule: the plugin `classify`."""

    def built_in_for(self, folders: Sequence[Path], language: str | None = None) -> Rule | None:
        """The rule that its table is, if it is on (in this language, if one is given) and works for these folders."""
        ...


holders: WeakSet[Holder] = WeakSet()
faces: WeakSet[Face] = WeakSet()


def rule_in_place_of(built_in: Rule, snapshot: Snapshot | None, folders: Sequence[Path]) -> Rule | None:
    """The active rule that marks what `built_in` would in this document: the same task, model, surface and texts.

    Without a document, the first that does so in some.
    """
    language = None if snapshot is None else snapshot.language
    for holder in list(holders):
        for rule in holder.rules_in(folders):
            same = (rule.task, rule.model_id, rule.surface) == (built_in.task, built_in.model_id, built_in.surface)
            if (
                same
                and rule.when != "demand"
                and _kinds(rule, language) & _kinds(built_in, language)
                and (snapshot is None or why_not(rule, snapshot) is None)
            ):
                return rule
    return None


def tables(snapshot: Snapshot | None, folders: Sequence[Path]) -> Iterator[tuple[Rule, Rule | None]]:
    """The rules that tables are, each with the rule that reads in its place, if one does."""
    language = None if snapshot is None else snapshot.language
    found = {rule.name: rule for face in list(faces) if (rule := face.built_in_for(folders, language)) is not None}
    for built_in in found.values():
        yield built_in, rule_in_place_of(built_in, snapshot, folders)


def _kinds(rule: Rule, language: str | None) -> set[SegmentKind]:
    places = rule.reads.places if language is None else rule.reads.of(language)
    return {kind for place in places for kind in place.kinds}
