"""Token counts on hover, above the file, and against budgets. The tokenizer here counts words; its window is 100."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from inkling.api import InklingError, Position, Range, Severity, Snapshot
from inkling_plugins import token_count
from inkling_plugins.token_count import TokenCount


def snapshot(text: str, uri: str = "file:///w/a.md", language: str = "markdown") -> Snapshot:
    return Snapshot.of(text, uri=uri, language=language)


async def test_hover(started: Any) -> None:
    plugin = await started(TokenCount)
    document = snapshot("one two three\nfour\n\nfive six\n")
    shown = await plugin.counts(document, Position(0, 5))
    assert shown.markdown == (
        "**Tokens** · `two` 1 · paragraph 4 · document 6 · 6.0 % of the 100-token window\n\n"
        "token `two` id 1 · `starter:code`"
    )
    assert shown.range == Range(Position(0, 4), Position(0, 7))


async def test_hover_between_words(started: Any) -> None:
    shown = await (await started(TokenCount)).counts(snapshot("one\n\n\n\ntwo\n"), Position(2, 0))
    assert shown.markdown == "**Tokens** · document 2 · 2.0 % of the 100-token window"
    assert shown.range is None


async def test_hover_in_a_function(started: Any) -> None:
    code = snapshot("import x\n\ndef f(a):\n    return a + 1\n", "file:///a.py", "python")
    shown = await (await started(TokenCount)).counts(code, Position(3, 5))
    assert "function 6" in shown.markdown


async def test_hover_off(started: Any) -> None:
    assert await (await started(TokenCount, hover=False)).counts(snapshot("one"), Position(0, 0)) is None


async def test_backticks_in_a_token_stay_code(started: Any) -> None:
    shown = await (await started(TokenCount)).counts(snapshot("a `b` c"), Position(0, 3))
    assert "token `` `b` `` id 1" in shown.markdown


@pytest.mark.parametrize(
    ("words", "uri", "settings", "expected"),
    [
        (10, "file:///a.md", {}, None),
        (50, "file:///a.md", {}, "50 tokens, 50 % of the 100-token window (starter:code)"),
        (10, "file:///a.md", {"lens": "always"}, "10 tokens, 10 % of the 100-token window (starter:code)"),
        (90, "file:///a.md", {"lens": "never"}, None),
        (10, "file:///a.prompt", {}, "10 tokens of a budget of 4,000 (starter:code)"),
        (20, "file:///a.md", {"lens_share": 0.1, "model": "m"}, "20 tokens, 20 % of the 100-token window (m)"),
        (250, "file:///a.md", {}, "250 tokens, 2.5 × the 100-token window (starter:code)"),
        (0, "file:///a.prompt", {}, None),
    ],
)
async def test_lens(started: Any, words: int, uri: str, settings: dict[str, Any], expected: str | None) -> None:
    lens = await (await started(TokenCount, **settings)).lens(snapshot("w " * words, uri))
    assert (lens.title if lens else None) == expected


@pytest.mark.parametrize(
    ("text", "uri", "settings", "expected"),
    [
        ("w " * 11, "file:///x/a.prompt", {"budgets": {"*.prompt": 10}}, [(0, 11, 10)]),
        ("w " * 10, "file:///x/a.prompt", {"budgets": {"*.prompt": 10}}, []),
        ("w " * 11, "file:///x/a.md", {"budgets": {"*.prompt": 10}}, []),
        ("w " * 11, "file:///p/a.md", {"budgets": {"*.md": 20, "p/": 5}}, [(0, 11, 5)]),
        ("a\n```prompt\none two\nthree\n```\n", "file:///a.md", {"block_budget": 2}, [(1, 3, 2)]),
        (
            "```prompt\none two\n```\n\n~~~ prompt\nthree four five\n~~~\n",
            "file:///a.md",
            {"block_budget": 2},
            [(4, 3, 2)],
        ),
        ("```python\none two three\n```\n", "file:///a.md", {"block_budget": 2}, []),
        ("````prompt\none\n```\ntwo three\n````\nfour", "file:///a.md", {"block_budget": 3}, [(0, 4, 3)]),
        ("```prompt\r\none two three\r\n```\r\n", "file:///a.md", {"block_budget": 2}, [(0, 3, 2)]),
        ("a\r```prompt\rone two three\r```\rfour", "file:///a.md", {"block_budget": 2}, [(1, 3, 2)]),
        ("```prompt\none two three", "file:///a.md", {"block_budget": 2}, [(0, 3, 2)]),
        # fences inside an open block are its text, however many: each character is counted once
        ("```prompt\n" * 3 + "one two three", "file:///a.md", {"block_budget": 2}, [(0, 5, 2)]),
        ("~~~prompt\none\n```prompt\ntwo\n```\n~~~\n", "file:///a.md", {"block_budget": 2}, [(0, 4, 2)]),
        ("~~~prompt\none\n~~~~ \n```prompt\na b c\n```", "file:///a.md", {"block_budget": 2}, [(3, 3, 2)]),
        ("```prompt\none two three", "file:///a.md", {"block_budget": 5}, []),
    ],
)
async def test_budgets(started: Any, text: str, uri: str, settings: dict[str, Any], expected: Any) -> None:
    plugin = await started(TokenCount, **settings)
    found = [item async for item in plugin.budgets(snapshot(text, uri))]
    assert [(item.range.start.line, item.data["tokens"], item.data["budget"]) for item in found] == expected
    assert all(item.severity is Severity.WARNING and item.code == "over-budget" for item in found)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Range(Position(0, 0), Position(0, 7)), "Tokens of m: selection 2, document 4, 4.0 % of the 100-token window."),
        (Range(Position(0, 3), Position(0, 3)), "Tokens of m: document 4, 4.0 % of the 100-token window."),
        (None, "Tokens of m: document 4, 4.0 % of the 100-token window."),
    ],
)
async def test_the_command_counts_the_selection(started: Any, selection: Range | None, expected: str) -> None:
    plugin = await started(TokenCount, model="m")
    assert await plugin.count(snapshot("one two three\nfour"), selection) == expected
    assert plugin.editor.texts == [("", expected)]


async def test_without_a_document_the_command_says_so(started: Any) -> None:
    with pytest.raises(InklingError, match="no document"):
        await (await started(TokenCount)).count(None, None)


async def test_a_large_document_is_scanned_off_the_event_loop(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, threads = token_count._prompt_blocks, []
    monkeypatch.setattr(
        token_count, "_prompt_blocks", lambda document: threads.append(threading.current_thread()) or scan(document)
    )
    plugin = await started(TokenCount, block_budget=2)
    for words, on_loop in ((3, True), (3_000, False)):
        (found,) = [item async for item in plugin.budgets(snapshot("```prompt\n" + "w " * words, "file:///a.md"))]
        assert found.data["tokens"] == words
        assert (threads.pop() is threading.current_thread()) is on_loop


async def test_a_budget_warning_says_by_how_much(started: Any) -> None:
    plugin = await started(TokenCount, budgets={"*.prompt": 10})
    (warning,) = [item async for item in plugin.budgets(snapshot("w " * 1500, "file:///a.prompt"))]
    assert warning.message == "This document takes 1,500 tokens of starter:code: 1,490 over its budget of 10."
