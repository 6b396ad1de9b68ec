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

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

LEAF = 1024
"""Code points that a new leaf gets."""
LEAF_MAX = 2 * LEAF
LEAF_MIN = LEAF // 4

LINE_END = re.compile(r"\r\n|\r|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")

Value = TypeVar("Value")


class Leaf:
    """A run of text and its sums."""

    __slots__ = ("_ends", "breaks", "chars", "lone", "memo", "text", "utf8", "utf16")
    height: int = 0

    def __init__(self, text: str) -> None:
        self.text = text
        self.chars = chars = len(text)
        feeds, returns = text.count("\n"), text.count("\r")
        self.breaks = feeds + returns - text.count("\r\n") if returns else feeds
        self.lone = 0
        if text.isascii():
            self.utf8 = self.utf16 = chars
        else:
            self.utf8 = len(text.encode("utf-8", "surrogatepass"))
            self.utf16 = len(text.encode("utf-16-le", "surrogatepass")) // 2
            self.lone = len(_SURROGATE.findall(text))
        self._ends: tuple[int, ...] | None = None
        self.memo: dict[Any, Any] | None = None

    @property
    def ends(self) -> tuple[int, ...]:
        """Offsets just after each line end, inside this leaf."""
        if self._ends is None:
            self._ends = tuple([m.end() for m in LINE_END.finditer(self.text)]) if self.breaks else ()
        return self._ends


class Branch:
    """Two subtrees and the sums of both."""

    __slots__ = ("breaks", "chars", "height", "left", "lone", "memo", "right", "utf8", "utf16")

    def __init__(self, left: Node, right: Node) -> None:
        self.left = left
        self.right = right
        self.height: int = (left.height if left.height > right.height else right.height) + 1
        self.chars: int = left.chars + right.chars
        self.breaks: int = left.breaks + right.breaks
        self.utf8: int = left.utf8 + right.utf8
        self.utf16: int = left.utf16 + right.utf16
        self.lone: int = left.lone + right.lone
        self.memo: dict[Any, Any] | None = None


Node = Leaf | Branch


class Fold(Protocol[Value]):
    """A sum of the caller's own, kept per node: the cost after an edit is that of the copied path."""

    def leaf(self, text: str) -> Value:
        """The value of a leaf's text."""
        ...

    def join(self, left: Value, right: Value) -> Value:
        """The value of two adjacent texts; associative."""
        ...


class Rope:
    """An immutable text. Offsets are code points."""

    __slots__ = ("root",)

    def __init__(self, root: Node) -> None:
        self.root = root

    @classmethod
    def of(cls, text: str) -> Rope:
        """A rope of a whole text."""
        return cls(_build(_leaves(paired(text))))

    def __len__(self) -> int:
        return self.root.chars

    @property
    def line_count(self) -> int:
        """Lines; the text after the last line end is one, be it empty."""
        return self.root.breaks + 1

    def replace(self, start: int, end: int, text: str) -> Rope:
        """The rope with `[start, end)` replaced by `text`; needs 0 ≤ start ≤ end ≤ len. O(log n + len(text))."""
        text = paired(text)
        first, i = _leaf_at(self.root, start)
        if i and i + end - start < first.chars:
            new = first.text[:i] + text + first.text[i + end - start :]
            if LEAF_MIN <= len(new) <= LEAF_MAX and not first.lone and not _SURROGATE.search(text):
                return Rope(_put(self.root, start, Leaf(new)))
        before, first, i, _ = _cut(self.root, start)
        _, last, j, after = _cut(self.root, end)
        middle = first.text[:i] + text + last.text[j:]
        while before is not None and (len(middle) < LEAF_MIN or middle[0] == "\n" or "\udc00" <= middle[0] <= "\udfff"):
            before, leaf = _pop_last(before)
            middle = leaf.text + middle
        while after is not None and (
            len(middle) < LEAF_MIN or middle[-1] == "\r" or "\ud800" <= middle[-1] <= "\udbff"
        ):
            after, leaf = _pop_first(after)
            middle += leaf.text
        root = _build(_leaves(paired(middle)))
        if before is not None:
            root = _join(before, root)
        return Rope(_join(root, after) if after is not None else root)

    def slice(self, start: int, end: int) -> str:
        """The text of `[start, end)`; needs 0 ≤ start ≤ end ≤ len."""
        leaf, i = _leaf_at(self.root, start)
        if i + end - start <= leaf.chars:
            return leaf.text[i : i + end - start]
        parts: list[str] = []
        _collect(self.root, start, end, parts)
        return "".join(parts)

    def leaves(self) -> Iterator[Leaf]:
        """The leaves in order."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            while isinstance(node, Branch):
                stack.append(node.right)
                node = node.left
            yield node

    def line_span(self, line: int) -> tuple[int, int, int]:
        """Offsets of a line: its start, the end of its content, the end of its line end. 0 ≤ line < line_count."""
        start = self._after_break(line)[0] if line else 0
        if line == self.root.breaks:
            return start, self.root.chars, self.root.chars
        end, width = self._after_break(line + 1)
        return start, end - width, end

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
        return _within(node.text, units, offset, utf8=utf8)

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
        value = algebra.leaf(node.text)
    else:
        value = algebra.join(fold(node.left, algebra), fold(node.right, algebra))
    if memo is None:
        memo = node.memo = {}
    memo[algebra] = value
    return value


def paired(text: str) -> str:
    """The text with adjacent surrogate halves joined to the characters they spell."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def without_surrogates(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD: as many code points, and valid Unicode."""
    return _SURROGATE.sub("\ufffd", text)


def _within(text: str, units: int, offset: int, *, utf8: bool) -> tuple[int, int]:
    """`Rope.offset_of` inside a leaf that begins at `offset`."""
    inside = 0
    if utf8:
        data = text.encode("utf-8", "surrogatepass")
        while units < len(data) and data[units] & 0xC0 == 0x80:
            units, inside = units - 1, inside + 1
        return offset + len(data[:units].decode("utf-8", "surrogatepass")), inside
    data = text.encode("utf-16-le", "surrogatepass")
    if 0 < units < len(data) // 2 and data[2 * units + 1] & 0xFC == 0xDC and data[2 * units - 1] & 0xFC == 0xD8:
        units, inside = units - 1, 1
    return offset + len(data[: 2 * units].decode("utf-16-le", "surrogatepass")), inside


def _leaves(text: str) -> list[Leaf]:
    if len(text) <= LEAF_MAX:
        return [Leaf(text)]
    leaves = []
    count = -(-len(text) // LEAF)
    start = 0
    for number in range(1, count + 1):
        end = len(text) * number // count
        if end < len(text) and text[end - 1] == "\r" and text[end] == "\n":
            end += 1
        leaves.append(Leaf(text[start:end]))
        start = end
    return leaves


def _build(leaves: list[Leaf]) -> Node:
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    return Branch(_build(leaves[:half]), _build(leaves[half:]))


def _balanced(left: Node, right: Node) -> Node:
    """A branch of two trees whose heights differ by two at most."""
    if isinstance(left, Branch) and left.height > right.height + 1:
        inner = left.right
        if left.left.height >= inner.height or isinstance(inner, Leaf):
            return Branch(left.left, Branch(inner, right))
        return Branch(Branch(left.left, inner.left), Branch(inner.right, right))
    if isinstance(right, Branch) and right.height > left.height + 1:
        inner = right.left
        if right.right.height >= inner.height or isinstance(inner, Leaf):
            return Branch(Branch(left, inner), right.right)
        return Branch(Branch(left, inner.left), Branch(inner.right, right.right))
    return Branch(left, right)


def _join(left: Node, right: Node) -> Node:
    if isinstance(left, Branch) and left.height > right.height + 1:
        return _balanced(left.left, _join(left.right, right))
    if isinstance(right, Branch) and right.height > left.height + 1:
        return _balanced(_join(left, right.left), right.right)
    return Branch(left, right)


def _join_some(left: Node | None, right: Node | None) -> Node | None:
    if left is None:
        return right
    return left if right is None else _join(left, right)


def _leaf_at(node: Node, offset: int) -> tuple[Leaf, int]:
    while isinstance(node, Branch):
        left = node.left
        if offset < left.chars:
            node = left
        else:
            offset -= left.chars
            node = node.right
    return node, offset


def _put(node: Node, offset: int, leaf: Leaf) -> Node:
    """The tree with the leaf that holds `offset` replaced."""
    if isinstance(node, Leaf):
        return leaf
    left = node.left
    if offset < left.chars:
        return Branch(_put(left, offset, leaf), node.right)
    return Branch(left, _put(node.right, offset - left.chars, leaf))


def _cut(node: Node, offset: int) -> tuple[Node | None, Leaf, int, Node | None]:
    """The leaf that holds `offset` and the offset inside it, with the trees before and after that leaf."""
    if isinstance(node, Leaf):
        return None, node, offset, None
    if offset < node.left.chars:
        before, leaf, inner, after = _cut(node.left, offset)
        return before, leaf, inner, _join_some(after, node.right)
    before, leaf, inner, after = _cut(node.right, offset - node.left.chars)
    return _join_some(node.left, before), leaf, inner, after


def _pop_last(node: Node) -> tuple[Node | None, Leaf]:
    before, leaf, _, _ = _cut(node, node.chars)
    return before, leaf


def _pop_first(node: Node) -> tuple[Node | None, Leaf]:
    _, leaf, _, after = _cut(node, 0)
    return after, leaf


def _collect(node: Node, start: int, end: int, parts: list[str]) -> None:
    if isinstance(node, Leaf):
        parts.append(node.text[max(start, 0) : end])
        return
    size = node.left.chars
    if start < size:
        _collect(node.left, start, min(end, size), parts)
    if end > size:
        _collect(node.right, start - size, end - size, parts)


def difference(old: Rope, new: Rope) -> tuple[int, int, int]:
    """Where two ropes differ: `old[start:old_end]` became `new[start:new_end]`. Cheap where they share leaves."""
    before, after = list(old.leaves()), list(new.leaves())
    start = first = 0
    shortest = min(len(before), len(after))
    while first < shortest and before[first] is after[first]:
        start += before[first].chars
        first += 1
    tail = last = 0
    while last < shortest - first and before[-1 - last] is after[-1 - last]:
        tail += before[-1 - last].chars
        last += 1
    left = "".join([leaf.text for leaf in before[first : len(before) - last]])
    right = "".join([leaf.text for leaf in after[first : len(after) - last]])
    same = _common(left, right)
    rest = _common(left[same:][::-1], right[same:][::-1])
    return start + same, start + len(left) - rest, start + len(right) - rest


def _common(left: str, right: str) -> int:
    """Length of the common beginning, by bisection: comparing slices is far cheaper than a loop over characters."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
