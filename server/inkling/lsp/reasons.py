"""Why nothing was shown: the last reasons per document and surface, for `inkling/status` and "Why no suggestion?"."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from inkling.api import Nothing

KEPT = 5
PLACES = 400
SAID = 6
"""Reasons told at once."""
UNUSABLE = frozenset(
    [
        "bad-model-id",
        "model-not-found",
        "missing-package",
        "no-tokenizer",
        "out-of-memory",
        "pickle-only",
        "remote-auth",
        "remote-certificate",
        "remote-code",
        "remote-kind",
        "remote-not-engine",
        "remote-redirect",
        "remote-settings",
        "remote-task",
        "remote-token",
        "remote-url",
        "tokenizer-corrupt",
        "tokenizer-missing",
        "unknown-architecture",
        "unknown-remote",
        "weights-corrupt",
        "weights-missing",
        "wrong-task",
    ]
)
"""Reasons that say a configured model cannot be used: the user is told each once, unasked."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One result that was not shown. `at` is in seconds since the epoch."""

    uri: str
    surface: str
    reason: str
    detail: str
    plugin: str
    request: int | str | None
    at: float
    line: int | None = None
    """Where the cursor was, counted from 0."""

    def as_json(self) -> dict[str, Any]:
        """For the client."""
        return {
            "uri": self.uri,
            "surface": self.surface,
            "reason": self.reason,
            "detail": self.detail,
            "plugin": self.plugin,
            "request": self.request,
            "at": self.at,
            "line": self.line,
        }


class Reasons:
    """Bounded in every direction."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, str], deque[Reason]] = OrderedDict()

    def record(
        self,
        uri: str,
        surface: str,
        nothing: Nothing,
        *,
        plugin: str = "",
        request: int | str | None = None,
        line: int | None = None,
    ) -> None:
        """Keep a reason."""
        key = (uri, surface)
        self._places.setdefault(key, deque(maxlen=KEPT))
        self._places.move_to_end(key)
        detail = nothing.detail[:300]
        self._places[key].append(Reason(uri, surface, nothing.reason, detail, plugin, request, time.time(), line))
        while len(self._places) > PLACES:
            self._places.popitem(last=False)

    def clear(self, uri: str, surface: str, plugin: str) -> None:
        """The plugin has shown something: its older reasons no longer answer "why not?", nor does nobody's."""
        kept = self._places.get((uri, surface))
        if kept is not None:
            left = [reason for reason in kept if reason.plugin not in (plugin, "")]
            kept.clear()
            kept.extend(left)

    def forget(self, uri: str) -> None:
        """The document was closed."""
        for key in [key for key in self._places if key[0] == uri]:
            del self._places[key]

    def of(self, uri: str | None = None, surface: str | None = None) -> list[Reason]:
        """Oldest first."""
        found: Iterable[Reason] = (
            reason
            for (place_uri, place_surface), kept in self._places.items()
            if uri in (None, place_uri) and surface in (None, place_surface)
            for reason in kept
        )
        return sorted(found, key=lambda reason: reason.at)

    def said(self, uri: str | None, line: int | None) -> str:
        """The last reasons for one place, in words: the document's at the cursor's line, else the document's, each with
        its line; of other documents only that there are some, and how many."""
        found = self.of(uri)[::-1]
        here = [reason for reason in found if line is None or reason.line in (None, line)]
        if here:
            return _lines(here)
        if found:
            return (
                f"Nothing was held back on line {(line or 0) + 1}. Elsewhere in this document:\n{_lines(found, True)}"
            )
        elsewhere = len({reason.uri for reason in self.of() if reason.uri != uri})
        others = f" There are reasons for {elsewhere} other open documents." if elsewhere > 1 else ""
        return "Nothing was held back here." + (others or (" There are reasons for another document." * elsewhere))


def _lines(reasons: Iterable[Reason], places: bool = False) -> str:
    lines = []
    for reason in reasons:
        place = f"line {reason.line + 1}, " if places and reason.line is not None else ""
        lines.append(f"{place}{reason.surface.replace('_', ' ')}: {reason.detail or reason.reason} [{reason.reason}]")
    return "\n".join(list(dict.fromkeys(lines))[:SAID])
