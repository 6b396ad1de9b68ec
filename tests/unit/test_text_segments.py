"""Segments: what is found, that its text is clean, and that every character maps back to where it came from."""

from __future__ import annotations

import gc
import re
import weakref
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.text import code, grammar, markdown, syntax
from inkling.text.languages import GRAMMARS, SYNTAXES
from inkling.text.rope import Rope
from inkling.text.segments import PROSE, Segment, SegmentKind, block_at, segments, segments_are_near, sentences
from inkling.text.snapshot import Snapshot
from inkling.text.syntax import Scope, scope_at

COMMENT, DOCSTRING, STRING = SegmentKind.COMMENT, SegmentKind.DOCSTRING, SegmentKind.STRING
PARAGRAPH, HEADING, LIST_ITEM = SegmentKind.PARAGRAPH, SegmentKind.HEADING, SegmentKind.LIST_ITEM
TEXTS = (*PROSE, STRING)


def found(text: str, language: str, *kinds: SegmentKind) -> list[tuple[str, str]]:
    snapshot = Snapshot.of(text, language=language)
    return [(segment.kind.value, segment.text) for segment in segments(snapshot, kinds or TEXTS)]


CODE = {
    "python": (
        '#!/usr/bin/env python\n"""Module.\n\n  More é😀.\n"""\n'
        '# one\n# two  \n#\n# three\nx = f"s{1}"  # tail\n# next  # noqa\n# noqa\n# ----\n',
        [
            ("docstring", "Module.\n\nMore é😀."),
            ("comment", "one\ntwo\n\nthree"),
            ("string", "s{1}"),
            ("comment", "tail"),
            ("comment", "next  # noqa\nnoqa"),
        ],
    ),
    "c": (
        '/* a\n * b\n */\nchar *s = "x"; // y\n// z\n',
        [("comment", "a\nb"), ("string", "x"), ("comment", "y"), ("comment", "z")],
    ),
    "cpp": (
        '/// doc\n/// more\nauto s = R"x(raw)x";\n//// ruled\n',
        [("docstring", "doc\nmore"), ("string", "raw"), ("comment", "ruled")],
    ),
    "go": (
        '// Package a.\npackage a\nvar s = `r` + "q"\n',
        [("comment", "Package a."), ("string", "r"), ("string", "q")],
    ),
    "java": (
        '/** Javadoc. */\nclass A { String s = "x"; /* k */ }\n',
        [("docstring", "Javadoc."), ("string", "x"), ("comment", "k")],
    ),
    "javascript": (
        "// eslint-disable-next-line\nlet s = 'a', t = `b ${c}`;\n/* k */\n",
        [("string", "a"), ("string", "b ${c}"), ("comment", "k")],
    ),
    "typescript": ("/** d\n * @returns x */\nfunction f(): void {}\n", [("docstring", "d\n@returns x")]),
    "typescriptreact": ('const a = <p title="t">x</p>; // k\n', [("string", "t"), ("comment", "k")]),
    "ruby": ("# a\n# b\n=begin\nlong\n=end\ns = 'x'\n", [("comment", "a\nb"), ("comment", "long"), ("string", "x")]),
    "rust": (
        '//! m\nfn f() { let s = r#"raw"#; } // k\n/// d\nfn g() {}\n',
        [("docstring", "m"), ("string", "raw"), ("comment", "k"), ("docstring", "d")],
    ),
    "shellscript": (
        "# a\necho \"x $y\" 'z' # k\n",
        [("comment", "a"), ("string", "x $y"), ("string", "z"), ("comment", "k")],
    ),
    "sql": ("-- a\n-- b\nselect 'x' /* k */;\n", [("comment", "a\nb"), ("string", "x"), ("comment", "k")]),
    "lua": ("--[[ long\nblock ]]\nx = 'y' -- k\n", [("comment", "long\nblock"), ("string", "y"), ("comment", "k")]),
    "html": ("<p>no</p>\n<!-- note\n  two -->\n", [("comment", "note\ntwo")]),
    "yaml": ("a: b#c # k\n", [("comment", "k")]),
}


@pytest.mark.parametrize("language", CODE)
def test_code(language: str) -> None:
    text, expected = CODE[language]
    assert found(text, language) == expected


def test_functions_and_classes_are_whole() -> None:
    text = "class A:\n    def f(self):\n        return 1\n\n\ndef g(): pass\n"
    assert found(text, "python", SegmentKind.FUNCTION, SegmentKind.CLASS) == [
        ("class", "class A:\n    def f(self):\n        return 1"),
        ("function", "def f(self):\n        return 1"),
        ("function", "def g(): pass"),
    ]


MARKDOWN = """---
title: Not prose
---
# Title `x` #

A *first* para with [a link](http://x.y "t"), ![alt](i.png) and <b>html</b>.
See <http://a.b> or http://c.d/e_f for **more**, `a. B` too.

> quoted
> on

- item one
  goes on
- [x] done
  1. nested

```python
# not prose
```

    not prose

Setext
------

| a | b |
|---|---|
| c | d |

<div>no</div>

snake_case and 2 * 3 * 4.
"""


def test_markdown() -> None:
    assert found(MARKDOWN, "markdown") == [
        ("heading", "Title `x`"),
        ("paragraph", "A first para with a link, alt and html.\nSee  or  for more, `a. B` too."),
        ("paragraph", "quoted\non"),
        ("list_item", "item one\ngoes on"),
        ("list_item", "done"),
        ("list_item", "nested"),
        ("heading", "Setext"),
        ("paragraph", "snake_case and 2 * 3 * 4."),
    ]


def test_a_section_reaches_to_the_next_heading_of_its_level() -> None:
    text = "# A\na\n## B\nb\n# C\nc\n"
    assert [t for _, t in found(text, "markdown", SegmentKind.SECTION)] == ["# A\na\n## B\nb", "## B\nb", "# C\nc"]


def test_a_commit_message_ends_at_the_scissors() -> None:
    text = (
        "Fix it\n\nWhy one\n# hint\nwhy two.\n\nSigned-off-by: A <a@b>\n# --- >8 ---\n"
        "# ------------------------ >8 ------------------------\ndiff --git a b\n"
    )
    assert found(text, "git-commit", SegmentKind.COMMIT_MESSAGE, HEADING, PARAGRAPH) == [
        ("commit_message", "Fix it\n\nWhy one\nwhy two."),
        ("heading", "Fix it"),
        ("paragraph", "Why one\nwhy two."),
    ]
    assert found("\n# only hints\n", "git-commit", SegmentKind.COMMIT_MESSAGE) == []


def test_plain_text_is_paragraphs() -> None:
    assert found("  a\r\n b\r\n \r\nc\rd\r\re", "plaintext") == [
        ("paragraph", "a\nb"),
        ("paragraph", "c\nd"),
        ("paragraph", "e"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("See e.g. this, i.e. that. Next.", ["See e.g. this, i.e. that.", "Next."]),
        ("Dr. J. Smith wrote it. It runs.", ["Dr. J. Smith wrote it.", "It runs."]),
        ("Use etc. and more. Use etc. Then stop.", ["Use etc. and more.", "Use etc.", "Then stop."]),
        (
            "Version 3.5 of foo.py is at http://a.b/c.d now. Yes.",
            ["Version 3.5 of foo.py is at http://a.b/c.d now.", "Yes."],
        ),
        ("Call `a. B` now. Done.", ["Call `a. B` now.", "Done."]),
        ("Call ``a. B\nc. D`` now. Done.", ["Call ``a. B c. D`` now.", "Done."]),
        ("A lone ` here. Then.\n\nAnd ` there. Now.", ["A lone ` here.", "Then.", "And ` there.", "Now."]),
        ('He said "No." Then left (quietly.) Fine.', ['He said "No."', "Then left (quietly.)", "Fine."]),
        ("1. First step. More.\n2. Second.", ["First step.", "More.", "Second."]),
        ("Intro:\n- one\n- two\nstill two", ["Intro:", "one", "two still two"]),
        ("A line\nwraps here. New\n\nAfter blank", ["A line wraps here.", "New", "After blank"]),
        ("Wait... what? Wait... What?", ["Wait... what?", "Wait...", "What?"]),
        ("你好。再见！Then. 完", ["你好。", "再见！", "Then.", "完"]),
        ("Do it.\n@param x the thing. Of it.", ["Do it.", "@param x the thing.", "Of it."]),
        ("See no. 5 of it. No. Never.", ["See no. 5 of it.", "No.", "Never."]),
        ("It is I. You are 5. We won.", ["It is I.", "You are 5.", "We won."]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [s.text for s in sentences(Segment(PARAGRAPH, 0, len(text), text))] == expected


def test_sentences_of_a_document_are_those_of_its_prose() -> None:
    text = '"""One. Two."""\nx = "no. No."  # three\n'
    assert [t for _, t in found(text, "python", SegmentKind.SENTENCE)] == ["One.", "Two.", "three"]
    assert [k for k, _ in found(text, "python", SegmentKind.SENTENCE, STRING)] == ["sentence"] * 2 + [
        "string",
        "sentence",
    ]


def cursor(marked: str, language: str) -> tuple[Snapshot, int]:
    offset = marked.index("|")
    return Snapshot.of(marked[:offset] + marked[offset + 1 :], language=language), offset


BLOCKS = [
    ("# a\n# b|b\nx = 1\n", "python", "a\nbb"),
    ("def f():\n    x = |1\n\ny = 2", "python", "def f():\n    x = 1"),
    ('def f():\n    """Do|c\n    more."""\n', "python", "Doc\nmore."),
    ("class A:\n    x = 1|\n", "python", "class A:\n    x = 1"),
    ("a = 1\n|b = 2\n\nc = 3", "python", "a = 1\nb = 2"),
    ("a\n|\nb", "plaintext", None),
    ("one\ntw|o\n\nthree", "plaintext", "one\ntwo"),
    ("# A|\na\n```\n# no\n```\n## B\n# C\n", "markdown", "# A\na\n```\n# no\n```\n## B"),
    ("-- a\n-- |b\nselect 1", "sql", "a\nb"),
    ("x = 1  # ta|il\n# other\n", "python", "tail"),
    ("// a\r|", "rust", None),
]


@pytest.mark.parametrize(("marked", "language", "expected"), BLOCKS)
def test_block_at(marked: str, language: str, expected: str | None) -> None:
    snapshot, offset = cursor(marked, language)
    block = block_at(snapshot, snapshot.position(offset))
    assert (block.text if block else None) == expected


@pytest.mark.parametrize(
    ("marked", "language", "expected"), [case for case in BLOCKS if case[1] != "python" or "#" in case[0]]
)
def test_block_at_without_a_tree(
    marked: str, language: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar, "PARSE_LIMIT", 0)
    test_block_at(marked, language, expected)


SCOPES = [
    ('x = "ab|c"', "python", Scope.STRING),
    ('x = "abc"|', "python", Scope.CODE),
    ('x = |"abc"', "python", Scope.CODE),
    ('x = "abc|\ny = 1', "python", Scope.STRING),
    ('f("don\'t", "|', "python", Scope.STRING),
    ("# foo|\nx", "python", Scope.COMMENT),
    ("# foo\n|x", "python", Scope.CODE),
    ('x = f"a{b|}c"', "python", Scope.CODE),
    ("/* a | b */ int x;", "c", Scope.COMMENT),
    ("/* a */|", "c", Scope.CODE),
    ("int x; /* un|closed", "c", Scope.COMMENT),
    ("let x = `a|b`", "typescript", Scope.STRING),
    ("x = 1 // |", "go", Scope.COMMENT),
    ("select 'a|", "sql", Scope.STRING),
    ("select 'a' -- b|\n", "sql", Scope.COMMENT),
    ("hello|", "markdown", Scope.PROSE),
    ("hello|", "an-unknown-language", Scope.PROSE),
]


@pytest.mark.parametrize(("marked", "language", "expected"), SCOPES)
def test_scope_at(marked: str, language: str, expected: Scope) -> None:
    snapshot, offset = cursor(marked, language)
    assert scope_at(snapshot, snapshot.position(offset)) is expected


@pytest.mark.parametrize(("marked", "language", "expected"), [case for case in SCOPES if "{" not in case[0]])
def test_scope_at_without_a_tree(marked: str, language: str, expected: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "PARSE_LIMIT", 0)
    test_scope_at(marked, language, expected)


def test_a_docstring_is_told_from_a_string() -> None:
    snapshot, offset = cursor('def f():\n    """Do|c."""\n', "python")
    assert scope_at(snapshot, snapshot.position(offset)) is Scope.DOCSTRING


FRAGMENTS = [
    "# c",
    "// d",
    "/* ",
    " */",
    "/** x",
    '"""',
    "'",
    '"',
    "`",
    "x = 1",
    "def f():",
    "    ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "é😀",
    "日本。",
    "- item",
    "1. x",
    "# H",
    "```",
    "> q",
    "---",
    "[a](b)",
    "**b**",
    "http://x.y",
    "<!--",
    "-->",
    "A sentence. Another",
    "\\",
    "{",
    "}",
    "=begin\n",
    "=end",
    "\f",
    "\u2028",
    "diff --git ",
    "\ufffd",
]
NAMES = frozenset({"comment", "string", "docstring", "function", "class"})
LANGUAGES = sorted({*GRAMMARS, *SYNTAXES, "markdown", "git-commit", "plaintext", "unknown"})


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join), st.sampled_from(LANGUAGES), st.booleans())
def test_every_character_maps_back(text: str, language: str, tree: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not tree:
            patch.setattr(grammar, "PARSE_LIMIT", 0)
        snapshot = Snapshot.of(text, language=language)
        every = segments(snapshot, SegmentKind)
        assert [s.start for s in every] == sorted(s.start for s in every)
        for segment in every:
            assert 0 <= segment.start < segment.end <= len(text)
            assert segment.text
            place = segment.start
            for index, char in enumerate(segment.text):
                start, end = segment.to_document(index, index + 1)
                assert place <= end <= segment.end, "places must grow and stay inside"
                source = text[start:end]
                assert source == char or (char in "\n " and source in ("\n", "\r", " ")), (segment, index)
                place = start
        for offset in range(0, len(text) + 1, 3):
            position = snapshot.position(offset)
            block = block_at(snapshot, position)
            assert block is None or block.start <= snapshot.offset(position) <= block.end
            scope_at(snapshot, position)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20), st.sampled_from(FRAGMENTS)), max_size=6),
    st.sampled_from(sorted(GRAMMARS)),
)
def test_a_reparsed_tree_is_the_fresh_tree(text: str, edits: list[tuple[int, int, str]], language: str) -> None:
    grammar._latest.clear()
    snapshot = Snapshot.of(text, language=language)
    for start, size, new in edits:
        grammar.parse(snapshot)
        first = min(start, len(snapshot))
        rope = snapshot.rope.replace(first, min(first + size, len(snapshot)), new)
        snapshot = Snapshot(snapshot.uri, snapshot.version + 1, language, rope)
    again = grammar.parse(snapshot)
    grammar._latest.clear()
    fresh = grammar.parse(Snapshot.of(snapshot.text, language=language))
    assert again is not None
    assert fresh is not None
    assert str(again.tree.root_node) == str(fresh.tree.root_node)
    spans = (
        {(n, again.span(x)) for n, xs in grammar.captures(again, NAMES).items() for x in xs},
        {(n, fresh.span(x)) for n, xs in grammar.captures(fresh, NAMES).items() for x in xs},
    )
    assert spans[0] == spans[1]


MARKS = [
    "# H\n",
    "## G\n",
    "```\n",
    "```py\n",
    "~~~~\n",
    "- a\n",
    "  b\n",
    "> q\n",
    "text. More\n",
    "\n",
    "---\n",
    "===\n",
    "<div>\n",
    "<!-- c\n",
    "-->\n",
    "| a | b |\n|---|---|\n",
    "    code\n",
    "  ```\n",
    "[r]: http://x\n",
    "1. # no\n",
    "#no\n",
    "\r",
    "x `y` ```z``` w\n",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(MARKS), max_size=25).map("".join))
def test_markdown_in_chunks_is_markdown_as_a_whole(text: str) -> None:
    chunked = markdown.markdown_segments(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "_UNSURE", re.compile(""))
        assert markdown.markdown_segments(text) == chunked


def test_a_parse_past_its_budget_is_given_up_and_the_scan_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x = [1, 2, 3]\n" * 20000 + "y = 'ab'\n"
    snapshot = Snapshot.of(text, language="python", uri="file:///budget.py")
    assert grammar.parse(snapshot, 0.0) is None
    monkeypatch.setattr(syntax, "BUDGET", 0.0)
    assert scope_at(snapshot, snapshot.position(text.index("ab"))) is Scope.STRING
    assert grammar.parse(snapshot) is not None


def test_a_cache_keeps_no_snapshot_alive() -> None:
    snapshot = Snapshot.of("# a\nx = 1\n", language="python")
    segments(snapshot, (COMMENT,))
    reference = weakref.ref(snapshot)
    del snapshot
    gc.collect()
    assert reference() is None


def test_large_files_are_scanned_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "PARSE_LIMIT", 10)
    monkeypatch.setattr(markdown, "PARSE_LIMIT", 10)
    assert found("# one\nx = 'two'\n", "python") == [("comment", "one"), ("string", "two")]


def test_every_grammar_has_a_lexical_fallback() -> None:
    assert set(GRAMMARS) <= set(SYNTAXES)
    for language in SYNTAXES:
        assert code.scanner(language).search("") is None


@settings(deadline=None)
@given(
    st.lists(st.text("ab. \n\t\r", max_size=30), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 8), st.text("ab \n\r", max_size=6)), max_size=5),
)
def test_paragraphs_after_edits_are_those_of_the_text_read_anew(
    parts: list[str], edits: list[tuple[int, int, str]]
) -> None:
    rope = Rope.of("\n\n".join(parts) * 40)
    for start, length, new in [(0, 0, ""), *edits]:
        start = start * 37 % (len(rope) + 1)
        rope = rope.replace(start, min(start + length, len(rope)), new)
        edited = Snapshot("file:///edited.txt", 0, "plaintext", rope)
        fresh = Snapshot.of(edited.text, uri=f"file:///{uuid4()}.txt", language="plaintext")
        assert segments(edited, [SegmentKind.PARAGRAPH]) == segments(fresh, [SegmentKind.PARAGRAPH])
        for word in ("ab.a", "b  b", "x"):
            assert edited.mentions(word) == (word in edited.text)


@pytest.mark.parametrize(
    ("text", "language", "near"),
    [
        ("Some words.\n\n" * 2_000, "plaintext", True),
        ("Some words.\n" * 2_000, "plaintext", False),  # one paragraph: all of it is read anew
        ("# words\n\n" * 2_000, "python", False),
    ],
)
def test_it_is_known_beforehand_whether_an_edit_is_cheap(text: str, language: str, near: bool) -> None:
    rope = Rope.of(text)
    uri = f"file:///{uuid4()}"
    assert not segments_are_near(Snapshot(uri, 0, language, rope))
    segments(Snapshot(uri, 0, language, rope), [SegmentKind.PARAGRAPH, SegmentKind.COMMENT])
    edited = Snapshot(uri, 1, language, rope.replace(5_000, 5_000, "x"))
    assert segments_are_near(edited) == near
    pasted = Snapshot(uri, 2, language, rope.replace(5_000, 5_000, text))
    assert not segments_are_near(pasted)
