"""Where lines stand in many texts: a few bytes a line, and the places for a cursor in microseconds.

A place is found by the line above it, and by the first characters of its own line. Scanning the texts themselves for
the characters before the cursor would cost milliseconds a keystroke from a few megabytes on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEAD = 12
"""Characters of a line's beginning that find it."""
_TELLING = 12
"""A line above that is shorter counts together with the one above it."""
_MOST = 48
"""Places looked at for each of the two ways; the first texts' come first."""


class FileLines:
    """One text's lines as numbers. Immutable; made off the event loop."""

    __slots__ = ("keys", "places", "text", "uri")

    def __init__(self, uri: str, text: str) -> None:
        import numpy as np

        keys: list[int] = []
        places: list[int] = []
        above, start = ("", ""), 0
        for line in text.split("\n"):
            bare = line.strip()
            end = start + len(line) + 1
            if bare:
                if len(bare) > HEAD:
                    keys.append(hash((bare[:HEAD],)))
                    places.append(start + line.index(bare[0]))
                above = (above[1], bare)
                keys.append(hash(_above(*above)))
                places.append(end)
            start = end
        self.uri = uri
        self.text = text
        self.keys = np.array(keys, dtype=np.int64)
        self.places = np.array(places, dtype=np.uint32)

    @property
    def bytes(self) -> int:
        """Memory of the numbers, and about that of the text."""
        return self.keys.nbytes + self.places.nbytes + len(self.text)


class LineIndex:
    """The lines of several texts, given in the order in which they count. Immutable, so threads may share it."""

    def __init__(self, files: Sequence[FileLines] = ()) -> None:
        self._texts = [(file.uri, file.text) for file in files]
        self._starts: list[int] = []
        self._keys: NDArray[np.int64] | None = None
        if not files:
            return
        import numpy as np

        total = 0
        for file in files:
            self._starts.append(total)
            total += len(file.keys)
        keys = np.concatenate([file.keys for file in files])
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._order = order.astype(np.uint32)
        self._places = np.concatenate([file.places for file in files])

    def __len__(self) -> int:
        return len(self._texts)

    def places(self, before: str, without: Collection[str] = ()) -> Iterator[tuple[str, int]]:
        """Texts and the offsets in them that may stand as the end of `before` does; the caller compares the rest.

        Texts whose URI is in `without` are left out.
        """
        if self._keys is None:
            return
        above, _, line = before.rpartition("\n")
        typed = line.lstrip()
        bare = [text for part in above[-2_000:].rsplit("\n", 12)[-12:] if (text := part.strip())][-2:]
        if bare:
            tail = before[before.rindex(bare[-1], 0, len(above)) + len(bare[-1]) :].partition("\n")[2]
            yield from self._found(hash(_above("" if len(bare) < 2 else bare[0], bare[-1])), tail, without)
        if len(typed) >= HEAD:
            yield from self._found(hash((typed[:HEAD],)), typed, without)

    def _found(self, key: int, typed: str, without: Collection[str]) -> Iterator[tuple[str, int]]:
        """The places of `key` at which `typed` stands, behind it."""
        keys = self._keys
        assert keys is not None
        first = int(keys.searchsorted(key))
        for at in self._order[first : first + _MOST].tolist():
            if keys[first] != key:
                return
            first += 1
            uri, text = self._texts[bisect_right(self._starts, at) - 1]
            place = int(self._places[at])
            if uri not in without and text.startswith(typed, place):
                yield text, place + len(typed)


def _above(before: str, line: str) -> str:
    return line if len(line) >= _TELLING else f"{before}\n{line}"
