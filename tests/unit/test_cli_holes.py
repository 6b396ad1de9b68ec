"""Holes put back give the file again; scores are what their definitions say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.cli.bench import Result, recommend
from inkling.cli.holes import KINDS, edit_similarity, is_exact, is_right_so_far, levenshtein, punch, source_files

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_hole_and_what_stood_there_are_the_file(kind: str, seed: int) -> None:
    files = source_files(ROOT / "server", [".py"])
    holes = list(punch(files, 20, kinds=[kind], seed=seed))
    assert len(holes) == 20
    for hole in holes:
        assert hole.before + hole.expected + hole.after == hole.path.read_text(encoding="utf-8")
        assert hole.expected.strip()
        assert kind == "block" or "\n" not in hole.expected


def test_the_same_seed_gives_the_same_holes() -> None:
    files = source_files(ROOT / "server", [".py"])
    assert list(punch(files, 10, seed=3)) == list(punch(files, 10, seed=3))
    assert list(punch(files, 10, seed=3)) != list(punch(files, 10, seed=4))


def test_files_without_a_fit_line_end_the_search(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n")
    (tmp_path / "b.py").write_bytes(b"\xff" * 100)
    assert list(punch(source_files(tmp_path, [".py"]), 5)) == []


@pytest.mark.parametrize(
    ("shown", "expected", "exact", "similarity"),
    [
        ("abc", "abc", True, 1.0),
        ("abc  ", "abc", True, 0.6),
        ("abc\nmore", "abc\nother", True, None),
        ("abd", "abc", False, 2 / 3),
        ("", "abcd", False, 0.0),
    ],
)
def test_scores(shown: str, expected: str, exact: bool, similarity: float | None) -> None:
    assert is_exact(shown, expected) is exact
    if similarity is not None:
        assert edit_similarity(shown, expected) == pytest.approx(similarity)


@pytest.mark.parametrize(
    ("shown", "expected", "right"),
    [
        ("ab", "abc", True),
        ("abc ", "abc\nd", True),
        ("abd", "abc", False),
        ("abcd", "abc", False),
        ("ab\nx", "abc", True),
    ],
)
def test_right_so_far(shown: str, expected: str, right: bool) -> None:
    assert is_right_so_far(shown, expected) is right


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_levenshtein_is_a_metric(a: str, b: str, c: str) -> None:
    assert (levenshtein(a, b) == 0) == (a == b)
    assert levenshtein(a, b) == levenshtein(b, a)
    assert levenshtein(a, c) <= levenshtein(a, b) + levenshtein(b, c)
    assert levenshtein(a, b) <= max(len(a), len(b))


def test_recommends_the_most_exact_of_those_in_time() -> None:
    slow = Result("slow", "auto", asked=10, shown=9, exact=9, first_ms=[2000.0])
    good = Result("good", "auto", asked=10, shown=5, exact=4, first_ms=[80.0])
    weak = Result("weak", "auto", asked=10, shown=5, exact=1, first_ms=[10.0])
    assert recommend([slow, weak, good]) is good
    assert recommend([slow]) is None
