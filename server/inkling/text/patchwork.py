"""Near an edit, the tree of the statements around it, at a cost that does not grow with the document.

tree-sitter's own incremental parse walks over every top-level node, which is 10 ms and more in a file of 5,000 lines.
But an edit that lies between two top-level nodes *A* and *B* can only change what stands from *A* to *B*: if that
stretch parses by itself without an error, and begins with an *A* and ends with a *B* as long as they were, then the
parser is after *B* in the state in which it was before, and all else is as it was. So a document's trees are pieces:
the tree that was parsed whole, with the trees of edited stretches laid over it. Where any of the conditions fails (an
open bracket, a quote that turns the rest of the file inside out, the file's first statement), there is no patch, and
the whole document is parsed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from inkling.text.difference import Difference
from inkling.text.rope import Rope

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node, Tree

    from inkling.text.segment import Span

STRETCH = 24 * 1024
"""Code points of a stretch above which parsing it by itself gains nothing."""
PIECES = 1024
"""Above which the whole document is parsed again."""
_STEPS = 12
"""Neighbours looked at for one that may bound a stretch."""


class SyntaxTree:
    """A tree over UTF-8 bytes, read in code points of the document: its own text begins at `shift` there."""

    def __init__(
        self,
        tree: Tree,
        rope: Rope,
        language: str,
        shift: int = 0,
        top: tuple[list[Node], list[int]] | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        self.tree = tree
        self._top = top
        self.language = language
        self.shift = shift
        self.is_open = is_open
        """Whether its text ends within a string or a comment that an edit has opened."""
        self._rope = rope
        self._ascii = rope.root.utf8 == rope.root.chars

    def shifted(self, by: int) -> SyntaxTree:
        """The same tree for a document in which its text begins `by` code points later."""
        shift = self.shift + by
        return SyntaxTree(self.tree, self._rope, self.language, shift, self.top, is_open=self.is_open) if by else self

    @property
    def top(self) -> tuple[list[Node], list[int]]:
        """The top-level nodes and their ends in bytes. Listed once: tree-sitter counts up to each that is asked for."""
        if self._top is None:
            nodes = self.tree.root_node.children
            self._top = nodes, [node.end_byte for node in nodes]
        return self._top

    def span(self, node: Node) -> Span:
        """A node's span in code points."""
        start, end = node.start_byte, node.end_byte
        if not self._ascii:
            start, end = self._rope.offset_of(start, utf8=True)[0], self._rope.offset_of(end, utf8=True)[0]
        return start + self.shift, end + self.shift

    def node_at(self, start: int, end: int) -> Node | None:
        """The smallest node around a span of code points."""
        return self.tree.root_node.descendant_for_byte_range(self._byte(start), self._byte(end))

    def children_from(self, offset: int) -> int:
        """How many top-level nodes end at or before a code point. O(log n)."""
        return bisect_right(self.top[1], self._byte(offset))

    def _byte(self, offset: int) -> int:
        offset = max(0, offset - self.shift)
        return offset if self._ascii else self._rope.units_before(offset, utf8=True)


@dataclass(frozen=True, slots=True)
class _Piece:
    """From `start` to the next piece's, the document reads as this tree says; the nodes across its ends, too."""

    start: int
    tree: SyntaxTree


class Patchwork:
    """The trees of one version of a document."""

    def __init__(self, rope: Rope, pieces: list[_Piece], comments: tuple[str, ...], *, is_exact: bool) -> None:
        self.rope = rope
        self.is_exact = is_exact
        """Whether parsing the whole would say the same around every offset."""
        self._pieces = pieces
        self._comments = comments

    @classmethod
    def whole(cls, rope: Rope, tree: SyntaxTree, comments: tuple[str, ...]) -> Patchwork:
        """One tree for all of the text; `comments` are the types of its comment nodes.

        With an error in it nothing that is laid over it is exact: what the parser makes of an error may depend on text
        far from it.
        """
        _ = tree.top  # now, since whole trees are made off the event loop
        return cls(rope, [_Piece(0, tree)], comments, is_exact=not tree.tree.root_node.has_error)

    @property
    def is_open(self) -> bool:
        """Whether some piece ends within a string or a comment."""
        return any(piece.tree.is_open for piece in self._pieces)

    def at(self, offset: int) -> SyntaxTree:
        """The tree that is right around an offset."""
        return self._pieces[self._index(offset)].tree

    def patched(
        self, rope: Rope, difference: Difference, parse: Callable[[str], SyntaxTree | None], stretch: int = STRETCH
    ) -> Patchwork | None:
        """The trees of `rope`, which differs there from the text so far; None: parse it whole.

        It `is_exact` unless the stretch has an error: then the statements behind it stay as they were, though a parser
        that reads on from there may see them in another light. No more than `stretch` code points are parsed.
        """
        first, old_last, new_last = difference
        by = new_last - old_last
        if first == old_last == new_last:
            return Patchwork(rope, self._pieces, self._comments, is_exact=self.is_exact)
        before, after = self._before(first), self._after(old_last)
        if before is None or after is None:
            return None
        start, end = before[0], after[1]
        if end + by - start > stretch or len(self._pieces) > PIECES:
            return None
        tree = parse(rope.slice(start, end + by))
        if tree is None:
            return None
        head = self._pieces[: bisect_right(self._pieces, start, key=_start)]
        tail = self._pieces[self._index(end) :]
        return Patchwork(
            rope,
            [
                *head,
                _Piece(start + 1, tree.shifted(start)),
                _Piece(end + by, tail[0].tree.shifted(by)),
                *(_Piece(piece.start + by, piece.tree.shifted(by)) for piece in tail[1:]),
            ],
            self._comments,
            is_exact=self.is_exact and _bounded(tree, before, after),
        )

    def _index(self, offset: int) -> int:
        return max(0, bisect_right(self._pieces, offset, key=_start) - 1)

    def _before(self, offset: int) -> _Bound | None:
        """The last node that ends before an offset and may bound a stretch."""
        index, steps = self._index(offset), 0
        while index >= 0:
            piece = self._pieces[index]
            for number in range(piece.tree.children_from(offset - 1) - 1, -1, -1):
                node = piece.tree.top[0][number]
                start, end = piece.tree.span(node)
                if end < piece.start:
                    break
                if self._may_bound(node, start, end):
                    return start, end, node.type
                if (steps := steps + 1) > _STEPS:
                    return None
            index -= 1
            offset = min(offset, piece.start + 1)
        return None

    def _after(self, offset: int) -> _Bound | None:
        """The first node that begins after an offset and may bound a stretch."""
        index, steps = self._index(offset), 0
        while index < len(self._pieces):
            piece = self._pieces[index]
            stop = self._pieces[index + 1].start if index + 1 < len(self._pieces) else len(self.rope) + 1
            for node in islice(piece.tree.top[0], piece.tree.children_from(max(offset, piece.start - 1)), None):
                start, end = piece.tree.span(node)
                if start >= stop:
                    break
                if start > offset and self._may_bound(node, start, end):
                    return start, end, node.type
                if (steps := steps + 1) > _STEPS:
                    return None
            index += 1
        return None

    def _may_bound(self, node: Node, start: int, end: int) -> bool:
        """A node that fills its lines; comments belong together with their neighbours and may not be parted."""
        return (
            node.type not in self._comments
            and not node.has_error
            and end - start > 1
            and (start == 0 or self.rope.slice(start - 1, start) in "\r\n")
            and (end == len(self.rope) or self.rope.slice(end, end + 1) in "\r\n")
        )


_Bound = tuple[int, int, str]
"""Start, end and type of a top-level node."""


def _start(piece: _Piece) -> int:
    return piece.start


def _bounded(tree: SyntaxTree, before: _Bound, after: _Bound) -> bool:
    """Whether a stretch is free of errors, begins with the one node and ends with the other."""
    nodes, _ = tree.top
    if tree.tree.root_node.has_error or len(nodes) < 2:
        return False
    first, last = nodes[0], nodes[-1]
    (start, start_end), (end_start, end) = tree.span(first), tree.span(last)
    return (
        start == 0
        and (first.type, start_end) == (before[2], before[1] - before[0])
        and (last.type, end - end_start) == (after[2], after[1] - after[0])
    )
