"""What the terminal shows: edits applied, ghost text found, squiggles under the right characters."""

import pytest

from inkling.cli.render import apply_edits, edits_for, ghost_text, reason_words, squiggled


def test_reasons_are_told_with_their_words() -> None:
    reasons = [{"uri": "file:///a", "reason": "low-confidence", "detail": "see [complete] model."}]
    assert reason_words(reasons, "file:///a") == "Why: low-confidence: see [complete] model."
    assert reason_words([{"uri": "file:///a", "reason": "empty"}], "file:///a") == "Why: empty"
    assert reason_words(reasons, "file:///b") == ""


def span(line: int, start: int, end: int) -> dict[str, dict[str, int]]:
    return {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ("ab\ncd\n", [{"range": span(1, 0, 1), "newText": "X"}], "ab\nXd\n"),
        ("ab\ncd", [{"range": span(0, 0, 0), "newText": "1"}, {"range": span(1, 2, 2), "newText": "2"}], "1ab\ncd2"),
        ("", [{"range": span(0, 0, 0), "newText": "new\n"}], "new\n"),
        ("ab", [{"range": span(9, 0, 0), "newText": "!"}], "ab!"),
    ],
)
def test_apply_edits(text: str, edits: list, expected: str) -> None:
    assert apply_edits(text, edits) == expected


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"changes": {"file:///a": [1], "file:///b": [2]}}, [1]),
        ({"documentChanges": [{"textDocument": {"uri": "file:///a"}, "edits": [3]}]}, [3]),
        ({}, []),
    ],
)
def test_edits_for(edit: dict, expected: list) -> None:
    assert edits_for(edit, "file:///a") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ([], ""),
        ({"items": []}, ""),
        ({"items": [{"insertText": "x = 1"}]}, "x = 1"),
        ([{"insertText": {"kind": "snippet", "value": "y"}}], "y"),
    ],
)
def test_ghost_text(value: object, expected: str) -> None:
    assert ghost_text(value) == expected


@pytest.mark.parametrize(
    ("line", "start", "stop", "width", "expected"),
    [
        ("abcdef", 2, 4, 80, ["     1 │ abcdef", "       │   ~~"]),
        ("", 0, 0, 80, ["     1 │ "]),
        ("a" * 22, 18, 21, 29, ["     1 │ " + "a" * 20, "       │ " + " " * 18 + "~~", "       │ aa", "       │ ~"]),
    ],
)
def test_squiggled(line: str, start: int, stop: int, width: int, expected: list[str]) -> None:
    assert [row.plain for row in squiggled(line, start, stop, number=1, width=width, style="red")] == expected
