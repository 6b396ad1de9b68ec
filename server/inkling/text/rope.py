"""A persistent rope: the text of a document as an immutable balanced tree of small strings.

An edit copies the path from the root to the leaves it touches, O(log n), and shares everything else with the rope it
came from; so a snapshot is a reference, and old ones stay whole. Each node carries the sums that conversions need:
code points, line ends, UTF-8 bytes, UTF-16 code units. Invariants, kept by `Rope.replace`:

* no leaf boundary lies inside a `\\r\\n` pair, so line ends simply add up;
* no leaf boundary lies between the two halves of a surrogate pair, and halves that an edit brings together become
  the character they spell; a lone half stays what the client holds, one code unit;
* the tree is an AVL tree with text in its leaves only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol, TypeVar

from inkling.text import tree
from inkling.text.tree import SURROGATE, Branch, Leaf, Node, leaf_at

Value = TypeVar("Value")


class Fold(Protocol[Value]):
    """A sum of the caller's own, kept per node: the cost after an edit is that of the copied path."""

    def leaf(self, text: str) -> Value:
        """The value of a leaf's text."""
        ...

    def edited(self, old: Value, old_text: str, text: str, span: tuple[int, int, int]) -> Value | None:
        """The value of a leaf's text in which an edit at `span` (start, old end, new end) left the rest as it was in
        `old_text`, whose value is `old`; None when that is no help."""
        ...

    def join(self, left: Value, right: Value) -> Value:
        """The value of two adjacent texts; associative."""
        ...


class Rope:
    """An immutable text. Offsets are code points."""

    __slots__ = ("_line", "root")

    def __init__(self, root: Node) -> None:
        self.root = root
        self._line = (-1, 0, 0, 0)
        """The line last asked for, and its span: who asks about a place asks about its line several times."""

    @classmethod
    def of(cls, text: str) -> Rope:
        """A rope of a whole text."""
        return cls(tree.build(tree.leaves(paired(text))))

    def __len__(self) -> int:
        return self.root.chars

    @property
    def line_count(self) -> int:
        """Lines; the text after the last line end is one, be it empty."""
        return self.root.breaks + 1

    def replace(self, start: int, end: int, text: str) -> Rope:
        """The rope with `[start, end)` replaced by `text`; needs 0 ≤ start ≤ end ≤ len. O(log n + len(text))."""
        text = paired(text)
        first, i = leaf_at(self.root, start)
        if i and i + end - start < first.chars:
            new = first.text[:i] + text + first.text[i + end - start :]
            if tree.LEAF_MIN <= len(new) <= tree.LEAF_MAX and not first.lone and not SURROGATE.search(text):
                edited = Leaf(new, (first, i, i + end - start, i + len(text)))
                return Rope(tree.put(self.root, start, edited))
        before, first, i, _ = tree.cut(self.root, start)
        _, last, j, after = tree.cut(self.root, end)
        middle = first.text[:i] + text + last.text[j:]
        while before is not None and (
            len(middle) < tree.LEAF_MIN or middle[0] == "\n" or "\udc00" <= middle[0] <= "\udfff"
        ):
            before, leaf = tree.pop_last(before)
            middle = leaf.text + middle
        while after is not None and (
            len(middle) < tree.LEAF_MIN or middle[-1] == "\r" or "\ud800" <= middle[-1] <= "\udbff"
        ):
            after, leaf = tree.pop_first(after)
            middle += leaf.text
        root = tree.build(tree.leaves(paired(middle)))
        if before is not None:
            root = tree.join(before, root)
        return Rope(tree.join(root, after) if after is not None else root)

    def part(self, start: int, end: int) -> Rope:
        """The rope of `[start, end)`, its inner nodes shared with this one; needs 0 ≤ start ≤ end ≤ len. O(log n)."""
        return self.replace(end, len(self), "").replace(0, start, "")

    def slice(self, start: int, end: int) -> str:
        """The text of `[start, end)`; needs 0 ≤ start ≤ end ≤ len."""
        leaf, i = leaf_at(self.root, start)
        if i + end - start <= leaf.chars:
            return leaf.text[i : i + end - start]
        parts: list[str] = []
        tree.collect(self.root, start, end, parts)
        return "".join(parts)

    def leaves(self) -> Iterator[Leaf]:
        """The leaves in order."""
        return tree.leaves_of(self.root)

    def line_span(self, line: int) -> tuple[int, int, int]:
        """Offsets of a line: its start, the end of its content, the end of its line end. 0 ≤ line < line_count."""
        known, start, stop, end = self._line
        if known == line:
            return start, stop, end
        start = self._after_break(line)[0] if line else 0
        if line == self.root.breaks:
            stop = end = self.root.chars
        else:
            end, width = self._after_break(line + 1)
            stop = end - width
        self._line = (line, start, stop, end)
        return start, stop, end

    def line_at(self, offset: int) -> int:
        """The line that `offset` lies in: the line ends at or before it."""
        node, line = self.root, 0
        while isinstance(node, Branch):
            left = node.left
            if offset < left.chars:
                node = left
            else:
                offset -= left.chars
                line += left.breaks
                node = node.right
        return line + bisect_right(node.ends, offset)

    def place(self, offset: int) -> tuple[int, int]:
        """The line that `offset` lies in, and how far; inside `\\r\\n` it is at the line's end."""
        node, base, line = self.root, 0, 0
        while isinstance(node, Branch):
            left = node.left
            if offset - base < left.chars:
                node = left
            else:
                base += left.chars
                line += left.breaks
                node = node.right
        at = offset - base
        before = bisect_right(node.ends, at)
        if at and node.text[at - 1 : at + 1] == "\r\n":
            offset -= 1
        line += before
        if before:
            return line, offset - base - node.ends[before - 1]
        return line, offset - (self._after_break(line)[0] if line else 0)

    def units_before(self, offset: int, *, utf8: bool) -> int:
        """UTF-8 bytes, or else UTF-16 code units, before `offset`."""
        node, units = self.root, 0
        while isinstance(node, Branch):
            left = node.left
            if offset < left.chars:
                node = left
            else:
                offset -= left.chars
                units += left.utf8 if utf8 else left.utf16
                node = node.right
        if node.utf8 == node.chars:
            return units + offset
        text = node.text[:offset]
        if utf8:
            return units + len(text.encode("utf-8", "surrogatepass"))
        return units + len(text.encode("utf-16-le", "surrogatepass")) // 2

    def offset_of(self, units: int, *, utf8: bool) -> tuple[int, int]:
        """The code point that holds the given UTF-8 byte or UTF-16 unit, and how far inside it that unit lies."""
        node, offset = self.root, 0
        while isinstance(node, Branch):
            left = node.left
            size = left.utf8 if utf8 else left.utf16
            if units < size:
                node = left
            else:
                units -= size
                offset += left.chars
                node = node.right
        if node.utf8 == node.chars:
            return offset + min(units, node.chars), 0
        return tree.within(node.text, units, offset, utf8=utf8)

    def fold(self, algebra: Fold[Value]) -> Value:
        """Fold the whole text, reusing what other ropes that share nodes with this one have computed."""
        return fold(self.root, algebra)

    def _after_break(self, number: int) -> tuple[int, int]:
        """The offset after the line end `number` (from 1), and its width."""
        node, base = self.root, 0
        while isinstance(node, Branch):
            left = node.left
            if number <= left.breaks:
                node = left
            else:
                number -= left.breaks
                base += left.chars
                node = node.right
        end = node.ends[number - 1]
        return base + end, 2 if node.text[end - 2 : end] == "\r\n" else 1


def fold(node: Node, algebra: Fold[Value]) -> Value:
    """`Rope.fold` of one node."""
    memo = node.memo
    if memo is not None and algebra in memo:
        value: Value = memo[algebra]
        return value
    if isinstance(node, Leaf):
        value = _leaf_value(node, algebra)
    else:
        value = algebra.join(fold(node.left, algebra), fold(node.right, algebra))
    if memo is None:
        memo = node.memo = {}
    memo[algebra] = value
    return value


def _leaf_value(leaf: Leaf, algebra: Fold[Value]) -> Value:
    edited = leaf.edited  # read once: another thread may edit on
    if edited is not None:
        old, start, old_end, new_end = edited
        if old.memo is not None and algebra in old.memo:
            found = algebra.edited(old.memo[algebra], old.text, leaf.text, (start, old_end, new_end))
            if found is not None:
                return found
    return algebra.leaf(leaf.text)


def paired(text: str) -> str:
    """The text with adjacent surrogate halves joined to the characters they spell."""
    if text.isascii() or not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def without_surrogates(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD: as many code points, and valid Unicode."""
    return SURROGATE.sub("\ufffd", text)
