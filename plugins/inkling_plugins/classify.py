"""Text classification as diagnostics: every sentence of prose, comments, docstrings and commit messages is read.

The simple face of rules: the table `[classify]` is one of them, and is read and remembered as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inkling.api import (
    Action,
    Diagnostic,
    Edit,
    InklingError,
    Label,
    Nothing,
    Plugin,
    Range,
    Segment,
    Snapshot,
    command,
    diagnostics,
)
from inkling_plugins.ignores import ignore_edit
from inkling_plugins.rules.baseline import fingerprint
from inkling_plugins.rules.in_place import faces, rule_in_place_of
from inkling_plugins.rules.judge import Finding
from inkling_plugins.rules.linter import Linter
from inkling_plugins.rules.news import News
from inkling_plugins.rules.present import severity
from inkling_plugins.rules.reader import Owner
from inkling_plugins.rules.rule import USUAL, Level, Rule
from inkling_plugins.rules.store import Store, readings_folder

PATIENCE_S = 1.0
"""How long, from the first answer on, marks wait for all sentences; then they come piece by piece."""
_STEP = 0.025
Kind = Literal["comment", "docstring", "paragraph", "heading", "list_item", "commit_message", "string"]


class Classify(Plugin):
    """A text-classification model as a linter of prose."""

    name = "classify"

    @dataclass(frozen=True)
    class Settings:
        """The table `[classify]`."""

        enabled: bool = True
        """Mark sentences by their label."""
        model: str = field(default="starter:tone", metadata={"scope": "model"})
        """A text-classification model."""
        on: tuple[Kind, ...] = ("comment", "docstring", "paragraph", "list_item", "commit_message")
        """The kinds of text that are read."""
        languages: Mapping[str, bool] = field(default_factory=lambda: {"*": True})
        """On or off by language id; `*` is all others."""
        severity: Level = "information"
        """How a label shows that `severities` does not name."""
        severities: Mapping[str, Level] = field(default_factory=dict)
        """How each label shows; off hides it, as `neutral` and `constructive` are unless they are named here."""
        threshold: float = field(default=0.7, metadata={"min": 0.0, "max": 1.0})
        """The least score that shows."""
        thresholds: Mapping[str, float] = field(default_factory=dict, metadata={"min": 0.0, "max": 1.0})
        """The least score that shows, by label."""
        ignore_labels: tuple[str, ...] = field(default=(), metadata={"merge": "append"})
        """Labels that never show."""
        messages: Mapping[str, str] = field(default_factory=dict)
        """What to say for a label, in place of "Reads as …"."""
        min_words: int = field(default=3, metadata={"min": 1})
        """Shorter sentences are not read."""
        max_sentences: int = field(default=5000, metadata={"min": 1})
        """Documents with more are left alone."""

        def reads(self, language: str) -> bool:
            """Whether a language is on."""
            return self.languages.get(language, self.languages.get("*", True))

    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        faces.add(self)

    def built_in_for(self, folders: Sequence[Path], language: str | None = None) -> Rule | None:
        """The rule that the table is, if it is on (in this language, if one is given) and works for these folders."""
        editor = getattr(self, "editor", None)  # none yet where it was made and not loaded
        here = editor is not None and tuple(editor.workspace_folders()) == tuple(folders)
        on = here and self.settings.enabled and (language is None or self.settings.reads(language))
        return _rule(self.settings) if on else None

    async def start(self) -> None:
        """Begin with what the disk remembers."""
        self._news = News()
        self._linter = Linter(lambda: self.engine, Store(readings_folder(self.editor)), self._heard)

    async def stop(self) -> None:
        """Write what is fresh."""
        faces.discard(self)
        await self._linter.reader.stop()

    @diagnostics
    async def check(self, snapshot: Snapshot) -> AsyncIterator[Diagnostic | Nothing]:
        """The diagnostics of a document. Only sentences not seen before reach the model, in batches."""
        settings = self.settings
        if not settings.enabled:
            yield Nothing("disabled", "[classify] enabled = false.")
            return
        if not settings.reads(snapshot.language):
            yield Nothing("language-off", "This language is off in [classify] languages.")
            return
        built_in = _rule(settings)
        rule = rule_in_place_of(built_in, snapshot, self.editor.workspace_folders())
        if rule is not None:
            yield Nothing(
                "rule-instead", f"The rule {rule.name} reads this with the same model, so [classify] does not."
            )
            return
        open_now = {document.uri for document in self.editor.documents()} | {snapshot.uri}
        self._linter.keep(open_now)
        self._news.keep(open_now)
        result = await self._linter.check(snapshot, built_in, PATIENCE_S, settings.max_sentences)
        for reason in result.reasons:
            if reason.reason == "too-large":
                reason = Nothing("too-large", f"More than [classify] max_sentences = {settings.max_sentences:,}.")
            yield reason
        for finding in result.findings:
            yield self._diagnostic(snapshot, finding)

    @command("classify.ignore_label", "Ignore a label in this workspace")
    async def ignore_label(self, snapshot: Snapshot | None, range: Range | None, *, label: str = "", **_: Any) -> str:
        """Add `label` to `[classify] ignore_labels`."""
        if not label:
            raise InklingError("no-label", "No label was given.", "Use the quick fix of a diagnostic.")
        await self.editor.change_setting("classify.ignore_labels", [label])
        return f'"{label}" no longer shows in this workspace.'

    @command("classify.raise_threshold", "Raise a label's threshold in this workspace")
    async def raise_threshold(
        self, snapshot: Snapshot | None, range: Range | None, *, label: str = "", threshold: float = 0.0, **_: Any
    ) -> str:
        """Set `[classify.thresholds]` for `label` to `threshold`."""
        if not label or not 0 < threshold <= 1:
            raise InklingError("no-label", "A label and a threshold up to 1 are needed.", "Use the quick fix.")
        await self.editor.change_setting(f"classify.thresholds.{label}", threshold)
        return f'"{label}" now shows from {threshold:.2f} on.'

    def _heard(self, owner: Owner, done: bool) -> None:
        if self._news.due(owner[0], done):
            self.editor.refresh("diagnostics")

    def _diagnostic(self, snapshot: Snapshot, finding: Finding) -> Diagnostic:
        settings, mark = self.settings, finding.mark
        words = settings.messages.get(mark.label, f"Reads as {mark.label}")
        return Diagnostic(
            snapshot.range(finding.start, finding.end),
            f"{words} ({mark.score:.0%})",
            severity(finding),
            mark.label,
            data={"score": round(mark.score, 4), "model": settings.model, "fingerprint": fingerprint(finding)},
            fixes=tuple(_fixes(snapshot, finding.origin, finding.start, Label(mark.label, mark.score))),
        )


class _BuiltIn(Rule):
    """The rule that the table `[classify]` stands for."""

    @property
    def named_labels(self) -> list[str]:
        """None that its model must have: the usual ones are the starter's."""
        return []


def _rule(settings: Classify.Settings) -> Rule:
    off: dict[str, Level] = dict.fromkeys(settings.ignore_labels, "off")
    return _BuiltIn(
        name="classify",
        model=settings.model,
        on=settings.on,
        unit="sentence",
        labels={
            **USUAL["starter:tone"],
            **USUAL.get(settings.model, {}),
            **settings.severities,
            **off,
            "*": settings.severity,
        },
        threshold=settings.threshold,
        thresholds=settings.thresholds,
        min_words=settings.min_words,
    )


def _fixes(snapshot: Snapshot, origin: Segment, start: int, label: Label) -> list[Action]:
    actions = []
    edit: Edit | None = ignore_edit(snapshot, origin, start, label.label)
    if edit is not None:
        actions.append(Action(f'Ignore "{label.label}" here', "quickfix", edits=(edit,)))
    actions.append(
        Action(
            f'Ignore "{label.label}" in this workspace',
            "quickfix",
            command="classify.ignore_label",
            arguments={"label": label.label},
        )
    )
    higher = round(label.score + _STEP, 2)
    if higher < 1 and "." not in label.label:  # a dot would be taken for a table in the setting's name
        actions.append(
            Action(
                f'Raise the threshold of "{label.label}" to {higher:.2f}',
                "quickfix",
                command="classify.raise_threshold",
                arguments={"label": label.label, "threshold": higher},
            )
        )
    return actions
