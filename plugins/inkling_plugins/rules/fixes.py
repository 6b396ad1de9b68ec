"""What can be done about a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inkling.api import Action, Edit, Scalar, Snapshot
from inkling_plugins.ignores import ignore_edit
from inkling_plugins.rules.judge import Finding
from inkling_plugins.rules.message import fill

_STEP = 0.025


def fixes(snapshot: Snapshot, finding: Finding) -> Iterator[Action]:
    """Redact, explain, ignore here or everywhere, ask for more, disagree."""
    rule, mark = finding.rule, finding.mark
    arguments: dict[str, Scalar] = {"rule": rule.name, "label": mark.label}
    if rule.task == "token-classification":
        edit = redaction(snapshot, finding)
        yield Action(f"Redact this {mark.label}", "quickfix", edits=(edit,), preferred=True)
        yield Action(
            f"Redact all of {rule.name} in this file", "quickfix", resolve="rules_redact_all", arguments=arguments
        )
    yield Action("Why this?", "quickfix", command="rules.why", arguments=arguments)
    ignore = ignore_edit(snapshot, finding.origin, finding.start, f"{rule.name}/{mark.label}")
    if ignore is not None:
        yield Action(f'Ignore "{rule.name}/{mark.label}" here', "quickfix", edits=(ignore,))
    if is_key(mark.label):
        yield Action(
            f'Ignore "{mark.label}" of {rule.name} in this workspace',
            "quickfix",
            command="rules.silence",
            arguments=arguments,
        )
        higher = round(mark.score + _STEP, 2)
        if higher < 1:
            yield Action(
                f'Raise the threshold of "{mark.label}" to {higher:.2f}',
                "quickfix",
                command="rules.raise_threshold",
                arguments={**arguments, "threshold": higher},
            )
    yield Action("Not helpful", "quickfix", command="rules.not_helpful", arguments={**arguments, "score": mark.score})


def is_key(label: str) -> bool:
    """Whether a label can be part of a setting's dotted name."""
    return bool(label) and not set(label) & set(".[]")


def redaction(snapshot: Snapshot, finding: Finding) -> Edit:
    """The found span replaced by what the rule says."""
    text = fill(finding.rule.redaction, label=finding.mark.label.upper(), rule=finding.rule.name)
    return Edit(snapshot.range(finding.start, finding.end), text)


def redactions(snapshot: Snapshot, findings: Iterable[Finding]) -> list[Edit]:
    """Edits for all findings; of those that overlap, the first."""
    edits: list[Edit] = []
    reached = -1
    for finding in sorted(findings, key=lambda finding: (finding.start, -finding.end)):
        if finding.start >= reached:
            edits.append(redaction(snapshot, finding))
            reached = finding.end
    return edits
