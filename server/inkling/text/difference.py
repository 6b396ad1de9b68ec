"""Where two versions of a text differ: one stretch of the old became one of the new."""

from __future__ import annotations

from inkling.shared_prefix import common_prefix
from inkling.text.rope import Rope
from inkling.text.tree import Branch, Node

Difference = tuple[int, int, int]
"""`old[start:old_end]` became `new[start:new_end]`: (start, old end, new end), as short as can be."""


def difference(old: str, new: str) -> Difference:
    """Found by bisection."""
    start = common_prefix(old, new)
    tail, high = 0, min(len(old), len(new)) - start
    while tail < high:
        middle = (tail + high + 1) // 2
        if old[len(old) - middle : len(old) - tail] == new[len(new) - middle : len(new) - tail]:
            tail = middle
        else:
            high = middle - 1
    return start, len(old) - tail, len(new) - tail


def rope_difference(old: Rope, new: Rope) -> Difference:
    """As `difference`, without a look at what the two share: O(log n) between a rope and an edited one."""
    if old.root is new.root:
        return len(old), len(old), len(old)
    head = _shared(old.root, new.root, from_end=False)
    tail = min(_shared(old.root, new.root, from_end=True), min(len(old), len(new)) - head)
    start, old_end, new_end = difference(old.slice(head, len(old) - tail), new.slice(head, len(new) - tail))
    return head + start, head + old_end, head + new_end


def _shared(old: Node, new: Node, *, from_end: bool) -> int:
    """The code points in the nodes that both begin (or end) with."""
    olds, news, shared = [old], [new], 0
    while olds and news:
        first, second = olds.pop(), news.pop()
        if first is second:
            shared += first.chars
            continue
        opened = False
        for node, stack, other in ((first, olds, second), (second, news, first)):
            if isinstance(node, Branch) and node.height >= other.height:
                stack += (node.left, node.right) if from_end else (node.right, node.left)
                opened = True
            else:
                stack.append(node)
        if not opened:
            break
    return shared
