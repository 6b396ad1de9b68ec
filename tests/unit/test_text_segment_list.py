"""Segments that an edit moves: as a plain list of moved segments would be, and what did not change is one object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.text.segment import Segment, SegmentKind
from inkling.text.segment_list import Segments

KINDS = (SegmentKind.PARAGRAPH, SegmentKind.HEADING)


def made(words: list[int], at: int = 0) -> list[Segment]:
    """Segments of two characters, one beside the other."""
    return [Segment(KINDS[word % 2], at + 3 * n, at + 3 * n + 2, f"w{word}") for n, word in enumerate(words)]


words = st.lists(st.integers(0, 5), max_size=8)
Edits = list[tuple[int, int, list[int]]]


@given(words, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), words), max_size=5))
def test_they_read_as_a_list_of_moved_segments(first: list[int], edits: Edits) -> None:
    plain, kept = made(first), Segments(made(first), apart=True)
    for at, width, new in edits:
        low = min(at, len(plain))
        high = min(low + width, len(plain))
        by = 3 * (len(new) - (high - low))
        fresh = made(new, 3 * low)
        before = kept
        plain = plain[:low] + fresh + [segment.moved(by) for segment in plain[high:]]
        kept = kept.replaced(low, high, fresh, by)
        assert kept == plain
        assert kept.apart
        assert kept[1:] == plain[1:]
        assert kept[::-1] == plain[::-1]
        assert kept.of({KINDS[0]}) == [segment for segment in plain if segment.kind is KINDS[0]]
        head, tail = kept.shared(before)
        assert head + tail <= min(len(kept), len(before))
        assert [s.text for s in kept[:head]] == [s.text for s in before[:head]]
        assert [s.text for s in kept[len(kept) - tail :]] == [s.text for s in before[len(before) - tail :]]
        assert head + tail >= min(len(kept), len(before)) - max(len(new), high - low)


def test_whether_they_lie_apart_is_seen() -> None:
    outer, inner, behind = (Segment(KINDS[0], *span, "x") for span in ((0, 9), (2, 5), (9, 12)))
    assert Segments([outer, behind]).apart
    assert not Segments([outer, inner]).apart
    assert Segments([outer, inner, behind])[1:].apart
    assert not Segments([outer, behind], apart=True)[::-1].apart
    assert Segments([outer]) != Segments([inner])
    assert Segments([outer]) != "x"
