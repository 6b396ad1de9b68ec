"""Findings as what an editor shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from inkling.api import (
    CodeLens,
    Diagnostic,
    InlayHint,
    Position,
    Range,
    Scalar,
    SemanticToken,
    Severity,
    Snapshot,
)
from inkling_plugins.rules.baseline import fingerprint
from inkling_plugins.rules.findings import Findings, gravest
from inkling_plugins.rules.fixes import fixes
from inkling_plugins.rules.judge import Finding, Mark
from inkling_plugins.rules.message import fill
from inkling_plugins.rules.rule import Rule

SEVERITIES = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "information": Severity.INFORMATION,
    "hint": Severity.HINT,
}
_QUOTED = 80


def words(finding: Finding, snapshot: Snapshot) -> str:
    """The rule's message."""
    rule, mark = finding.rule, finding.mark
    text = " ".join(snapshot.slice(finding.start, finding.end).split())
    quoted = text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
    return fill(
        rule.words(mark.label), label=mark.label, score=mark.score, text=quoted, rule=rule.name, model=rule.model_id
    )


def severity(finding: Finding) -> Severity:
    """How the finding's label shows."""
    return SEVERITIES[finding.rule.level(finding.mark.label)]


def diagnostics(
    snapshot: Snapshot, rule: Rule, findings: Sequence[Finding], show_all: bool = False, drawn: Drawn | None = None
) -> Iterator[Diagnostic]:
    """The gravest where there are more than may be shown, and then one line for the rest."""
    draw = (drawn or Drawn()).turn(snapshot)
    most = len(findings) if show_all else rule.max_results
    chosen = findings.gravest(most) if isinstance(findings, Findings) else gravest(findings, most)
    for finding in chosen.shown:
        yield draw(finding)
    if chosen.first is not None:
        yield flood(snapshot, rule, chosen.first, chosen.hidden)


_Made = tuple[int, Mark, tuple[Range, Position], Diagnostic]
"""The version that it was last asked for in, its mark, where that was, and the diagnostic."""


class Drawn:
    """The diagnostics of one document and rule as they were last made: what has not moved is not made again."""

    def __init__(self) -> None:
        self._known: dict[int, _Made] = {}
        self._language = ""

    def turn(self, snapshot: Snapshot) -> Callable[[Finding], Diagnostic]:
        """What makes the diagnostics of one version; those that it does not ask for are forgotten."""
        old = self._known if snapshot.language == self._language else {}  # whose comments the fixes write
        self._language = snapshot.language
        new = self._known = dict[int, _Made]()
        revision = snapshot.revision

        def draw(finding: Finding) -> Diagnostic:
            mark = finding.mark
            known = old.get(id(mark))
            if known is not None and known[1] is mark and known[0] == revision:
                new[id(mark)] = known
                return known[3]
            # the segment's start, too: a comment that ignores the finding goes above it
            place = (snapshot.range(finding.start, finding.end), snapshot.position(finding.origin.start))
            if known is not None and known[1] is mark and known[2] == place:
                made = known[3]
            else:
                made = diagnostic(snapshot, finding)
            new[id(mark)] = (revision, mark, place, made)
            return made

        return draw


def diagnostic(snapshot: Snapshot, finding: Finding) -> Diagnostic:
    """One finding; `data` has its score, those of the other labels, and its fingerprint."""
    rule, mark = finding.rule, finding.mark
    data: dict[str, Scalar] = {
        "rule": rule.name,
        "label": mark.label,
        "score": round(mark.score, 4),
        "model": rule.model_id,
        "fingerprint": fingerprint(finding),
        **{f"scores.{label}": round(score, 4) for label, score in mark.scores.items()},
    }
    return Diagnostic(
        snapshot.range(finding.start, finding.end),
        words(finding, snapshot),
        severity(finding),
        rule.code or f"{rule.name}/{mark.label}",
        rule.href,
        data,
        tuple(fixes(snapshot, finding)),
    )


def flood(snapshot: Snapshot, rule: Rule, first: Finding, hidden: Mapping[str, int]) -> Diagnostic:
    """One line that counts the findings that are not shown, by label; it stands at the first of them."""
    counts = Counter(hidden)
    labels = ", ".join(f"{count:,} × {label}" for label, count in counts.most_common(4))
    return Diagnostic(
        snapshot.range(first.start, first.end),
        f"{rule.name}: {counts.total():,} more findings are not shown (max_results = {rule.max_results:,}): {labels}.",
        Severity.INFORMATION,
        f"{rule.name}/more",
        data={"rule": rule.name, "hidden": counts.total()},
    )


def score_table(scores: Iterable[tuple[str, float]]) -> str:
    """Labels and scores as Markdown."""
    return "\n".join(["| label | score |", "|---|---|", *(f"| {label} | {score:.1%} |" for label, score in scores)])


def hover_text(rule: Rule, found: Sequence[Finding]) -> str:
    """Rules' findings under the cursor, as Markdown."""
    head = f"**{rule.title or rule.name}** · `{rule.model_id}`"
    rows = [(finding.mark.label, finding.mark.score) for finding in found]
    if len(found) == 1:
        rows += list(found[0].mark.scores.items())
    return f"{head}\n\n{score_table(rows)}"


def lens(snapshot: Snapshot, finding: Finding) -> CodeLens:
    """A line above what was found; a click says why."""
    arguments: Mapping[str, Scalar] = {"rule": finding.rule.name, "label": finding.mark.label}
    place = snapshot.range(finding.start, finding.end)
    return CodeLens(place, words(finding, snapshot), "rules.why", arguments)


def hint(snapshot: Snapshot, finding: Finding) -> InlayHint:
    """The label after what was found."""
    tooltip = f"{finding.rule.name}: {words(finding, snapshot)}"
    return InlayHint(snapshot.position(finding.end), finding.mark.label, tooltip, padding_left=True)


def token(snapshot: Snapshot, finding: Finding) -> SemanticToken:
    """What was found, coloured."""
    kind = "entity" if finding.rule.task == "token-classification" else "mark"
    return SemanticToken(snapshot.range(finding.start, finding.end), kind)


def top(snapshot: Snapshot) -> Range:
    """Where a line about the whole document goes."""
    del snapshot
    return Range(Position(0, 0), Position(0, 0))
