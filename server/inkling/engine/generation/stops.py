"""Stop strings in a stream: nothing of a stop string, nor of one that may yet complete, is ever sent."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Feeds text through and cuts it at the stop string that completes first, also across the borders of pieces.

    Text that could be the beginning of a stop string is held back until it can no longer become one.
    """

    def __init__(self, strings: Sequence[str] = ()) -> None:
        self._strings = tuple(s for s in strings if s)
        self._longest = max(map(len, self._strings), default=0)
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> str:
        """The text that is now certain. Sets `found` when a stop string is complete; feed nothing after that."""
        if not self._strings:
            return piece
        text = self._held + piece
        hits = [(at + len(s), at) for s in self._strings if (at := text.find(s)) >= 0]
        if hits:
            self.found, self._held = True, ""
            return text[: min(hits)[1]]
        keep = self._pending(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """The rest, when the text has ended for another reason."""
        held, self._held = self._held, ""
        return held

    def _pending(self, text: str) -> int:
        """Length of the longest suffix of `text` that begins a stop string."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            tail = text[-length:]
            if any(s.startswith(tail) for s in self._strings):
                return length
        return 0
