"""Exact token counts of a rope under one tokenizer, at the cost of the edit.

Each node of the rope remembers the count of the tokens between the first and the last safe cut in it, and the text
before and after them, whose tokens depend on the neighbours. An edit makes a handful of new nodes; all else is reused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from inkling.text.boundaries import Boundaries, boundaries
from inkling.text.rope import Rope, without_surrogates
from inkling.text.token_span import TokenSpan
from inkling.text.tree import Branch, Leaf, Node

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST_PART = 16 * 1024
"""Code points without a safe cut above which a text counts as having none."""
_REMEMBERED = 256
"""Code points of the longest parts whose counts are remembered: what joins two leaves is seldom longer."""
_REMEMBERED_TEXT = 1024
"""Code points of the longest texts by themselves whose counts are remembered: who looks at a function looks again."""
_REACH = 48
"""Code points looked at first on each side of a token for safe cuts, which are seldom further apart than two words."""
BATCH = 256
"""Leaves tokenized in one call, with the interpreter free for other threads: about 0.1 s."""


class Part(NamedTuple):
    """A text between two places in a document: its tokens from the first safe cut to the last, and what lies outside.

    `tail` is None, and `head` the whole text, where there is no safe cut.
    """

    head: str
    tokens: int
    tail: str | None


class Unsplittable(Exception):
    """The text has a stretch of `LONGEST_PART` without a safe cut."""


class Counter:
    """A tokenizer and its safe cuts; the algebra that ropes fold. Counts leave out what a template adds."""

    def __init__(self, tokenizer_json: str) -> None:
        from tokenizers import Tokenizer, processors

        # counts and offsets of the bare text: no cutting off, no template, no trimming of offsets, no dropout
        self.tokenizer: Tokenizer = Tokenizer.from_str(tokenizer_json)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.post_processor = processors.Sequence([])
        if getattr(self.tokenizer.model, "dropout", None) is not None:
            self.tokenizer.model.dropout = None
        added = self.tokenizer.get_added_tokens_decoder()
        self._special = frozenset(number for number, token in added.items() if token.special)
        self._added = frozenset(added)
        spec = json.loads(self.tokenizer.to_str())
        self._unknown = _unknown_id(self.tokenizer, spec["model"])
        self._remembered_texts = lru_cache(maxsize=1024)(self._count)
        self.boundaries = boundaries(spec, self._normalize)
        self._prepare_guards()
        self._remembered = lru_cache(maxsize=32768)(self._between)
        if self.boundaries.pattern is not None and not self._check([token.content for token in added.values()]):
            self.boundaries = Boundaries(reason="its parts did not add up in a self-check")

    def count(self, text: str) -> int:
        """Tokens of a text by itself."""
        return self._remembered_texts(text) if len(text) <= _REMEMBERED_TEXT else self._count(text)

    def _count(self, text: str) -> int:
        return len(self.tokenizer.encode_batch_fast([without_surrogates(text)], add_special_tokens=False)[0])

    def count_rope(self, rope: Rope) -> int:
        """Tokens of a whole rope. Raises `Unsplittable`; needs boundaries."""
        part = rope.fold(self)
        if part.tail is None:
            return self.count(part.head)
        return self._first(part.head) + part.tokens + self._last(part.tail)

    def is_cheap(self, rope: Rope) -> bool:
        """Whether a count touches so few new nodes that it takes less than about a millisecond."""
        leaves, nodes, stack = 0, 0, [rope.root]
        while stack and leaves <= 2 and nodes <= 64:
            node = stack.pop()
            if node.memo is not None and self in node.memo:
                continue
            nodes += 1
            if isinstance(node, Branch):
                stack += (node.left, node.right)
            else:
                leaves += 1
        return leaves <= 2 and nodes <= 64

    def cold_leaves(self, rope: Rope) -> Iterator[Leaf]:
        """The leaves that no fold has seen yet."""
        stack: list[Node] = [rope.root]
        while stack:
            node = stack.pop()
            if node.memo is not None and self in node.memo:
                continue
            if isinstance(node, Branch):
                stack += (node.right, node.left)
            else:
                yield node

    def warm(self, leaves: list[Leaf]) -> None:
        """Count several leaves in one call that lets other threads run."""
        split = [self._split(leaf.text) for leaf in leaves]
        middles = self._encode_all([middle for _, middle, tail in split if tail is not None])
        for leaf, (head, _, tail) in zip(leaves, split, strict=True):
            memo = leaf.memo = leaf.memo or {}
            memo[self] = Part(head, next(middles) if tail is not None else 0, tail)

    def leaf(self, text: str) -> Part:
        """The algebra: a leaf."""
        head, middle, tail = self._split(text)
        return Part(head, self._between(middle) if middle else 0, tail)

    def edited(self, old: Part, old_text: str, text: str, span: tuple[int, int, int]) -> Part | None:
        """The algebra: a leaf after an edit. From the last safe cut before it to the first one behind it is counted."""
        pattern = self.boundaries.pattern
        if old.tail is None or pattern is None:
            return None
        start, old_end, new_end = span
        by = new_end - old_end
        first, last = len(old.head), len(old_text) - len(old.tail)
        low, high = max(0, start - _REACH), min(len(old_text), old_end + _REACH)
        # a cut depends on the characters around it: it must be there with the old text and with the new
        before = _cuts(pattern, old_text, low, high) & _cuts(pattern, text, low, high + by)
        begin = max((cut for cut in before if first <= cut <= start), default=None)
        after = _cuts(pattern, old_text, low, high) & {cut - by for cut in _cuts(pattern, text, low, high + by)}
        end = min((cut for cut in after if old_end <= cut <= last), default=None)
        if begin is None or end is None:
            return None
        changed = self.between(text[begin : end + by]) - self.between(old_text[begin:end])
        return Part(old.head, old.tokens + changed, old.tail)

    def join(self, left: Part, right: Part) -> Part:
        """The algebra: two neighbours."""
        if left.tail is not None and right.tail is not None:
            return Part(left.head, left.tokens + self.between(left.tail + right.head) + right.tokens, right.tail)
        if left.tail is not None:
            head, count, tail = self.leaf(left.tail + right.head)
            if tail is None:
                return Part(left.head, left.tokens, head)
            return Part(left.head, left.tokens + self.between(head) + count, tail)
        head, count, tail = self.leaf(left.head + right.head)
        if right.tail is None:
            return Part(head, count, tail)
        if tail is None:
            return Part(head, right.tokens, right.tail)
        return Part(head, count + self.between(tail) + right.tokens, right.tail)

    def token_at(self, rope: Rope, offset: int) -> TokenSpan | None:
        """The token that covers the character at `offset`; None in white space that no token covers, or at the end."""
        if not 0 <= offset < len(rope):
            return None
        return next(iter(self.tokens_in(rope, offset, offset + 1)), None)

    def tokens_in(self, rope: Rope, start: int, end: int) -> list[TokenSpan]:
        """The tokens that have a character between two offsets, in order, as the whole document would have them."""
        start, end = max(start, 0), min(end, len(rope))
        if start >= end:
            return []
        begin, text = self._around(rope, start, end - 1)
        guard = self._guard(text) if begin else ""
        tail = self._end if begin + len(text) < len(rope) else ""
        encoding = self.tokenizer.encode_batch([guard + text + tail], add_special_tokens=False)[0]
        base, stop = begin - len(guard), begin + len(text)
        found = []
        for number, piece, (first, last) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True):
            low, high = max(base + first, begin), min(base + last, stop)
            if low < high and low < end and high > start:
                special, added = number in self._special, number in self._added
                found.append(TokenSpan(number, piece, low, high, special, added, number == self._unknown))
        return found

    def _around(self, rope: Rope, first: int, last: int) -> tuple[int, str]:
        """The text between the nearest safe cuts around the characters `first` to `last`, and where it starts."""
        reach = _REACH
        pattern = self.boundaries.pattern
        while True:
            low, high = max(0, first - reach), min(len(rope), last + reach)
            text = without_surrogates(rope.slice(low, high))
            whole = low == 0 and high == len(rope)
            if pattern is None and not whole:
                reach = len(rope)
                continue
            cuts = [low + m.start() for m in pattern.finditer(text)] if pattern is not None else []
            start = max((cut for cut in cuts if cut <= first), default=0 if low == 0 else None)
            end = min((cut for cut in cuts if cut > last), default=len(rope) if high == len(rope) else None)
            if start is not None and end is not None:
                return start, text[start - low : end - low]
            reach *= 4

    def _split(self, text: str) -> tuple[str, str, str | None]:
        """What lies before, between and after the safe cuts in a text."""
        text = without_surrogates(text)
        assert self.boundaries.pattern is not None
        cuts = [match.start() for match in self.boundaries.pattern.finditer(text)]
        if not cuts:
            if len(text) > LONGEST_PART:
                raise Unsplittable
            return text, "", None
        return text[: cuts[0]], text[cuts[0] : cuts[-1]], text[cuts[-1] :]

    def _prepare_guards(self) -> None:
        """Texts put around a part to keep it from effects at the ends of a text, and their own counts."""
        found = self.boundaries
        self._end = " a" if found.end_effect else ""
        self._starts = ("a", "a\n") if found.start_effect else ("", "")
        self._start_counts = {start: self.count(start) for start in self._starts}
        self._both_counts = {start: self.count(start + self._end) for start in self._starts}
        self._end_count = self._both_counts[self._starts[0]] - self._start_counts[self._starts[0]]

    def _guard(self, part: str) -> str:
        return self._starts[1 if self.boundaries.line and part[:1] not in "\r\n\t " else 0]

    def between(self, part: str) -> int:
        """Tokens of a part that has a safe cut at both ends."""
        return self._remembered(part) if len(part) <= _REMEMBERED else self._between(part)

    def _between(self, part: str) -> int:
        if not part:
            return 0
        guard = self._guard(part)
        return self._count(guard + part + self._end) - self._both_counts[guard]

    def _first(self, part: str) -> int:
        return self.count(part + self._end) - self._end_count if part else 0

    def _last(self, part: str) -> int:
        guard = self._guard(part)
        return self.count(guard + part) - self._start_counts[guard] if part else 0

    def _encode_all(self, parts: list[str]) -> Iterator[int]:
        guards = [self._guard(part) for part in parts]
        guarded = [guard + part + self._end for guard, part in zip(guards, parts, strict=True)]
        encodings = self.tokenizer.encode_batch_fast(guarded, add_special_tokens=False) if guarded else []
        for part, guard, encoding in zip(parts, guards, encodings, strict=True):
            yield len(encoding) - self._both_counts[guard] if part else 0

    def _normalize(self, text: str) -> str:
        normalizer = self.tokenizer.normalizer
        normalized: str = text if normalizer is None else normalizer.normalize_str(text)
        return normalized

    def _check(self, added: list[str]) -> bool:
        """Try every cut of texts made to be hard: no text may count differently for being cut."""
        import random

        pick = random.Random(0)  # noqa: S311 - reproducible, not secret
        pieces = [*_HARD, *pick.sample(added, min(len(added), 24))]
        pattern = self.boundaries.pattern
        assert pattern is not None
        for _ in range(12):
            text = "".join(pick.choices(pieces, k=60))
            cuts = [match.start() for match in pattern.finditer(text)]
            if not cuts:
                continue
            parts = [text[start:end] for start, end in pairwise(cuts)]
            total = self._first(text[: cuts[0]]) + sum(self._encode_all(parts)) + self._last(text[cuts[-1] :])
            if total != self._count(text):
                return False
        return True


def _cuts(pattern: re.Pattern[str], text: str, low: int, high: int) -> set[int]:
    """The safe cuts in a stretch of a text; one that depends on what lies behind the stretch may be missing."""
    return {low + match.start() for match in pattern.finditer(text[low:high])}


def _unknown_id(tokenizer: Tokenizer, model: dict[str, Any]) -> int | None:
    """The token for what the vocabulary lacks, if there is one. Unigram gives its number, the others its name."""
    number, name = model.get("unk_id"), model.get("unk_token")
    return number if isinstance(number, int) else tokenizer.token_to_id(name) if isinstance(name, str) else None


_HARD = (
    "a", "Word", " the", "x1", "12345", "é", "naïve", "日本語", "。", "\U0001f600",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", " ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", "\r", " \n",
    "\n ", "\n    ", ";\n", "{\n", ")\n\n  ", "'s", "'", '"', "(", ")", "...", "--", "_", "->", "==", "\xa0",
    "\u3000", "\u200b", "e\u0301", "don't", "I'll", "``", "''", "\u2028", "\x0c", "\x1c", "\x85", "ﬁ", "①",
    "İ", "ß", "▁", "Ġ", "<", ">", "|", "/", "//", "#", "http://a.b",
)  # fmt: skip
"""Pieces of text around which tokenizers differ."""
