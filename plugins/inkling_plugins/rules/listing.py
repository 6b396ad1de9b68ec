"""Which rules there are, what they read where, and why some say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from inkling.api import InklingError, Snapshot
from inkling_plugins.rules.linter import why_not
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.units import parts_of, places_in


@dataclass(frozen=True, slots=True)
class Line:
    """One rule. `state` is `on` or `off`; `why` says why it is off, or what it reads in the file asked about."""

    name: str
    state: str
    why: str
    task: str
    model: str
    on: str
    surface: str
    when: str
    origin: str

    def plain(self) -> dict[str, str]:
        """As a mapping."""
        return asdict(self)


def listing(rules: Iterable[Rule], snapshot: Snapshot | None) -> list[Line]:
    """A line per rule, for a document or in general. Parses the document."""
    return [_line(rule, snapshot) for rule in rules]


def table_line(built_in: Rule, rule: Rule | None, snapshot: Snapshot | None) -> Line:
    """The line of a table that is a rule, such as `[classify]`; it steps aside for `rule`, if there is one."""
    name = f"[{built_in.name}]"
    line = replace(_line(built_in, snapshot), name=name, origin=f"the table {name}")
    if rule is None:
        return line
    return replace(line, state="off", why=f"the rule {rule.name} reads this in its place, with the same model")


def _line(rule: Rule, snapshot: Snapshot | None) -> Line:
    state, why = "on", ""
    if not rule.enabled:
        state, why = "off", "enabled = false"
    elif snapshot is not None:
        nothing = why_not(rule, snapshot)
        if nothing is not None:
            state, why = "off", nothing.detail.partition(": ")[2] or nothing.reason
        elif not rule.reads.selection_only:
            try:
                segments = places_in(snapshot, rule)
                count = sum(len(parts_of(segment, rule)) for segment in segments)
                why = f"{count:,} texts here" if count != 1 else "1 text here"
            except InklingError as error:
                state, why = "off", error.message
    on = ", ".join(rule.on)
    return Line(rule.name, state, why, rule.task, rule.model_id, on, rule.surface, rule.when, rule.origin)


def markdown(lines: Iterable[Line]) -> str:
    """As a table."""
    head = ["| rule | | task | model | on | shows as | when | from |", "|---|---|---|---|---|---|---|---|"]
    rows = [
        f"| {line.name} | {line.state}{f': {line.why}' if line.why else ''} | {line.task} | `{line.model}` | {line.on} "
        f"| {line.surface} | {line.when} | {line.origin} |"
        for line in lines
    ]
    return "\n".join([*head, *rows]) + "\n"
