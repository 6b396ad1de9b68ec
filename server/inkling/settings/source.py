"""One place that settings came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from inkling.settings.problem import Problem

Kind = Literal["user", "workspace", "client"]


@dataclass(frozen=True, slots=True)
class Source:
    """One place that settings came from.

    `where` names it for the user: a path, or words such as `editor settings`. `trusted` matters for workspaces: what
    may run or reach out is taken from a trusted one only. `lines` maps dotted keys to line numbers from 1. A file
    that could not be read has empty `data` and says so in `problems`. A model's relative folder (`./mine`) begins at
    `folder`.
    """

    kind: Kind
    data: Mapping[str, Any]
    where: str
    trusted: bool = False
    lines: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    folder: Path | None = None
