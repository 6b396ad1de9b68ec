"""The segments of one version of a document, which the next version shares: what an edit moves is not made anew."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import compress, count
from operator import is_not
from typing import overload

from inkling.text.segment import Segment, SegmentKind


class Segments(Sequence[Segment]):
    """Segments in document order. Those that lie behind an edit are moved when somebody looks at them.

    Each is kept where it was first found, with the code points that edits have moved it by since; so what an edit left
    alone is the same object in both versions.
    """

    __slots__ = ("_apart", "_found", "_moves")

    def __init__(
        self, found: Sequence[Segment], moves: Sequence[int] | None = None, *, apart: bool | None = None
    ) -> None:
        """`moves`: by how many code points each has moved since it was found; `apart` as the property, if known."""
        self._found = list(found)
        self._moves = [0] * len(self._found) if moves is None else list(moves)
        self._apart = apart

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> Segment: ...

    @overload
    def __getitem__(self, index: slice) -> Segments: ...

    def __getitem__(self, index: int | slice) -> Segment | Segments:
        if isinstance(index, slice):
            apart = (self._apart or None) if (index.step or 1) > 0 else None
            return Segments(self._found[index], self._moves[index], apart=apart)
        by = self._moves[index]
        return self._found[index].moved(by) if by else self._found[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segments | tuple | list) and [*self] == [*other]

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Segments({list(self)!r})"

    @property
    def apart(self) -> bool:
        """Whether none begins before the one before it has ended. Otherwise the same words may be in two of them."""
        if self._apart is None:
            ends = [segment.end + by for segment, by in zip(self._found, self._moves, strict=True)]
            starts = [segment.start + by for segment, by in zip(self._found[1:], self._moves[1:], strict=True)]
            self._apart = all(end <= start for end, start in zip(ends, starts, strict=False))
        return self._apart

    def of(self, kinds: Collection[SegmentKind]) -> Segments:
        """Those of the given kinds."""
        chosen = [segment.kind in kinds for segment in self._found]
        if all(chosen):
            return self
        found, moves = compress(self._found, chosen), compress(self._moves, chosen)
        return Segments(list(found), list(moves), apart=self._apart or None)

    def replaced(self, first: int, last: int, fresh: Sequence[Segment], by: int) -> Segments:
        """With `fresh`, which fit between their neighbours, in place of `self[first:last]`, and all behind it moved."""
        moves = self._moves[:first] + [0] * len(fresh)
        moves += [move + by for move in self._moves[last:]] if by else self._moves[last:]
        return Segments([*self._found[:first], *fresh, *self._found[last:]], moves, apart=self._apart or None)

    def shared(self, other: Segments) -> tuple[int, int]:
        """How many of the first and of the last have the same words as in `other`, wherever they lie.

        Those that are one object in both are not compared.
        """
        most = min(len(self), len(other))
        first = _alike(self._found, other._found, most)
        return first, _alike(self._found[::-1], other._found[::-1], most - first)


def _alike(one: list[Segment], other: list[Segment], most: int) -> int:
    at = min(most, next(compress(count(), map(is_not, one, other)), most))
    while at < most and (one[at].text, one[at].kind) == (other[at].text, other[at].kind):
        at += 1
    return at
