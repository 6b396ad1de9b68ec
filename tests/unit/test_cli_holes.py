"""Holes put back give the file again; scores are what their definitions say."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.cli import bench
from inkling.cli.bench import Result, recommend
from inkling.cli.holes import KINDS, Hole, edit_similarity, is_exact, is_right_so_far, levenshtein, punch, source_files

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


class Slow:
    """A session whose model is ready after so many requests, and says `reason` until then."""

    def __init__(self, requests: int, reason: str = "engine-slow", error: str = "") -> None:
        self.left, self.reason, self.error = requests, reason, error
        self.opened: list[str] = []

    async def request(self, method: str, params: Any) -> Any:
        if method == "textDocument/inlineCompletion":
            self.left -= 1
            return None
        state = "ready" if self.left <= 0 else "loading"
        model = {"id": "m", "state": state, "error": self.error if self.left <= 0 else ""}
        reason = self.reason if self.left > 0 else "low-confidence"
        return {"engine": {"models": [model]}, "reasons": [{"uri": self.opened[-1], "reason": reason}]}

    def open_document(self, uri: str, language: str, text: str) -> None:
        self.opened.append(uri)

    def notify(self, method: str, params: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("session", "opened", "error"),
    [
        (Slow(2), ["a"], ""),  # asked again at the same place
        (Slow(2, "mid-line"), ["a", "b"], ""),  # no model is asked there: the next place
        (Slow(1, error="No such model."), ["a"], "No such model."),
    ],
)
async def test_bench_measures_only_once_the_model_is_there(
    session: Slow, opened: list[str], error: str, tmp_path: Path
) -> None:
    result = Result("m", "auto")
    holes = [Hole(tmp_path / f"{name}.py", "rest", "x = ", "\n", "1") for name in "abc"]
    await bench._loaded(session, holes, result)  # type: ignore[arg-type]
    assert [Path(uri).stem for uri in session.opened] == opened
    assert result.error == error
