"""Which documents a user's own rule reads in place of the table `[classify]`, so that no sentence is marked twice.

The plugins `rules` and `classify` are two faces of one reader. Each `Rules` is known here while it works;
those of other workspaces in the same process are told apart by their folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


holders: WeakSet[Holder] = WeakSet()


def rule_in_place_of(built_in: Rule, snapshot: Snapshot, folders: Sequence[Path]) -> Rule | None:
    """The active rule that marks what `built_in` would in this document: the same task, model, surface and texts."""
    language = snapshot.language
    for holder in list(holders):
        for rule in holder.rules_in(folders):
            same = (rule.task, rule.model_id, rule.surface) == (built_in.task, built_in.model_id, built_in.surface)
            if (
                same
                and rule.when != "demand"
                and _kinds(rule, language) & _kinds(built_in, language)
                and why_not(rule, snapshot) is None
            ):
                return rule
    return None


def _kinds(rule: Rule, language: str) -> set[SegmentKind]:
    return {kind for place in rule.reads.of(language) for kind in place.kinds}
