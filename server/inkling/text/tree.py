"""The tree under a rope: immutable AVL nodes with text in the leaves, and sums of it in every node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

LEAF = 1024
"""Code points that a new leaf gets."""
LEAF_MAX = 2 * LEAF
LEAF_MIN = LEAF // 4

LINE_END = re.compile(r"\r\n|\r|\n")
SURROGATE = re.compile("[\ud800-\udfff]")


class Leaf:
    """A run of text and its sums."""

    __slots__ = ("_ends", "breaks", "chars", "edited", "lone", "memo", "text", "utf8", "utf16")
    height: int = 0

    def __init__(self, text: str, edited: tuple[Leaf, int, int, int] | None = None) -> None:
        self.edited = edited
        """The leaf that this one was made of by an edit inside it, and where: (it, start, old end, new end)."""
        if edited is not None:
            edited[0].edited = None  # one step back is enough, and old texts must not pile up
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
            self.lone = len(SURROGATE.findall(text))
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


def within(text: str, units: int, offset: int, *, utf8: bool) -> tuple[int, int]:
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


def leaves(text: str) -> list[Leaf]:
    """A text cut into leaves of even size, no pair of line-end characters apart."""
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


def build(leaves: list[Leaf]) -> Node:
    """A balanced tree of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    return Branch(build(leaves[:half]), build(leaves[half:]))


def balanced(left: Node, right: Node) -> Node:
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


def join(left: Node, right: Node) -> Node:
    """The tree of two texts, one after the other. O(difference of heights)."""
    if isinstance(left, Branch) and left.height > right.height + 1:
        return balanced(left.left, join(left.right, right))
    if isinstance(right, Branch) and right.height > left.height + 1:
        return balanced(join(left, right.left), right.right)
    return Branch(left, right)


def join_some(left: Node | None, right: Node | None) -> Node | None:
    """`join`, where either side may be missing."""
    if left is None:
        return right
    return left if right is None else join(left, right)


def leaf_at(node: Node, offset: int) -> tuple[Leaf, int]:
    """The leaf that holds an offset (the last one, for the end), and the offset inside it."""
    while isinstance(node, Branch):
        left = node.left
        if offset < left.chars:
            node = left
        else:
            offset -= left.chars
            node = node.right
    return node, offset


def put(node: Node, offset: int, leaf: Leaf) -> Node:
    """The tree with the leaf that holds `offset` replaced."""
    if isinstance(node, Leaf):
        return leaf
    left = node.left
    if offset < left.chars:
        return Branch(put(left, offset, leaf), node.right)
    return Branch(left, put(node.right, offset - left.chars, leaf))


def cut(node: Node, offset: int) -> tuple[Node | None, Leaf, int, Node | None]:
    """The leaf that holds `offset` and the offset inside it, with the trees before and after that leaf."""
    if isinstance(node, Leaf):
        return None, node, offset, None
    if offset < node.left.chars:
        before, leaf, inner, after = cut(node.left, offset)
        return before, leaf, inner, join_some(after, node.right)
    before, leaf, inner, after = cut(node.right, offset - node.left.chars)
    return join_some(node.left, before), leaf, inner, after


def pop_last(node: Node) -> tuple[Node | None, Leaf]:
    """The tree without its last leaf, and that leaf."""
    before, leaf, _, _ = cut(node, node.chars)
    return before, leaf


def pop_first(node: Node) -> tuple[Node | None, Leaf]:
    """The tree without its first leaf, and that leaf."""
    _, leaf, _, after = cut(node, 0)
    return after, leaf


def leaves_of(node: Node) -> Iterator[Leaf]:
    """The leaves of a tree, in order."""
    stack = [node]
    while stack:
        node = stack.pop()
        while isinstance(node, Branch):
            stack.append(node.right)
            node = node.left
        yield node


def collect(node: Node, start: int, end: int, parts: list[str]) -> None:
    """Append the texts that make up `[start, end)` of a tree."""
    if isinstance(node, Leaf):
        parts.append(node.text[max(start, 0) : end])
    elif start <= 0 and end >= node.chars:
        parts += [leaf.text for leaf in leaves_of(node)]
    else:
        size = node.left.chars
        if start < size:
            collect(node.left, start, min(end, size), parts)
        if end > size:
            collect(node.right, start - size, end - size, parts)
