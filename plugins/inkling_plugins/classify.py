"""Text classification as diagnostics: every sentence of prose, comments, docstrings and commit messages is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
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
    SegmentKind,
    Severity,
    Snapshot,
    command,
    diagnostics,
    segments,
    sentences,
)
from inkling_plugins.ignores import Ignores, ignore_edit, without_directives
from inkling_plugins.label_cache import LabelCache, label_key

_LARGE = 2_000
"""Characters from which a document is parsed off the event loop."""
_BATCH = 64
_STEP = 0.025
_NONE = Label("", 0.0)
_SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "information": Severity.INFORMATION,
    "hint": Severity.HINT,
}
Level = Literal["error", "warning", "information", "hint", "off"]
Kind = Literal["comment", "docstring", "paragraph", "heading", "list_item", "commit_message", "string"]
_USUAL: dict[str, Level] = {"hostile": "warning", "neutral": "off", "constructive": "off"}
"""Of the starter model's labels."""


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

    settings: Settings

    async def start(self) -> None:
        """Begin with nothing remembered."""
        self._cache = LabelCache()

    @diagnostics
    async def check(self, snapshot: Snapshot) -> AsyncIterator[Diagnostic | Nothing]:
        """The diagnostics of a document. Only sentences not seen before reach the model, in batches."""
        settings = self.settings
        if not settings.enabled:
            yield Nothing("disabled", "[classify] enabled = false.")
            return
        if not settings.languages.get(snapshot.language, settings.languages.get("*", True)):
            yield Nothing("language-off", "This language is off in [classify] languages.")
            return
        if len(snapshot) < _LARGE:
            found, ignores = _read(snapshot, settings)
        else:
            found, ignores = await asyncio.to_thread(_read, snapshot, settings)
        if len(found) > settings.max_sentences:
            yield Nothing(
                "too-large", f"{len(found):,} sentences; [classify] max_sentences is {settings.max_sentences:,}."
            )
            return
        labels = await self._labels(found, settings.model)
        for sentence, scored in zip(found, labels, strict=True):
            shown = self._shown(scored, settings)
            if shown is not None and not ignores.cover(sentence.origin, sentence.start, shown.label):
                yield self._diagnostic(snapshot, sentence, shown, settings)

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

    async def _labels(self, sentences: list[_Sentence], model: str) -> list[Label]:
        """The best label of each sentence, from memory or from the model."""
        labels = {sentence.key: self._cache.get(sentence.key) for sentence in sentences}
        missing = {sentence.key: sentence.text for sentence in sentences if labels[sentence.key] is None}
        keys = list(missing)
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            answers = await self.engine.classify([missing[key] for key in batch], model=model, top_k=1)
            for key, scored in zip(batch, answers, strict=True):
                labels[key] = scored[0]
                self._cache.put(key, scored[0])
        return [labels[sentence.key] or _NONE for sentence in sentences]

    def _shown(self, label: Label, settings: Settings) -> Label | None:
        off = not label.label or label.label in settings.ignore_labels or _level(label.label, settings) == "off"
        return None if off or label.score < settings.thresholds.get(label.label, settings.threshold) else label

    def _diagnostic(self, snapshot: Snapshot, sentence: _Sentence, label: Label, settings: Settings) -> Diagnostic:
        words = settings.messages.get(label.label, f"Reads as {label.label}")
        level = _level(label.label, settings)
        return Diagnostic(
            snapshot.range(sentence.start, sentence.end),
            f"{words} ({label.score:.0%})",
            _SEVERITIES.get(level, Severity.INFORMATION),
            label.label,
            data={"score": round(label.score, 4), "model": settings.model},
            fixes=tuple(_fixes(snapshot, sentence, label)),
        )


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence's span in the document, its text as the model reads it, its key in the cache, and its segment."""

    start: int
    end: int
    text: str
    key: bytes
    origin: Segment


def _read(snapshot: Snapshot, settings: Classify.Settings) -> tuple[list[_Sentence], Ignores]:
    """The sentences worth reading, in document order, and the ignore comments."""
    found: dict[tuple[int, int], _Sentence] = {}  # kinds overlap: a commit message also has paragraphs
    for segment in segments(snapshot, tuple(SegmentKind(kind) for kind in settings.on)):
        for sentence in sentences(without_directives(segment)):
            words = sentence.text.split()
            if len(words) >= settings.min_words and any(character.isalpha() for character in sentence.text):
                span, text = (sentence.start, sentence.end), " ".join(words)
                found.setdefault(span, _Sentence(*span, text, label_key(settings.model, text), segment))
    return sorted(found.values(), key=lambda sentence: sentence.start), Ignores(snapshot)


def _level(label: str, settings: Classify.Settings) -> str:
    return settings.severities.get(label) or _USUAL.get(label) or settings.severity


def _fixes(snapshot: Snapshot, sentence: _Sentence, label: Label) -> list[Action]:
    actions = []
    edit: Edit | None = ignore_edit(snapshot, sentence.origin, sentence.start, label.label)
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
