"""Summaries: where they go, how they look in each language, and how long text is cut and put together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.api import InklingError, Position, Range, Snapshot, Summary
from inkling.engine.fake import FakeEngine
from inkling_plugins.map_reduce import Plan, split, summarize_long
from inkling_plugins.summarize import Summarize

PROSE = "It was a long day for the whole team. " * 3


def says(text: str, kind: str = "abstractive") -> FakeEngine:
    return FakeEngine(summary=lambda _, sentences: Summary(text, kind))


def document(text: str, language: str) -> tuple[Snapshot, Range]:
    """The document of a text with the selection between two `|`, or the cursor at one."""
    start = text.index("|")
    end = text.index("|", start + 1) - 1 if text.count("|") > 1 else start
    snapshot = Snapshot.of(text.replace("|", ""), uri="file:///w/a.txt", language=language)
    return snapshot, snapshot.range(start, end)


def applied(snapshot: Snapshot, edit: Any) -> str:
    start, end = snapshot.offset(edit.range.start), snapshot.offset(edit.range.end)
    return snapshot.text[:start] + edit.new_text + snapshot.text[end:]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (f"|{PROSE}|", "markdown", ["Summarize selection", "Insert summary above"]),
        (f"{PROSE}|", "markdown", []),
        ("|Too short.|", "markdown", []),
        (f'def f():\n    x = "{PROSE}"|\n', "python", ["Summarize into docstring"]),
        (f'def f():\n    |x| = "{PROSE}"\n', "python", ["Summarize into docstring"]),
        (f'def f():\n    """Done."""\n    x = "{PROSE}"|\n', "python", []),
        (f"// {PROSE}\nfunction f() {{\n  |x(); y(); z(); a(b, c, d, e); f(1, 2, 3, 4, 5, 6);\n}}\n", "javascript", []),
        ("x = 1|\n", "python", []),
        (f"|# {PROSE}\nx = 1\n|", "python", ["Summarize selection", "Summarize into docstring"]),
        (
            "|" + "# One says this. Two says that.\nx = 1\n" * 3 + "|",
            "python",
            ["Summarize selection", "Insert summary above", "Summarize into docstring"],
        ),
    ],
)
async def test_what_is_offered(started: Any, text: str, language: str, expected: list[str]) -> None:
    plugin = await started(Summarize)
    assert [action.title async for action in plugin.actions(*document(text, language))] == expected
    assert plugin.engine.calls == []


async def test_nothing_is_offered_when_off(started: Any) -> None:
    plugin = await started(Summarize, enabled=False)
    assert [action async for action in plugin.actions(*document(f"|{PROSE}|", "markdown"))] == []


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (f"Start.\n|{PROSE}|\nEnd.\n", "markdown", f"Start.\nIn short.\n\n{PROSE}\nEnd.\n"),
        (f"def f():\n    |x = '{PROSE}'|\n", "python", f"def f():\n    # In short.\n    x = '{PROSE}'\n"),
        (f"\t|x({PROSE});|\r\n", "go", f"\t// In short.\r\n\tx({PROSE});\r\n"),
        (f"|p {{ {PROSE} }}|", "css", f"/* In short. */\np {{ {PROSE} }}"),
        (f"|{PROSE}|", "plaintext", f"In short.\n\n{PROSE}"),
    ],
)
async def test_above(started: Any, text: str, language: str, expected: str) -> None:
    plugin = await started(Summarize, says("In short."))
    snapshot, selected = document(text, language)
    assert applied(snapshot, await plugin.above(snapshot, selected)) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("def f(a,\n      b):\n    x|\n", "python", 'def f(a,\n      b):\n    """In short."""\n    x\n'),
        ("class A:\n  def f(self):\n    x|\n", "python", 'class A:\n  def f(self):\n    """In short."""\n    x\n'),
        ("class A:|\n    def f(self):\n        x\n", "python",
         'class A:\n    """In short."""\n    def f(self):\n        x\n'),
        ("@cached\nasync def f(\n    a: str = ':',  # why\n) -> int:|\n    x\n", "python",
         "@cached\nasync def f(\n    a: str = ':',  # why\n) -> int:\n    \"\"\"In short.\"\"\"\n    x\n"),
        ("#!/usr/bin/env python\nimport x\n\nx.y()|\n", "python",
         '#!/usr/bin/env python\n"""In short."""\n\nimport x\n\nx.y()\n'),
        ("def f():\r\n\tx|\r\n", "python", 'def f():\r\n\t"""In short."""\r\n\tx\r\n'),
        ("function f() {\n  return 1;|\n}\n", "javascript", "/** In short. */\nfunction f() {\n  return 1;\n}\n"),
        ("class A {\n  @Override\n  public void f() {|\n  }\n}\n", "java",
         "class A {\n  @Override\n  public void f() {\n  }\n}\n".replace("class A", "/** In short. */\nclass A")),
        ("#[derive(Debug)]\npub struct A {\n    a: u8,|\n}\n", "rust",
         "/// In short.\n#[derive(Debug)]\npub struct A {\n    a: u8,\n}\n"),
        ("package a\n\nfunc F() {\n\tg()|\n}\n", "go", "package a\n\n// In short.\nfunc F() {\n\tg()\n}\n"),
        ("let x = 1;|\n", "rust", "//! In short.\n\nlet x = 1;\n"),
        ("x = 1|", "ruby", "# In short.\n\nx = 1"),
    ],
)  # fmt: skip
async def test_into_documentation(started: Any, text: str, language: str, expected: str) -> None:
    plugin = await started(Summarize, says("In short."))
    snapshot, selected = document(text, language)
    assert applied(snapshot, await plugin.into_docs(snapshot, selected)) == expected


LONG = " ".join(f"word{i}" for i in range(30)) + "."


@pytest.mark.parametrize(
    ("text", "language", "first", "last"),
    [
        ("def f():\n    x|\n", "python", '    """word0', '    """'),
        ("function f() {|}\n", "typescript", "/**", " */"),
        ("fn f() {|}\n", "rust", "/// word0", "/// "),
    ],
)
async def test_long_documentation_is_wrapped(started: Any, text: str, language: str, first: str, last: str) -> None:
    plugin = await started(Summarize, says(LONG))
    snapshot, selected = document(text, language)
    lines = (await plugin.into_docs(snapshot, selected)).new_text.splitlines()
    assert len(lines) > 2 and all(len(line) <= 92 for line in lines)
    assert lines[0].startswith(first) and lines[-1].startswith(last)


@pytest.mark.parametrize(
    ("language", "summary", "inside"),
    [
        ("python", 'Say """hi""" to C:\\new', "Say '''hi''' to C:\\\\new"),
        ("javascript", "Ends */ early", "Ends * / early"),
    ],
)
async def test_a_summary_cannot_end_its_comment(started: Any, language: str, summary: str, inside: str) -> None:
    plugin = await started(Summarize, says(summary))
    snapshot, selected = document("def f():\n    x|\n" if language == "python" else "function f() {|}\n", language)
    assert inside in (await plugin.into_docs(snapshot, selected)).new_text


async def test_documented_code_is_left_alone(started: Any) -> None:
    plugin = await started(Summarize)
    snapshot, selected = document('def f():\n    """Done."""\n    x|\n', "python")
    with pytest.raises(InklingError, match="documented already"):
        await plugin.into_docs(snapshot, selected)


async def test_of_code_the_comments_are_read(started: Any) -> None:
    plugin = await started(Summarize, says("In short."))
    comment = "This opens the file and reads all of its lines into one long list."
    snapshot, selected = document(f"def f():\n    # {comment}\n    x = [1, 2]|\n", "python")
    await plugin.into_docs(snapshot, selected)
    assert plugin.engine.calls[0].arguments["text"] == comment


async def test_of_markdown_the_paragraphs_are_read(started: Any) -> None:
    plugin = await started(Summarize, says("In short."))
    text = f"# Heading\n\n{PROSE}\n\n```\ncode()\n```\n\n* An item.\n"
    await plugin.file(Snapshot.of(text, language="markdown"), None)
    assert plugin.engine.calls[0].arguments["text"] == f"{PROSE.strip()}\n\nAn item."


async def test_key_sentences_are_listed(started: Any) -> None:
    engine = FakeEngine(summary=lambda text, _: Summary("joined", "key-sentences", ((0, 4), (5, 10))))
    plugin = await started(Summarize, engine)
    assert await plugin.file(Snapshot.of("One. Two\nx."), None) == "One.\nTwo x"
    assert "\n\n- One.\n- Two x\n\n" in plugin.editor.texts[0][1]


async def test_commands_show_the_summary_and_how_it_was_made(started: Any) -> None:
    plugin = await started(Summarize, says("One.\nTwo.", "key-sentences"))
    snapshot, selected = document(f"{PROSE}|", "markdown")
    assert await plugin.selection(snapshot, selected) == "One.\nTwo."
    ((title, text),) = plugin.editor.texts
    assert title == "Summary of a.txt"
    assert "- One.\n- Two." in text
    assert "Key sentences, chosen by `starter:summary` from the file." in text
    plugin.engine.summary = lambda _, sentences: Summary("Written.", "abstractive")
    await plugin.file(snapshot, None)
    assert "Written.\n\n*Written by `starter:summary` from the file.*" in plugin.editor.texts[1][1]


@pytest.mark.parametrize("text", ["", "  \n\n"])
async def test_no_text_no_summary(started: Any, text: str) -> None:
    plugin = await started(Summarize)
    with pytest.raises(InklingError, match="no text"):
        await plugin.file(Snapshot.of(text), None)
    with pytest.raises(InklingError, match="no document"):
        await plugin.file(None, None)
    assert plugin.engine.calls == []


async def test_an_empty_summary_changes_nothing(started: Any) -> None:
    plugin = await started(Summarize, says(" "))
    with pytest.raises(InklingError, match="no summary"):
        await plugin.above(*document(f"|{PROSE}|", "markdown"))


async def test_long_text_is_mapped_and_reduced_with_progress(started: Any) -> None:
    plugin = await started(Summarize, says("Short."), chunk_characters=500)
    await plugin.file(Snapshot.of("A sentence of some length is here. " * 100, language="markdown"), None)
    texts = [call.arguments["text"] for call in plugin.engine.calls]
    assert all(len(text) <= 500 for text in texts)
    assert texts[-1] == "\n\n".join(["Short."] * (len(texts) - 1))
    count = len(texts) - 1
    assert plugin.editor.reports == [(f"part {i + 1} of {count}", i / count) for i in range(count)]


async def test_cancel_stops_between_the_parts(started: Any) -> None:
    engine = says("Short.")
    engine.delay_s = 0.02
    plugin = await started(Summarize, engine, chunk_characters=500)
    task = asyncio.create_task(plugin.file(Snapshot.of("A sentence is here. " * 500, language="markdown"), None))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.calls[-1].outcome == "cancelled" and len(engine.calls) < 8
    assert plugin.editor.texts == []


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("One. Two. Three.", 100, ["One. Two. Three."]),
        ("First one.\n\nSecond one.", 15, ["First one.\n\n", "Second one."]),
        ("First one. Second one.", 15, ["First one. ", "Second one."]),
        ("no sentence ends here at all", 12, ["no sentence ", "ends here ", "at all"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("   ", 10, []),
    ],
)
def test_split(text: str, most: int, expected: list[str]) -> None:
    assert split(text, most) == expected


@given(st.text("ab .!\n", max_size=300), st.integers(8, 60))
def test_split_loses_no_word_and_keeps_the_bound(text: str, most: int) -> None:
    parts = split(text, most)
    assert all(len(part) <= most for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


async def test_a_model_that_never_shortens_ends_anyway() -> None:
    async def echo(part: str) -> Summary:
        return Summary(part, "abstractive")

    plans: list[Plan] = []
    summary = await summarize_long("word. " * 100, 100, echo, plans.append)
    assert summary.text and len(plans) < 20


async def test_mixed_kinds_are_called_written() -> None:
    kinds = iter(["key-sentences", "abstractive", "key-sentences", "key-sentences"])

    async def one(part: str) -> Summary:
        return Summary("x.", next(kinds))

    assert (await summarize_long("word. " * 40, 100, one, lambda plan: None)).kind == "abstractive"


def test_positions_are_where_the_text_is() -> None:
    snapshot, selected = document("a |bc|", "plaintext")
    assert (snapshot.text_in(selected), selected.start) == ("bc", Position(0, 2))
