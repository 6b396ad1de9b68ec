"""The mirror against a naive reference that does what the protocol says, in the client's own units."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.text import tree
from inkling.text.document import Change, Document, MirrorProblem
from inkling.text.encoding import Encoding, decode, encode
from inkling.text.position import Position
from inkling.text.tree import Branch, Node

PIECES = [
    "a",
    "bc",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "é",
    "日本",
    "😀",
    "👩‍👩‍👧",
    "\f",
    "\v",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\ufeff",
]
HALVES = ["\ud83d", "\ude00", "x\ud83d", "\ude01y"]
CODECS = {Encoding.UTF8: "utf-8", Encoding.UTF16: "utf-16-le", Encoding.UTF32: "utf-32-le"}
UNIT = {Encoding.UTF8: 1, Encoding.UTF16: 2, Encoding.UTF32: 4}


class Reference:
    """The document as a list of units, the way a client that counts them would keep it."""

    def __init__(self, text: str, encoding: Encoding) -> None:
        self.encoding = encoding
        self.units = self.split(text)

    def split(self, text: str) -> list[bytes]:
        data = text.encode(CODECS[self.encoding], "surrogatepass")
        size = UNIT[self.encoding]
        return [data[i : i + size] for i in range(0, len(data), size)]

    @property
    def text(self) -> str:
        text = b"".join(self.units).decode(CODECS[self.encoding], "surrogatepass")
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    def lines(self) -> list[tuple[int, int]]:
        """Each line's start and content end, in units."""
        size = UNIT[self.encoding]
        feed, ret = (char.encode(CODECS[self.encoding]) for char in "\n\r")
        assert len(feed) == size
        lines, start, i = [], 0, 0
        while i < len(self.units):
            width = 2 if self.units[i : i + 2] == [ret, feed] else 1 if self.units[i] in (feed, ret) else 0
            if width:
                lines.append((start, i))
                start = i + width
            i += width or 1
        return [*lines, (start, len(self.units))]

    def index(self, line: int, column: int) -> int:
        lines = self.lines()
        if line >= len(lines):
            return len(self.units)
        start, end = lines[line]
        index = min(start + column, end)
        while self.encoding is Encoding.UTF8 and index < end and self.units[index][0] & 0xC0 == 0x80:
            index -= 1
        return index

    def replace(self, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        self.units[self.index(*start) : self.index(*end)] = self.split(text)


def texts(halves: bool) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(PIECES + HALVES if halves else PIECES), max_size=12).map("".join)


@st.composite
def scripts(draw: st.DrawFn, encoding: Encoding) -> tuple[str, list[tuple[tuple[int, int], tuple[int, int], str]]]:
    text = texts(encoding is Encoding.UTF16)
    point = st.tuples(st.integers(0, 8), st.one_of(st.integers(0, 6), st.integers(0, 40)))
    edits = draw(st.lists(st.tuples(point, point, text), min_size=1, max_size=12))
    return draw(text), [(min(a, b), max(a, b), new) for a, b, new in edits]


def check_tree(node: Node) -> None:
    if isinstance(node, Branch):
        assert abs(node.left.height - node.right.height) <= 1
        check_tree(node.left)
        check_tree(node.right)


@pytest.fixture(params=[2, 16])
def small_leaves(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny leaves make every few characters cross a boundary of the tree."""
    monkeypatch.setattr(tree, "LEAF", request.param)
    monkeypatch.setattr(tree, "LEAF_MAX", 2 * request.param)
    monkeypatch.setattr(tree, "LEAF_MIN", max(1, request.param // 4))


@pytest.mark.usefixtures("small_leaves")
@pytest.mark.parametrize("encoding", Encoding)
def test_random_edit_scripts_match_the_reference(encoding: Encoding) -> None:
    @settings(max_examples=80, deadline=None)
    @given(scripts(encoding))
    def check(script: tuple[str, list[tuple[tuple[int, int], tuple[int, int], str]]]) -> None:
        text, edits = script
        document, reference = Document("file:///a", "x", 0, text, encoding), Reference(text, encoding)
        taken = []
        for version, (start, end, new) in enumerate(edits, 1):
            document.apply([Change(new, start, end)], version)
            reference.replace(start, end, new)
            snapshot = document.snapshot
            taken.append((snapshot, reference.text))
            assert "".join(snapshot.line(i) for i in range(snapshot.line_count)) == re.sub("[\r\n]", "", reference.text)
            lines = reference.lines()
            assert snapshot.line_count == len(lines)
            for line, (first, last) in enumerate(lines):
                if encoding is not Encoding.UTF32 or not snapshot.rope.root.lone:
                    assert encode(snapshot, Position(line, 10**6), encoding) == (line, last - first)
            check_tree(snapshot.rope.root)
        assert all(snapshot.text == text for snapshot, text in taken), "a snapshot changed after it was taken"

    check()


@pytest.mark.parametrize("encoding", Encoding)
def test_positions_go_to_the_client_and_back(encoding: Encoding) -> None:
    @settings(max_examples=100, deadline=None)
    @given(texts(halves=False))
    def check(text: str) -> None:
        snapshot = Document("file:///a", "x", 0, text, encoding).snapshot
        for offset in range(len(text) + 1):
            position = snapshot.position(offset)
            assert decode(snapshot, *encode(snapshot, position, encoding), encoding) == position
            inside_crlf = text[offset - 1 : offset + 1] == "\r\n"
            assert snapshot.offset(position) == offset - inside_crlf

    check()


@pytest.mark.parametrize(
    ("text", "changes", "version", "expected", "problems"),
    [
        ("ab\ncd", [Change("X", (0, 1), (1, 1))], 2, "aXd", []),
        ("ab\ncd", [Change("X", (0, 99), (0, 99))], 2, "abX\ncd", []),
        ("ab\r\ncd", [Change("X", (0, 3), (0, 3))], 2, "abX\r\ncd", []),
        ("ab\n", [Change("X", (7, 0), (9, 9))], 2, "ab\nX", []),
        ("ab\ncd", [Change("X", (1, 1), (0, 1))], 2, "aXd", [MirrorProblem.INVERTED_RANGE]),
        ("ab", [Change("X", (0, -3), (0, 1))], 2, "Xb", [MirrorProblem.NEGATIVE_POSITION]),
        ("ab", [Change("X", (0, 0), (0, 1))], 0, "ab", [MirrorProblem.STALE_VERSION]),
        (
            "ab",
            [Change("X", (0, 0), (0, 1)), Change("new"), Change("!", (0, 3), (0, 3))],
            0,
            "new!",
            [MirrorProblem.STALE_VERSION],
        ),
        ("ab", [Change("X", (0, 0), (0, 1))], 1, "Xb", [MirrorProblem.REPEATED_VERSION]),
        ("ab", [Change("X", (0, 0), (0, 1))], None, "Xb", []),
        ("😀", [Change("X", (0, 1), (0, 1))], 2, "\ufffdX\ufffd", [MirrorProblem.LONE_SURROGATE]),
        ("😀", [Change("\ude01", (0, 1), (0, 2))], 2, "😁", []),
        ("a", [Change("\ud83d", (0, 1), (0, 1)), Change("\ude00", (0, 2), (0, 2))], 2, "a😀", []),
        ("a\fb\u2028c", [Change("X", (0, 5), (0, 5))], 2, "a\fb\u2028cX", []),
        ("a\r", [Change("\n", (1, 0), (1, 0)), Change("X", (1, 0), (1, 0))], 2, "a\r\nX", []),
    ],
)
def test_named_cases(
    text: str, changes: list[Change], version: int | None, expected: str, problems: list[MirrorProblem]
) -> None:
    document = Document("file:///a", "x", 1, text)
    assert list(document.apply(changes, version)) == problems
    assert document.snapshot.text == expected


def test_a_split_utf8_character_is_reported_and_kept_whole() -> None:
    document = Document("file:///a", "x", 1, "aé", Encoding.UTF8)
    assert document.apply([Change("X", (0, 2), (0, 3))], 2) == (MirrorProblem.SPLIT_CHARACTER,)
    assert document.snapshot.text == "aX"


def test_a_rejected_change_leaves_the_snapshot_alone() -> None:
    document = Document("file:///a", "x", 5, "ab")
    before = document.snapshot
    document.apply([Change("X", (0, 0), (0, 0))], 3)
    assert document.snapshot is before
