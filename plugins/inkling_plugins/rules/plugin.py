"""The plugin: every rule at the surface that it names."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inkling.api import (
    Action,
    CodeLens,
    Diagnostic,
    Edit,
    Hover,
    InklingError,
    InlayHint,
    Nothing,
    Plugin,
    Position,
    Range,
    SemanticToken,
    Snapshot,
    code_actions,
    code_lenses,
    command,
    diagnostics,
    hover,
    inlay_hints,
    resolver,
    semantic_tokens,
    uri_path,
)
from inkling_plugins.rules import present, similar
from inkling_plugins.rules.baseline import Baseline, fingerprint, load
from inkling_plugins.rules.feedback import note
from inkling_plugins.rules.findings import Findings, touching
from inkling_plugins.rules.fixes import is_key, redactions
from inkling_plugins.rules.in_place import holders, tables
from inkling_plugins.rules.judge import Finding
from inkling_plugins.rules.linter import Linter, Result, why_not
from inkling_plugins.rules.listing import listing, markdown, table_line
from inkling_plugins.rules.news import News
from inkling_plugins.rules.reader import Owner
from inkling_plugins.rules.rule import READS, Rule
from inkling_plugins.rules.runs import run
from inkling_plugins.rules.similar import Similar, Twins
from inkling_plugins.rules.store import Store, readings_folder
from inkling_plugins.rules.why import explain

_SURFACES = {
    "diagnostics": "diagnostics",
    "code-lens": "code_lenses",
    "inlay-hint": "inlay_hints",
    "semantic-tokens": "semantic_tokens",
}
"""Surfaces that are shown anew when more is known, and the host's names for them."""


class Rules(Plugin):
    """Any task on any surface, by `[[rule]]`."""

    name = "rules"

    @dataclass(frozen=True)
    class Settings:
        """The table `[rules]`, and the tables `[[rule]]`."""

        enabled: bool = True
        """Carry out rules at all."""
        rule: tuple[Rule, ...] = field(default=(), metadata={"top_level": True, "merge": "name"})
        """Any task of any model on any text at any surface: see docs/rules.md for its keys."""
        baseline: str = field(default="", metadata={"scope": "path"})
        """A file of findings that are known and not shown, as `inkling check --write-baseline` makes it."""
        patience: float = field(default=1.0, metadata={"min": 0.0, "max": 60.0})
        """Seconds from a model's first answer on that findings wait for all of a document; then they come in pieces."""
        max_texts: int = field(default=50_000, metadata={"min": 1})
        """Documents with more texts to read for a rule are left alone."""
        show_all: bool = False
        """Show findings beyond a rule's `max_results` too, as `inkling check` does."""
        remember: bool = True
        """Keep what models said on disk, by hash and without any text, so that it outlives the editor."""

    settings: Settings

    async def start(self) -> None:
        """Begin with what the disk remembers."""
        self._linter = Linter(
            lambda: self.engine, Store(readings_folder(self.editor) if self.settings.remember else None), self._heard
        )
        self._similar = Similar()
        self._drawn: dict[Owner, present.Drawn] = {}
        self._news = News()
        holders.add(self)
        self._baseline: tuple[tuple[Path, int] | None, Baseline] = (None, Baseline({}))

    async def stop(self) -> None:
        """Write what is fresh."""
        holders.discard(self)
        await self._linter.reader.stop()

    async def diagnostics_key(self) -> str:
        """The settings, the weights of the rules' models, and the baseline's time and size."""
        if not self.settings.remember:
            return ""
        weights = [await self.engine.weights(rule.model_id, rule.task) for rule in self._rules("diagnostics")]
        baseline: tuple[int, ...] = ()
        folders = self.editor.workspace_folders()
        if self.settings.baseline and folders:
            try:
                status = await asyncio.to_thread((folders[0] / self.settings.baseline).stat)
                baseline = (status.st_mtime_ns, status.st_size)
            except OSError:
                pass  # none yet
        return repr((self.settings, weights, baseline)) if all(weights) else ""

    # -- surfaces

    @diagnostics
    async def check(self, snapshot: Snapshot) -> AsyncIterator[Diagnostic | Nothing]:
        """Findings as squiggles, but for those of the baseline."""
        open_now = {document.uri for document in self.editor.documents()} | {snapshot.uri}
        self._linter.keep(open_now)
        self._news.keep(open_now)
        for owner in [owner for owner in self._drawn if owner[0] not in open_now]:
            del self._drawn[owner]
        rules = self._rules("diagnostics")
        known: Counter[str] = Counter()
        try:
            known = await self._known(snapshot) if rules else known
        except InklingError as error:
            yield Nothing(error.reason, f"{error.message} {error.hint}")
        for rule in rules:
            drawn = self._drawn.setdefault((snapshot.uri, rule.name), present.Drawn())
            draw = functools.partial(present.diagnostics, snapshot, rule, show_all=self.settings.show_all, drawn=drawn)
            ready = (lambda findings: None) if known else (lambda findings, draw=draw: deque(draw(findings), 0))
            result = await self._result(snapshot, rule, ready)
            for reason in result.reasons:
                yield reason
            findings = list(_fresh(result.findings, known)) if known else result.findings
            if isinstance(result, Twins):
                shown = similar.diagnostics(snapshot, result, findings, self.settings.show_all)
            else:
                shown = draw(findings)
            for diagnostic in shown:
                yield diagnostic

    @hover
    async def read(self, snapshot: Snapshot, position: Position) -> Hover | Nothing | None:
        """What rules say of the text under the cursor."""
        self._linter.look(snapshot.uri, position)
        offset = snapshot.offset(position)
        texts: list[str] = []
        place: Range | None = None
        missing: Nothing | None = None
        for rule in self._rules("hover"):
            result = await self._result(snapshot, rule)
            missing = next(iter(result.reasons), missing)
            found = touching(result.findings, offset, offset)
            if found:
                texts.append(present.hover_text(rule, found))
                place = place or snapshot.range(found[0].start, found[0].end)
        return Hover("\n\n".join(texts), place) if texts else missing

    @code_lenses
    async def lenses(self, snapshot: Snapshot) -> AsyncIterator[CodeLens | Nothing]:
        """Findings above their lines; for tasks that write, a line that carries the rule out."""
        for rule in self._rules("code-lens"):
            if rule.task in READS:
                result = await self._result(snapshot, rule)
                for reason in result.reasons:
                    yield reason
                for finding in result.findings[: rule.max_results]:
                    yield present.lens(snapshot, finding)
            elif why_not(rule, snapshot) is None:
                for place in (await self._linter.places(snapshot, rule))[: rule.max_results]:
                    yield CodeLens(place, rule.title or rule.name, "rules.run", {"rule": rule.name})

    @inlay_hints
    async def hints(self, snapshot: Snapshot, range: Range) -> AsyncIterator[InlayHint | Nothing]:
        """Labels after what they speak of."""
        self._linter.look(snapshot.uri, range.start)
        async for finding in self._within("inlay-hint", snapshot, range):
            yield present.hint(snapshot, finding) if isinstance(finding, Finding) else finding

    @semantic_tokens
    async def tokens_in(self, snapshot: Snapshot, range: Range) -> AsyncIterator[SemanticToken | Nothing]:
        """What was found, coloured."""
        async for finding in self._within("semantic-tokens", snapshot, range):
            yield present.token(snapshot, finding) if isinstance(finding, Finding) else finding

    @code_actions
    async def actions(self, snapshot: Snapshot, range: Range) -> AsyncIterator[Action]:
        """Rules that are carried out by choice."""
        self._linter.look(snapshot.uri, range.start)
        for rule in self._rules("code-action"):
            if why_not(rule, snapshot) is None and not (rule.reads.selection_only and range.is_empty):
                kind = "refactor.rewrite" if rule.output != "show" else "refactor"
                yield Action(rule.title or rule.name, kind, command="rules.run", arguments={"rule": rule.name})
        demands = [rule for rule in self._all() if rule.when == "demand" and rule.surface in _SURFACES]
        for rule in demands:
            if why_not(rule, snapshot) is None:
                yield Action(
                    f"Check for {rule.title or rule.name}", "source", command="rules.run", arguments={"rule": rule.name}
                )

    # -- commands

    @command("rules.run", "Run a rule")
    async def run(self, snapshot: Snapshot | None, range: Range | None, *, rule: str = "", **_: Any) -> str:
        """Carry out a rule; of several, the user chooses."""
        snapshot = _needed(snapshot)
        chosen = self._named(rule) if rule else await self._choose(snapshot)
        if chosen.when == "demand" and chosen.surface in _SURFACES:
            self._linter.demanded.add((snapshot.uri, chosen.name))
            result = await self._result(snapshot, chosen)
            self.editor.refresh(_SURFACES[chosen.surface])
            return f"{chosen.name}: {len(result.findings):,} findings."
        return await run(self.engine, self.editor, chosen, snapshot, range)

    @command("rules.why", "Why this label?")
    async def why(
        self, snapshot: Snapshot | None, range: Range | None, *, rule: str = "", label: str = "", **_: Any
    ) -> str:
        """Show which words moved the score."""
        finding = await self._finding(_needed(snapshot), range, rule, label)
        async with self.editor.progress("Leaving out one word after the other"):
            explanation = await explain(self.engine, finding.rule, finding.mark.label, finding.mark.part.text)
        await self.editor.show_text(f"Why {finding.mark.label}", explanation.markdown(finding.rule))
        return explanation.line()

    @command("rules.not_helpful", "Not helpful")
    async def not_helpful(
        self, snapshot: Snapshot | None, range: Range | None, *, rule: str = "", label: str = "", **_: Any
    ) -> str:
        """Note on this machine that a finding was not helpful."""
        snapshot = _needed(snapshot)
        finding = await self._finding(snapshot, range, rule, label)
        path = await asyncio.to_thread(
            note,
            verdict="not-helpful",
            rule=finding.rule.name,
            task=finding.rule.task,
            model=finding.rule.model_id,
            label=finding.mark.label,
            score=round(finding.mark.score, 4),
            language=snapshot.language,
            text=finding.mark.part.text,
            start=finding.mark.start - finding.mark.part.start,
            end=finding.mark.end - finding.mark.part.start,
        )
        words = f"Noted in {path}. It stays on this machine; nothing is sent."
        await self.editor.show_message(words)
        return words

    @command("rules.list", "Which rules are active here?")
    async def list_rules(
        self, snapshot: Snapshot | None, range: Range | None, *, as_json: bool = False, **_: Any
    ) -> str:
        """Show every rule, what it reads in this document, and why it says nothing."""
        lines = await asyncio.to_thread(listing, self.settings.rule, snapshot)
        folders = self.editor.workspace_folders()
        lines += [table_line(built_in, rule, snapshot) for built_in, rule in tables(snapshot, folders)]
        if as_json:
            return json.dumps([line.plain() for line in lines])
        await self.editor.show_text("Rules", f"# Rules\n\n{markdown(lines)}")
        return f"{sum(line.state == 'on' for line in lines)} of {len(lines)} rules are on here."

    @command("rules.silence", "Ignore a rule's label in this workspace")
    async def silence(
        self, snapshot: Snapshot | None, range: Range | None, *, rule: str = "", label: str = "", **_: Any
    ) -> str:
        """Set the label to off in the workspace's own table of the rule."""
        known = self._named(rule)
        if not is_key(label):
            raise InklingError("no-label", "No label was given.", "Use the quick fix of a finding.")
        if not known.labels:  # naming one would switch the others off
            for other, level in {"*": known.severity, **known.usual}.items():
                if other != label:
                    await self.editor.change_setting(f"rule[{rule}].labels.{other}", level)
        await self.editor.change_setting(f"rule[{rule}].labels.{label}", "off")
        return f'"{label}" of {rule} no longer shows in this workspace.'

    @command("rules.raise_threshold", "Raise the threshold of a rule's label in this workspace")
    async def raise_threshold(
        self,
        snapshot: Snapshot | None,
        range: Range | None,
        *,
        rule: str = "",
        label: str = "",
        threshold: float = 0.0,
        **_: Any,
    ) -> str:
        """Set the label's threshold in the workspace's own table of the rule."""
        self._named(rule)
        if not is_key(label) or not 0 < threshold <= 1:
            raise InklingError("no-label", "A label and a threshold up to 1 are needed.", "Use the quick fix.")
        await self.editor.change_setting(f"rule[{rule}].thresholds.{label}", threshold)
        return f'"{label}" of {rule} now shows from {threshold:.2f} on.'

    @resolver("rules_redact_all")
    async def redact_all(self, snapshot: Snapshot, range: Range, *, rule: str = "", **_: Any) -> list[Edit]:
        """Every finding of the rule in the document, replaced."""
        result = await self._result(snapshot, self._named(rule))
        return redactions(snapshot, result.findings)

    # -- inside

    def rules_in(self, folders: Sequence[Path]) -> Iterator[Rule]:
        """The active rules, if these are the folders that this plugin works for."""
        if tuple(self.editor.workspace_folders()) == tuple(folders):
            yield from self._all()

    def _all(self) -> Iterator[Rule]:
        if self.settings.enabled:
            yield from (rule for rule in self.settings.rule if rule.enabled)

    def _rules(self, surface: str) -> list[Rule]:
        return [rule for rule in self._all() if rule.surface == surface]

    def _named(self, name: str) -> Rule:
        for rule in self._all():
            if rule.name == name:
                return rule
        raise InklingError("no-rule", f'There is no rule "{name[:60]}".', "`inkling rules` lists those that there are.")

    async def _choose(self, snapshot: Snapshot) -> Rule:
        fitting = [rule for rule in self._all() if why_not(rule, snapshot) is None]
        if not fitting:
            raise InklingError("no-rule", "No rule is for this file.", "`inkling rules FILE` says why.")
        titles = {rule.title or rule.name: rule for rule in fitting}
        chosen = await self.editor.choose("Which rule?", list(titles)) if len(titles) > 1 else next(iter(titles))
        if chosen is None:
            raise InklingError("nothing-chosen", "No rule was chosen.")
        return titles[chosen]

    async def _result(
        self, snapshot: Snapshot, rule: Rule, meanwhile: Callable[[Findings], Any] = lambda findings: None
    ) -> Result:
        why = why_not(rule, snapshot)
        if why is not None:
            return Result(rule, reasons=[why] if why.reason == "disabled" else [])
        ask = True
        if rule.when == "demand":
            ask = (snapshot.uri, rule.name) in self._linter.demanded
        elif rule.when == "save":
            ask = self.editor.is_saved(snapshot)
        most = self.settings.max_texts
        result: Result
        if rule.task == "feature-extraction":
            result = await self._similar.check(self.engine, rule, snapshot, most, ask=ask)
        else:
            result = await self._linter.check(
                snapshot, rule, self.settings.patience, most, ask=ask, meanwhile=meanwhile
            )
        if rule.when == "save" and not ask:
            result.reasons.append(Nothing("not-saved", f"{rule.name}: what is new is read when the file is saved."))
        return result

    async def _within(self, surface: str, snapshot: Snapshot, range: Range) -> AsyncIterator[Finding | Nothing]:
        start, end = snapshot.offset(range.start), snapshot.offset(range.end)
        for rule in self._rules(surface):
            result = await self._result(snapshot, rule)
            for reason in result.reasons:
                yield reason
            for finding in touching(result.findings, start, end)[: rule.max_results]:
                yield finding

    async def _finding(self, snapshot: Snapshot, range: Range | None, rule: str, label: str) -> Finding:
        result = await self._result(snapshot, self._named(rule))
        place = range or Range(Position(0, 0), Position(0, 0))
        found = touching(result.findings, snapshot.offset(place.start), snapshot.offset(place.end))
        for finding in found:
            if label in ("", finding.mark.label):
                return finding
        raise InklingError("no-finding", f"{rule} finds nothing here any more.", "Run this on one of its findings.")

    async def _known(self, snapshot: Snapshot) -> Counter[str]:
        """What the baseline has of the document. Raises InklingError `bad-baseline`."""
        folders, name = self.editor.workspace_folders(), self.settings.baseline
        if not name or not folders:
            return Counter()
        path = folders[0] / name
        inside = None if Path(name).is_absolute() else folders[0]
        return (await asyncio.to_thread(self._load_baseline, path, inside)).of(relative(snapshot.uri, path.parent))

    def _load_baseline(self, path: Path, inside: Path | None) -> Baseline:
        with contextlib.suppress(OSError):
            if self._baseline[0] == (path, path.stat().st_mtime_ns):
                return self._baseline[1]
        changed, baseline = load(path, inside)
        self._baseline = ((path, changed), baseline)
        return baseline

    def _heard(self, owner: Owner, done: bool) -> None:
        """More is known: have it shown."""
        uri, name = owner
        rule = next((rule for rule in self._all() if rule.name == name), None)
        if rule is not None and rule.surface in _SURFACES and self._news.due(uri, done):
            self.editor.refresh(_SURFACES[rule.surface])


def _fresh(findings: Iterable[Finding], known: Counter[str]) -> Iterator[Finding]:
    """The findings that are not known, each as often as it may occur."""
    left = known.copy()
    for finding in findings:
        left[fingerprint(finding)] -= 1
        if left[fingerprint(finding)] < 0:
            yield finding


def relative(uri: str, folder: Path) -> str:
    """A document's path as the baseline names it: relative to the folder where it lies below it."""
    path, base = uri_path(uri), uri_path(folder.absolute().as_uri()).rstrip("/") + "/"
    return path.removeprefix(base)


def _needed(snapshot: Snapshot | None) -> Snapshot:
    if snapshot is None:
        raise InklingError("no-document", "There is no document to read.", "Run this from an editor.")
    return snapshot
