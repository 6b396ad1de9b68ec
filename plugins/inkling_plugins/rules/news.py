"""When to have a document shown anew while it is being read: at once when all of it is, else less and less often."""

from __future__ import annotations

import time
from collections.abc import Collection

_AFTER_S, _AFTER_MOST_S = 0.5, 5.0
_GROWTH = 1.5


class News:
    """By document: when it was shown last, and how long the next news waits."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, float]] = {}

    def keep(self, uris: Collection[str]) -> None:
        """Forget all documents but these."""
        for uri in [uri for uri in self._told if uri not in uris]:
            del self._told[uri]

    def due(self, uri: str, done: bool) -> bool:
        """Whether to show the document now; `done`: there will be no more news."""
        last, wait = self._told.get(uri, (0.0, _AFTER_S))
        now = time.monotonic()
        if done:
            self._told.pop(uri, None)
        elif now - last < wait:
            return False
        else:
            self._told[uri] = (now, min(wait * _GROWTH, _AFTER_MOST_S))
        return True
