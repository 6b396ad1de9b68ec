"""Classification of prose in documents: what is marked, what an edit costs, and how a mark is silenced."""

from __future__ import annotations

from typing import Any

import pytest

from inkling.api import Diagnostic, InklingError, Label, Nothing, Severity, Snapshot
from inkling.engine.fake import FakeEngine
from inkling_plugins.classify import Classify
from inkling_plugins.rules.plugin import Rules
from inkling_plugins.rules.rule import Rule

RUDE = {"stupid": [Label("hostile", 0.9)], "lovely": [Label("praise", 0.8)], "maybe": [Label("hostile", 0.6)]}


def engine() -> FakeEngine:
    return FakeEngine(labels=RUDE)


def snapshot(text: str, language: str) -> Snapshot:
    return Snapshot.of(text, uri="file:///a", language=language)


async def marks(plugin: Classify, document: Snapshot) -> list[Diagnostic]:
    found = [item async for item in plugin.check(document)]
    assert all(isinstance(item, Diagnostic) for item in found), found
    return [item for item in found if isinstance(item, Diagnostic)]


async def marked(plugin: Classify, text: str, language: str) -> list[str]:
    document = snapshot(text, language)
    return [document.text_in(mark.range) for mark in await marks(plugin, document)]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("This is fine. This is a stupid plan. The end is near.", "markdown", ["This is a stupid plan."]),
        ("# What a stupid hack this is.\nx = 'a stupid string here'\n", "python", ["What a stupid hack this is."]),
        ('def f():\n    """Return the stupid value here."""\n', "python", ["Return the stupid value here."]),
        ("/* What a stupid hack\n * this is. */\nint x;\n", "c", ["What a stupid hack\n * this is."]),
        ("Fix the stupid parser bug\n", "gitcommit", ["Fix the stupid parser bug"]),
        ("```\nthis stupid code is not read\n```\n", "markdown", []),
        ("Nothing to see here at all.\n", "plaintext", []),
        ("So stupid.\n", "plaintext", []),
    ],
)
async def test_marks(started: Any, text: str, language: str, expected: list[str]) -> None:
    assert await marked(await started(Classify, engine()), text, language) == expected


async def test_a_mark(started: Any) -> None:
    plugin = await started(Classify, engine())
    (mark,) = await marks(plugin, snapshot("What a stupid plan.", "markdown"))
    assert mark.message == "Reads as hostile (90%)"
    assert (mark.code, mark.severity) == ("hostile", Severity.WARNING)
    assert (mark.data["score"], mark.data["model"]) == (0.9, "starter:tone")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"hostile": Severity.WARNING, "praise": Severity.INFORMATION}),
        ({"severities": {"hostile": "error"}}, {"hostile": Severity.ERROR, "praise": Severity.INFORMATION}),
        ({"severity": "hint"}, {"hostile": Severity.WARNING, "praise": Severity.HINT}),
        ({"severities": {"hostile": "off"}}, {"praise": Severity.INFORMATION}),
        ({"ignore_labels": ("praise",)}, {"hostile": Severity.WARNING}),
        ({"threshold": 0.85}, {"hostile": Severity.WARNING}),
        ({"threshold": 0.99, "thresholds": {"praise": 0.5}}, {"praise": Severity.INFORMATION}),
        ({"on": ("comment",)}, {}),
        ({"min_words": 8}, {}),
    ],
)
async def test_settings(started: Any, settings: dict[str, Any], expected: dict[str, Severity]) -> None:
    plugin = await started(Classify, engine(), **settings)
    found = await marks(plugin, snapshot("What a stupid plan it is.\n\nWhat a lovely plan it is.\n", "markdown"))
    assert {mark.code: mark.severity for mark in found} == expected


async def test_a_message_of_ones_own(started: Any) -> None:
    plugin = await started(Classify, engine(), messages={"hostile": "Say it kindly"})
    (mark,) = await marks(plugin, snapshot("What a stupid plan.", "markdown"))
    assert mark.message == "Say it kindly (90%)"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"enabled": False}, "disabled"),
        ({"languages": {"markdown": False}}, "language-off"),
        ({"max_sentences": 1}, "too-large"),
    ],
)
async def test_nothing_with_a_reason(started: Any, settings: dict[str, Any], reason: str) -> None:
    plugin = await started(Classify, engine(), **settings)
    found = [item async for item in plugin.check(snapshot("One is here now. Two is here now.", "markdown"))]
    assert [item.reason for item in found if isinstance(item, Nothing)] == [reason] and len(found) == 1
    assert plugin.engine.calls == []


async def test_an_edit_costs_the_sentences_that_it_changed(started: Any) -> None:
    plugin = await started(Classify, engine())
    lines = [f"This is sentence number {i} of many." for i in range(200)]
    await marks(plugin, snapshot("\n\n".join(lines), "markdown"))
    assert sum(len(call.arguments["texts"]) for call in plugin.engine.calls) == 200
    assert len(plugin.engine.calls) == 4
    plugin.engine.calls.clear()
    lines[70] = "This is another stupid sentence."
    (mark,) = await marks(plugin, snapshot("A new first line is here.\n\n" + "\n\n".join(lines), "markdown"))
    assert [call.arguments["texts"] for call in plugin.engine.calls] == [
        ("A new first line is here.", "This is another stupid sentence.")
    ]
    assert mark.range.start.line == 142


async def test_equal_sentences_are_read_once(started: Any) -> None:
    plugin = await started(Classify, engine())
    await marks(plugin, snapshot("The same stupid line.\n\n" * 10, "markdown"))
    assert plugin.engine.calls[0].arguments["texts"] == ("The same stupid line.",)


IGNORABLE = [
    ("# Fine words are here.\n# What a stupid hack this is.\nx = 1\n", "python"),
    ("def f():\n    # What a stupid hack this is.\n    pass\n", "python"),
    ('def f():\n    """Do it.\n\n    What a stupid hack this is.\n    """\n', "python"),
    ("int x;\n/* What a stupid\n   hack this is. */\n", "c"),
    ("int x; // What a stupid hack this is.\n", "c"),
    ("One line of text.\nWhat a stupid hack this is.\n", "markdown"),
    (
        "# A sentence that goes on\n# over two lines. What a stupid\n# hack this is. And more is here.\nx = 1\n",
        "python",
    ),
    ("* What a stupid hack this is.\n* And a second item.\n", "markdown"),
    ("Fix the thing\n\nWhat a stupid hack this was.\n", "gitcommit"),
    ("# What a stupid hack this is.\r\nx = 1\r\n", "python"),
]


@pytest.mark.parametrize(("text", "language"), IGNORABLE)
async def test_ignore_here_is_honoured_and_changes_nothing_else(started: Any, text: str, language: str) -> None:
    plugin = await started(Classify, engine())
    document = snapshot(text, language)
    (mark,) = await marks(plugin, document)
    fix = next(fix for fix in mark.fixes if fix.title == 'Ignore "hostile" here')
    (edit,) = fix.edits
    start, end = document.offset(edit.range.start), document.offset(edit.range.end)
    after = document.text[:start] + edit.new_text + document.text[end:]
    assert after.count("\n") == text.count("\n") + 1
    assert ("\r\n" in text) == edit.new_text.endswith("\r\n")
    assert await marks(plugin, snapshot(after, language)) == []
    assert len(plugin.engine.calls) == 1
    assert len(await marks(plugin, snapshot(after.replace("[hostile]", "[praise]"), language))) == 1
    assert await marks(plugin, snapshot(after.replace("[hostile]", ""), language)) == []


async def test_where_there_are_no_comments_ignore_here_is_not_offered(started: Any) -> None:
    plugin = await started(Classify, engine())
    (mark,) = await marks(plugin, snapshot("What a stupid plan.", "plaintext"))
    assert [fix.title for fix in mark.fixes] == [
        'Ignore "hostile" in this workspace',
        'Raise the threshold of "hostile" to 0.93',
    ]


async def test_a_sure_label_has_no_higher_threshold(started: Any) -> None:
    plugin = await started(Classify, FakeEngine(labels={"stupid": [Label("hostile", 0.99)]}))
    (mark,) = await marks(plugin, snapshot("What a stupid plan.", "plaintext"))
    assert [fix.command for fix in mark.fixes] == ["classify.ignore_label"]


async def test_fixes_change_settings(started: Any) -> None:
    plugin = await started(Classify, engine())
    (mark,) = await marks(plugin, snapshot("What a stupid plan.", "plaintext"))
    ignore, higher = mark.fixes
    assert (ignore.command, higher.command) == ("classify.ignore_label", "classify.raise_threshold")
    await plugin.ignore_label(None, None, **ignore.arguments)
    await plugin.raise_threshold(None, None, **higher.arguments)
    assert plugin.editor.changed == [("classify.ignore_labels", ["hostile"]), ("classify.thresholds.hostile", 0.93)]


async def test_commands_without_a_label_say_so(started: Any) -> None:
    plugin = await started(Classify, engine())
    with pytest.raises(InklingError, match="No label"):
        await plugin.ignore_label(None, None)
    with pytest.raises(InklingError, match="threshold"):
        await plugin.raise_threshold(None, None, label="x", threshold=2.0)


@pytest.mark.parametrize(("changes", "aside"), [
    ({}, True),
    ({"enabled": False}, False),
    ({"when": "demand"}, False),
    ({"surface": "code-lens"}, False),
    ({"model": "someone/else"}, False),
    ({"on": ("string",)}, False),
    ({"on": ("paragraph", "*.py")}, False),
])  # fmt: skip
async def test_a_users_rule_with_the_same_model_reads_in_its_place(
    changes: dict[str, Any], aside: bool, started: Any
) -> None:
    rule = Rule(**{"name": "tone", "model": "starter:tone", "on": ("paragraph",), **changes})
    rules = await started(Rules, rule=(rule,))
    plugin = await started(Classify)
    document = snapshot("A stupid plan here.\n", "markdown")
    reasons = [item.reason async for item in plugin.check(document) if isinstance(item, Nothing)]
    assert ("rule-instead" in reasons) is aside
    await rules.stop()
    assert "rule-instead" not in [item.reason async for item in plugin.check(document) if isinstance(item, Nothing)]
