"""A diagnostic and where it was found."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.api import Diagnostic, Severity, Snapshot

LEVELS = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "information": Severity.INFORMATION,
    "hint": Severity.HINT,
}
NAMES = {level: name for name, level in LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """`path` is relative to the folder that is checked, with slashes, where the file lies below it."""

    path: str
    plugin: str
    diagnostic: Diagnostic
    snapshot: Snapshot

    @property
    def level(self) -> str:
        """`error`, `warning`, `information` or `hint`."""
        return NAMES[self.diagnostic.severity]

    @property
    def code(self) -> str:
        """The diagnostic's code, or else the plugin's name."""
        return self.diagnostic.code or self.plugin

    @property
    def fingerprint(self) -> str:
        """What the finding is known by in a baseline; empty when its plugin gives none."""
        return str(self.diagnostic.data.get("fingerprint", ""))

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Line, column, end line, end column, all from 1, in characters; the end is behind the last character."""
        start, end = self.diagnostic.range
        return start.line + 1, start.character + 1, end.line + 1, end.character + 1
