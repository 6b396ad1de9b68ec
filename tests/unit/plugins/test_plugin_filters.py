"""Completion's filters: the text around the cursor `|`, what the model says, and what is left of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling_plugins.completion import filters, indentation, repeats
from inkling_plugins.completion.reasons import Rejected, detail
from inkling_plugins.completion.site import Site, rejects_middle, wants_lines


def site(text: str, language: str = "python") -> Site:
    before, _, after = text.partition("|")
    return Site(before, after, language)


def check(each: filters.Filter, document: str, text: str, expected: str, language: str = "python") -> None:
    """`expected` is the text kept, or `!reason`."""
    kept = each(text, site(document, language))
    assert kept == (Rejected(expected[1:]) if expected.startswith("!") else expected)


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("x = |", "1 + 2", "1 + 2"),
        ("x = |", "```python\ny = 1\n```\nThis sets y.", "y = 1"),
        ("x = |", "y\n```\nThat is all.", "y"),
    ],
)
def test_unfence(document: str, text: str, expected: str) -> None:
    check(filters.unfence, document, text, expected)


def test_unfence_leaves_prose() -> None:
    check(filters.unfence, "See |", "this:\n```\ncode\n```", "this:\n```\ncode\n```", "markdown")


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("x = |", "1\ny = 2", "1"),
        ("def f():|", "\n    return 1\n    # no", "\n    return 1"),
        ("    |", "\n    x = 1", "!empty"),
        ("x = |", "\n\ny = 2", "!empty"),
    ],
)
def test_one_line(document: str, text: str, expected: str) -> None:
    check(filters.one_line, document, text, expected)


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("def f():\n    |", "\n        return 1", "        return 1"),
        ("    |", "  \n\n    x", "    x"),
        ("def f():|", "\n    return 1", "\n    return 1"),
        ("    |", "x\ny", "x\ny"),
    ],
)
def test_start_here(document: str, text: str, expected: str) -> None:
    check(filters.start_here, document, text, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a = 1\nb = 2", "a = 1\nb = 2"), ("a = 1\n\nb = 2", "a = 1"), ("\n    a = 1\n  \n    b = 2", "\n    a = 1")],
)
def test_stop_at_blank_line(text: str, expected: str) -> None:
    check(filters.stop_at_blank_line, "|", text, expected)


@pytest.mark.parametrize(
    ("document", "text", "expected", "language"),
    [
        # the cursor stands behind its indentation already
        ("def f():\n    |", "    return 1", "return 1", "python"),
        ("def f():\n    |", "return 1", "return 1", "python"),
        ("def f():\n|", "    return 1", "    return 1", "python"),
        ("def f():\n    x = 1\n    |", " return x", "return x", "python"),
        # all lines are written one level too deep, or only the first is
        ("def f():\n    |", "    a = 1\n        b = 2", "a = 1\n    b = 2", "python"),
        ("def f():\n    |", "    a = 1\n    b = 2", "a = 1\n    b = 2", "python"),
        # a file of tabs gets tabs, a file of spaces spaces
        ("func f() {\n\tx := 1\n\t|", "if x {\n        y()\n    }", "if x {\n\t\ty()\n\t}", "go"),
        ("if (a) {\n  b();\n  |", "if (c) {\n\t\td();\n\t}", "if (c) {\n    d();\n  }", "javascript"),
    ],
)
def test_reindent(document: str, text: str, expected: str, language: str) -> None:
    check(indentation.reindent, document, text, expected, language)


@pytest.mark.parametrize(
    ("document", "text", "expected", "language"),
    [
        ("def f():\n    |", "a = 1\n    b = 2\nc = 3", "a = 1\n    b = 2", "python"),
        ("    if x:|", "\n        a()\n    b()", "\n        a()", "python"),
        (
            "    if x:|",
            "\n        a()\n    else:\n        b()\n    c()",
            "\n        a()\n    else:\n        b()",
            "python",
        ),
        (
            "  if (x) {|",
            "\n    a();\n  } else {\n    b();\n  }\n  c();",
            "\n    a();\n  } else {\n    b();\n  }",
            "javascript",
        ),
        ("  foo(|", "\n    a,\n    b,\n  )\n  bar()", "\n    a,\n    b,\n  )", "javascript"),
        ("  each do |", "\n    a\n  end\n  b", "\n    a\n  end", "ruby"),
        ("    |", "a = 1\n    b = 2", "a = 1\n    b = 2", "python"),
    ],
)
def test_stop_at_dedent(document: str, text: str, expected: str, language: str) -> None:
    check(indentation.stop_at_dedent, document, text, expected, language)


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("foo(|", "bar)", "bar)"),
        ("foo(|)", "bar)", "bar"),
        ("foo(|)", "bar(1), baz[2])", "bar(1), baz[2]"),
        ("x = |", "1)", "1"),
        ("x = |", ")", "!unmatched-bracket"),
        ("foo(bar(|", "1))", "1))"),
        ("foo(bar(|)", "1))", "1)"),
        ('print("(" + |', "a)", "a)"),
        ("x = [  # (\n    |\n]", "1,\n]", "1,\n"),
        ("print(|", "')')", "')')"),
        ("{'a': [|]}", "1]", "1"),
    ],
)
def test_stop_at_unmatched(document: str, text: str, expected: str) -> None:
    check(filters.stop_at_unmatched, document, text, expected)


def test_prose_may_have_lone_brackets() -> None:
    check(filters.stop_at_unmatched, "Steps: 1) read, |", "2) write :)", "2) write :)", "markdown")


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("foo(|bar)", "bar)", "!duplicate-of-suffix"),
        ("|\nresult = compute(x)\n", "result = compute(x)", "!duplicate-of-suffix"),
        ("|\nresult = compute(values, weights)\n", "result = compute(values, weight)", "!duplicate-of-suffix"),
        ("    |\n    return x\n", "y = 1\n    return x", "y = 1"),
        ("if a:\n    |\nelse:\n    b()", "a()\nelse:\n    c()", "a()"),
        ("  {\n    |\n  }\n}", "a\n  }", "a"),
        ("  {\n    |\n}", "b {\n    }", "b {\n    }"),
        ("x = |\ny = 2\n", "1", "1"),
    ],
)
def test_stop_at_suffix(document: str, text: str, expected: str) -> None:
    check(repeats.stop_at_suffix, document, text, expected)


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("foo(|)", "bar)", "bar"),
        ("foo(|);", "bar);", "bar"),
        ('x = "|"', 'abc"', "abc"),
        ("foo(|)", ")", "!duplicate-of-suffix"),
        ("foo(|", "bar)", "bar)"),
        ("a = |  ", "b", "b"),
    ],
)
def test_drop_typed_ending(document: str, text: str, expected: str) -> None:
    check(repeats.drop_typed_ending, document, text, expected)


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("import sys, os\n|", "import sys, os", "!duplicate-of-line-above"),
        ("total += value\ntotal |", "+= value", "!duplicate-of-line-above"),
        ("a = 1\nb = 2\n|", "a = 1\nb = 2", "!duplicate-of-line-above"),
        ("}\n|", "}", "}"),
        ("x = 1\n|", "y = 1", "y = 1"),
    ],
)
def test_drop_echo(document: str, text: str, expected: str) -> None:
    check(repeats.drop_echo, document, text, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc" * 8, "!repetition"),
        (
            "load(file)\nif data:\n    data = 1\nelse:\n    load(file)",
            "load(file)\nif data:\n    data = 1\nelse:\n    load(file)",
        ),
        ("data = load(file)\nif data:\n    data = load(file)", "data = load(file)"),
        ("for key in keys:\n    yield key\n\nfor key in keys:", "for key in keys:\n    yield key"),
        ("x = value, " + "and so on, " * 6, "x = value,"),
        ("a()\nfoo()\nfoo()\nfoo()\nfoo()", "a()\nfoo()"),
        ("a()\na()\nb()", "a()\na()\nb()"),
        ("x = 1111111", "x = 1111111"),
        ("# ------------------", "# ------------------"),
    ],
)
def test_stop_at_repetition(text: str, expected: str) -> None:
    check(repeats.stop_at_repetition, "|", text, expected)


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("def f():\n    |", '"""Do it', '"""Do it"""'),
        ("def f():\n    |", '"""\n    Do it', '"""\n    Do it\n    """'),
        ("def f():\n    |", '"""Do it."""\n    x', '"""Do it."""\n    x'),
        ("def f():|", '\n    """Do it.\n\n    Now.', '\n    """Do it.\n\n    Now.\n    """'),
        ('def f():\n    """Do |', 'it."""', 'it."""'),
        ("x = |", "'''a", "'''a'''"),
    ],
)
def test_close_docstring(document: str, text: str, expected: str) -> None:
    assert filters.close_docstring(text, site(document)) == expected
    assert filters.close_docstring(text, site(document, "javascript")) == text


@pytest.mark.parametrize(("text", "expected"), [("a  \nb\t\n\n", "a\nb"), ("  ", ""), ("\n    x ", "\n    x")])
def test_strip_end(text: str, expected: str) -> None:
    check(filters.strip_end, "|", text, expected)


@pytest.mark.parametrize(
    ("text", "expected"), [("", "!empty"), (" \n ", "!empty"), (")", "!too-short"), ("#", "!too-short"), ("ab", "ab")]
)
def test_enough(text: str, expected: str) -> None:
    check(filters.enough, "|", text, expected)


@pytest.mark.parametrize(
    ("document", "text", "expected", "language"),
    [
        ("def mean(xs):\n    return |\n", "sum(xs) / len(xs)\n\nmean([1])", "sum(xs) / len(xs)", "python"),
        ("for (const x of |) {", "items) {", "items", "javascript"),
    ],
)
def test_single_line(document: str, text: str, expected: str, language: str) -> None:
    assert filters.apply(text, site(document, language), filters.SINGLE_LINE) == expected


@pytest.mark.parametrize(
    ("document", "text", "expected", "language"),
    [
        (
            "def mean(xs):\n    |\n\ndef total(xs):\n",
            "    if not xs:\n        return 0\n    return sum(xs) / len(xs)\n\ndef total(xs):",
            "if not xs:\n        return 0\n    return sum(xs) / len(xs)",
            "python",
        ),
        (
            "fn f(x: u8) {\n    |\n}\n",
            "match x {\n        0 => a(),\n        _ => b(),\n    }\n}\n",
            "match x {\n        0 => a(),\n        _ => b(),\n    }",
            "rust",
        ),
        (
            "def f():\n    |\n",
            "\n        return g(\n            1\n        )",
            "return g(\n            1\n        )",
            "python",
        ),
    ],
)
def test_multi_line(document: str, text: str, expected: str, language: str) -> None:
    assert filters.apply(text, site(document, language), filters.MULTI_LINE) == expected


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        ("x = |", False),
        ("f(|)", False),
        ("f(|));", False),
        ('f("|")', False),
        ("if (|) {", False),
        ("f(|a)", True),
        ("|x = 1", True),
    ],
)
def test_right_of_cursor(document: str, refused: bool) -> None:
    assert rejects_middle(site(document)) is refused


@pytest.mark.parametrize(
    ("document", "several", "language"),
    [
        ("def f():\n    |\n", True, "python"),
        ("def f():|\n", True, "python"),
        ("def f():\n    x = 1\n    |\n\ny = 2", True, "python"),
        ("def f():\n    |\n    return 1\n", True, "python"),
        ("def f():\n    x = 1\n    |\n    return 1\n", False, "python"),
        ("x = |\n", False, "python"),
        ("def f():\n    # why |\n", False, "python"),
        ("f(|)\n", False, "python"),
        ("x = 1\n|\ny = 2\n", False, "python"),
        ("if (x) {|\n", True, "javascript"),
        ("A line of\n|", False, "markdown"),
    ],
)
def test_wants_lines(document: str, several: bool, language: str) -> None:
    assert wants_lines(site(document, language)) is several


def reference_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[:], i
        for j, y in enumerate(b, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
    return row[-1]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12), st.integers(0, 6))
def test_edit_distance_is_levenshteins_up_to_the_bound(a: str, b: str, bound: int) -> None:
    assert repeats.edit_distance(a, b, bound) == min(reference_distance(a, b), bound + 1)


ANY_TEXT = st.text("ab ()[]{}\"'\n\t:#=", max_size=60)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.sampled_from(["python", "javascript", "markdown"]), st.booleans())
def test_filters_never_fail_and_are_settled(before: str, after: str, text: str, language: str, several: bool) -> None:
    """Whatever passes is clean, and every reason has words."""
    chain = filters.MULTI_LINE if several else filters.SINGLE_LINE
    kept = filters.apply(text, Site(before, after, language), chain)
    if isinstance(kept, Rejected):
        assert detail(kept.reason)
    else:
        assert kept == kept.rstrip() and kept.strip()


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("import os\ndef f(p):\n    with open(|", "p):\nimport os\nimport os", "p):"),
        ("import os\ndef f(p):\n    with open(|", "p):\n        import sys\n", "p):\n        import sys\n"),
        ("import os\n|", "import os\nimport sys", "!repetition"),
        ("import os\nim|", "port os", "!repetition"),
        ("|", "import os\nimport sys\nimport os", "import os\nimport sys"),
        ("import os\nx = os\n|", "x = os", "x = os"),
    ],
)
def test_stop_at_known_import(document: str, text: str, expected: str) -> None:
    check(repeats.stop_at_known_import, document, text, expected)
