"""Better words and words for a mask: which are offered, how they are written, what the model is given to read."""

from __future__ import annotations

from typing import Any

import pytest

from inkling.api import Edit, Fill, InklingError, Nothing, Position, Range, Snapshot
from inkling.engine.fake import FakeEngine
from inkling_plugins.better_word import BetterWord
from inkling_plugins.mask_context import context

FILLS = [
    Fill(" quick", 0.4, ""), Fill(".", 0.2, ""), Fill("##ly", 0.1, ""), Fill("Quick", 0.1, ""), Fill(" swift", 0.1, ""),
    Fill("fast", 0.05, ""), Fill("well-known", 0.03, ""), Fill("rare", 0.001, ""),
]  # fmt: skip


async def plugin(started: Any, **settings: Any) -> Any:
    return await started(BetterWord, FakeEngine(fills=FILLS), **{"model": "org/masked"} | settings)


def prose(text: str, language: str = "markdown") -> Snapshot:
    return Snapshot.of(text, uri="file:///w/a.md", language=language)


async def everything(results: Any) -> list[Any]:
    return [item async for item in results]


def at(line: int, character: int) -> Range:
    return Range(Position(line, character), Position(line, character))


@pytest.mark.parametrize(
    ("word", "expected"),
    [("fast", ["quick", "swift", "well-known"]), ("Slow", ["Quick", "Swift", "Fast", "Well-known"]),
     ("SLOW", ["QUICK", "SWIFT", "FAST", "WELL-KNOWN"]), ("swift", ["quick", "fast", "well-known"])],
)  # fmt: skip
async def test_words_in_the_case_of_the_one_replaced(started: Any, word: str, expected: list[str]) -> None:
    text = f"A  {word}\tfox."
    snapshot = prose(text)
    actions = await everything((await plugin(started)).better(snapshot, at(0, 5)))
    edited = [text.replace(word, new) for new in expected]
    assert [apply(snapshot, action.edits) for action in actions] == edited, "the spaces around stay"
    assert actions[0].title == f"Better word: “{expected[0]}” (40%)" and actions[0].kind == "refactor.rewrite"


def apply(snapshot: Snapshot, edits: tuple[Edit, ...]) -> str:
    (edit,) = edits
    start, end = snapshot.offset(edit.range.start), snapshot.offset(edit.range.end)
    return snapshot.text[:start] + edit.new_text + snapshot.text[end:]


async def test_no_more_than_asked_for(started: Any) -> None:
    made = await plugin(started, count=2, least=0.08)
    assert len(await everything(made.better(prose("a slow fox"), at(0, 3)))) == 2
    assert made.engine.calls_to("fill_mask")[0].arguments["text"] == "a [MASK] fox"
    await everything(made.better(prose("a slow fox"), at(0, 4)))
    assert len(made.engine.calls_to("fill_mask")) == 1, "the same question is not asked again"


@pytest.mark.parametrize(
    ("text", "language", "place"),
    [("value = other", "python", (0, 2)), ("an ox", "markdown", (0, 4)), ("x 123 y", "markdown", (0, 3)),
     ("   ", "markdown", (0, 1)), ("snake_case", "markdown", (0, 2)), ("a" * 50, "markdown", (0, 2))],
)  # fmt: skip
async def test_what_is_no_word_of_prose(started: Any, text: str, language: str, place: tuple[int, int]) -> None:
    made = await plugin(started)
    assert await everything(made.better(prose(text, language), at(*place))) == []
    assert made.engine.calls == []


async def test_a_selected_word(started: Any) -> None:
    made, snapshot = await plugin(started), prose("a slow fox")
    assert await everything(made.better(snapshot, snapshot.range(2, 6)))
    assert await everything(made.better(snapshot, snapshot.range(2, 10))) == []


@pytest.mark.parametrize("mask", ["[MASK]", "<mask>", "<|mask|>", "[mask]"])
async def test_completion_at_a_mask(started: Any, mask: str) -> None:
    made, snapshot = await plugin(started), prose(f"It is a {mask} day. {mask} it is.")
    found = await everything(made.fill(snapshot, Position(0, 8 + len(mask))))
    assert [(entry.new_text, entry.detail, entry.rank) for entry in found[:2]] == [
        ("quick", "40%", 0), ("swift", "10%", 1),
    ]  # fmt: skip
    assert snapshot.text_in(found[0].range) == mask
    assert made.engine.calls_to("fill_mask")[0].arguments["text"] == "It is a [MASK] day. … it is.", "one mask alone"
    found = await everything(made.fill(snapshot, Position(0, 14 + 2 * len(mask))))
    assert found[0].new_text == "Quick", "a sentence begins"
    assert await everything(made.fill(snapshot, Position(0, 7))) == []


async def test_without_a_model_that_is_told_once_with_the_way_out(started: Any) -> None:
    made, snapshot = await plugin(started, model=""), prose("a slow [MASK]")
    for surface in (lambda: made.better(snapshot, at(0, 3)), lambda: made.fill(snapshot, Position(0, 13))):
        (nothing,) = await everything(surface())
        assert isinstance(nothing, Nothing) and nothing.reason == "no-model"
        assert "[better_word] model =" in nothing.detail
        assert await everything(surface()) == []
    with pytest.raises(InklingError, match="No masked language model"):
        await made.choose(snapshot, at(0, 3))
    made = await plugin(started, enabled=False)
    assert (await everything(made.better(snapshot, at(0, 3))))[0].reason == "disabled"


async def test_the_command_asks_and_replaces(started: Any) -> None:
    made, snapshot = await plugin(started), prose("a slow fox")
    applied = []

    async def choose(title: str, options: list[str]) -> str | None:
        return options[1] if options[0] == "quick (40%)" else None

    async def apply_edits(snapshot: Snapshot, edits: list[Edit], label: str) -> None:
        applied.extend(edits)

    made.editor.choose, made.editor.apply = choose, apply_edits
    assert await made.choose(snapshot, at(0, 3)) == "swift"
    assert applied == [Edit(snapshot.range(2, 6), "swift")]
    with pytest.raises(InklingError, match="no word at the cursor"):
        await made.choose(snapshot, at(0, 1))


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Other.\n\nOne two\nthree WORD four.\n\nNot this.", "markdown", "One two three WORD four."),
        ("x = 1\n# One two\n# three WORD four\n# five\ny = 2", "python", "One two three WORD four five"),
        ("x = 1  # three WORD four\ny = 2  # no", "python", "three WORD four"),
        ('log(\'One two\'); say("don\'t WORD four", "x")', "python", "don't WORD four"),
        ('def f():\n    """One two\n    three WORD four."""\n', "python", "One two three WORD four."),
        ("/// One\r\n/// WORD four\r\nfn f() {}", "rust", "One WORD four"),
    ],
)
def test_what_the_model_reads(text: str, language: str, expected: str) -> None:
    snapshot = prose(text, language)
    start = text.index("WORD")
    before, after = context(snapshot, start, start + 4)
    assert f"{before}WORD{after}" == expected
