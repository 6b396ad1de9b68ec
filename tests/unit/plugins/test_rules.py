"""Rules: what they find where, what an edit costs, and how a finding is explained, silenced, redacted and disputed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkling.api import (
    Answer,
    Diagnostic,
    Entity,
    Fill,
    InklingError,
    Label,
    Nothing,
    Position,
    Priority,
    Range,
    Snapshot,
)
from inkling.engine.fake import FakeEngine
from inkling_plugins.rules import baseline, sheet, similar, units
from inkling_plugins.rules.plugin import Rules
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.store import Store

SCORES = {"stupid": ("hostile", 0.9, "kind", 0.1), "lovely": ("kind", 0.8, "hostile", 0.2)}
TONE = Rule(name="tone", labels={"hostile": "warning"})


def rude(text: str) -> list[Label]:
    """Every text has all labels, as of a real model."""
    first, most, second, rest = next(
        (s for word, s in SCORES.items() if word in text), ("neutral", 0.9, "hostile", 0.1)
    )
    scores = {first: most, second: rest}
    return [
        Label(label, scores.get(label, 0.0))
        for label in sorted(("hostile", "kind", "neutral"), key=lambda x: -scores.get(x, 0.0))
    ]


def mail(text: str) -> Sequence[Entity]:
    start = text.find("a@b.c")
    return [Entity("email", 0.95, start, start + 5)] if start >= 0 else []


def engine(**more: Any) -> FakeEngine:
    return FakeEngine(labels=rude, entities=mail, **more)


def snapshot(text: str, language: str = "markdown", uri: str = "file:///project/a.md") -> Snapshot:
    return Snapshot.of(text, uri=uri, language=language)


async def found(plugin: Rules, document: Snapshot) -> list[Any]:
    return [item async for item in plugin.check(document)]


async def marked(plugin: Rules, text: str, language: str) -> list[str]:
    document = snapshot(text, language)
    items = await found(plugin, document)
    assert all(isinstance(item, Diagnostic) for item in items), items
    return [document.text_in(item.range) for item in items]


def asked(plugin: Rules) -> list[str]:
    return [text for call in plugin.engine.calls_to("classify") for text in call.arguments["texts"]]


CODE = '"""A stupid module here."""\n# What a stupid hack.\nx = "a stupid string here"\ndef stupid(): pass\n'


@pytest.mark.parametrize(
    ("on", "text", "language", "expected"),
    [
        (["prose"], "This is fine. A stupid plan here.\n", "markdown", ["A stupid plan here."]),
        (["markdown"], "A stupid plan here.\n", "plaintext", []),
        (["markdown", "comments"], CODE, "python", ["What a stupid hack."]),
        (["python"], CODE, "python", ["A stupid module here.", "What a stupid hack."]),
        (["strings"], CODE, "python", ["a stupid string here"]),
        (["python:docstrings"], CODE, "python", ["A stupid module here."]),
        (["go:comments"], CODE, "python", []),
        (["functions"], CODE, "python", ["def stupid(): pass"]),
        (["(identifier) @name"], CODE, "python", ["stupid"]),
        (["python:(identifier) @name"], CODE, "python", ["stupid"]),
        (["headings"], "# A stupid thing\n\nA stupid plan here.\n", "markdown", ["A stupid thing"]),
        (["prose", "*.txt"], "A stupid plan here.\n", "markdown", []),
        (["prose", "*.md"], "A stupid plan here.\n", "markdown", ["A stupid plan here."]),
        (["prose", "!*.md"], "A stupid plan here.\n", "markdown", []),
        (["file"], "One stupid line.\n\nTwo.\n", "plaintext", ["One stupid line.\n\nTwo.\n"]),
    ],
)
async def test_on(started: Any, on: list[str], text: str, language: str, expected: list[str]) -> None:
    rule = Rule(name="tone", on=tuple(on), labels={"hostile": "warning"})
    assert list(rule.complaints()) == []
    assert await marked(await started(Rules, engine(), rule=(rule,)), text, language) == expected


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"on": ("comments", "comented")}, "on", 'names "comented", which is neither'),
        ({"on": ("paragraphz",)}, "on", 'Did you mean "paragraphs"?'),
        ({"task": "summarization", "surface": "semantic-tokens"}, "surface", "it can show at code-action"),
        ({"task": "translation", "surface": "command"}, "model", "is needed"),
        ({"message": "Reads as {lable}"}, "message", "it may name {label}, {score}"),
        ({"message": "{label.__class__}"}, "message", "names {label.__class__}"),
        ({"message": "{score:{label}}"}, "message", "more than a name"),
        ({"message": "{score:.0%"}, "message", "is no template"),
        ({"message": "{label:>99999}"}, "message", "width"),
        ({"messages": {"x": "{}"}}, "messages.x", "names {}"),
        ({"redaction": "{text}"}, "redaction", "names {text}"),
        ({"task": "zero-shot-classification"}, "candidates", "are needed"),
        ({"task": "zero-shot-classification", "candidates": ("a",), "labels": {"b": "hint"}}, "labels.b", "none of"),
        ({"task": "zero-shot-classification", "candidates": ("a",), "hypothesis": "It is"}, "hypothesis", "{} once"),
        ({"task": "text-generation", "surface": "command"}, "prompt", "is needed"),
        ({"task": "question-answering", "surface": "command", "model": "m"}, "question", "is needed"),
        ({"href": "javascript:alert(1)"}, "href", "no address"),
        ({"name": "no.todo"}, "name", "letters, digits"),
        ({"name": "no[todo]"}, "name", "letters, digits"),
    ],
)
def test_complaints(change: dict[str, Any], key: str, says: str) -> None:
    ((where, words),) = Rule(**{"name": "r", **change}).complaints()
    assert (where, says in words) == (key, True), words


@pytest.mark.parametrize(
    ("change", "label", "level"),
    [
        ({}, "hostile", "warning"),  # the starter's usual
        ({}, "neutral", "off"),
        ({}, "other", "information"),
        ({}, "none", "off"),
        ({"severity": "hint", "given": ("severity",)}, "hostile", "hint"),
        ({"severity": "hint", "given": ("severity",)}, "neutral", "off"),
        ({"labels": {"*": "hint"}}, "neutral", "hint"),
        ({"labels": {"neutral": "hint"}}, "neutral", "hint"),
        ({"model": "org/tone"}, "neutral", "information"),
        ({"model": "starter:injection"}, "benign", "off"),
        ({"model": "starter:injection"}, "injection", "warning"),
        ({"labels": {"none": "hint"}}, "none", "hint"),
        ({"labels": {"*": "hint"}}, "none", "off"),
        ({"labels": {"kind": "hint"}}, "hostile", "off"),
    ],
)
def test_how_a_label_shows(change: dict[str, Any], label: str, level: str) -> None:
    assert Rule(name="r", **change).level(label) == level


async def test_a_finding_says_all_that_is_known(started: Any) -> None:
    rule = Rule(
        name="tone",
        labels={"hostile": "error"},
        message="{label} at {score:.0%} by {rule}",
        href="https://example.org/x",
    )
    plugin = await started(Rules, engine(), rule=(rule,))
    (item,) = await found(plugin, snapshot("A stupid plan here.\n"))
    assert (item.message, item.severity, item.code) == ("hostile at 90% by tone", 1, "tone/hostile")
    assert item.href == "https://example.org/x"
    assert {key: item.data[key] for key in ("rule", "score", "scores.kind", "model")} == {
        "rule": "tone", "score": 0.9, "scores.kind": 0.1, "model": "starter:tone",
    }  # fmt: skip
    assert [fix.title for fix in item.fixes] == [
        "Why this?",
        'Ignore "tone/hostile" here',
        'Ignore "hostile" of tone in this workspace',
        'Raise the threshold of "hostile" to 0.93',
        "Not helpful",
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(name="r"), ["hostile", "kind"]),
        (Rule(name="r", labels={"kind": "hint"}), ["kind"]),
        (Rule(name="r", labels={"kind": "off", "*": "hint"}), ["hostile"]),
        (Rule(name="r", threshold=0.85), ["hostile"]),
        (Rule(name="r", threshold=0.85, thresholds={"kind": 0.5}), ["hostile", "kind"]),
        (Rule(name="r", multi_label=True, threshold=0.15), ["hostile", "kind", "hostile"]),
        (Rule(name="r", enabled=False), []),
    ],
)
async def test_what_shows(started: Any, rule: Rule, expected: list[str]) -> None:
    plugin = await started(Rules, engine(known_labels=("hostile", "kind")), rule=(rule,))
    items = await found(plugin, snapshot("A stupid plan here.\n\nA lovely day outside.\n"))
    assert [item.data["label"] for item in items] == expected


async def test_zero_shot_is_asked_in_its_own_words(started: Any) -> None:
    rule = Rule(name="z", task="zero-shot-classification", candidates=("praise", "blame"), hypothesis="This is {}.")
    plugin = await started(Rules, engine(), rule=(rule,))
    (item,) = await found(plugin, snapshot("Full of blame today.\n"))
    (call,) = plugin.engine.calls_to("zero_shot")
    assert (item.data["label"], call.arguments["template"], call.arguments["labels"]) == (
        "blame", "This is {}.", ("praise", "blame"),
    )  # fmt: skip


async def test_labels_that_a_model_lacks_are_told_with_those_it_has(started: Any) -> None:
    plugin = await started(
        Rules, engine(known_labels=("hostile", "kind")), rule=(Rule(name="r", labels={"rude": "hint"}),)
    )
    (reason,) = await found(plugin, snapshot("A stupid plan here.\n"))
    assert reason.reason == "unknown-label"
    assert 'has no label "rude". Its labels: hostile, kind.' in reason.detail
    assert asked(plugin) == []


async def test_a_model_that_cannot_costs_its_own_rule_alone(started: Any) -> None:
    fake = engine(faults={"classify_tokens": InklingError("wrong-task", "It cannot.", "Choose another.")})
    leak = Rule(name="leak", task="token-classification")
    plugin = await started(Rules, fake, rule=(leak, TONE))
    reason, item = await found(plugin, snapshot("A stupid plan here.\n"))
    assert (reason.reason, reason.detail, item.code) == (
        "wrong-task",
        "leak: It cannot. Choose another.",
        "tone/hostile",
    )


# -- cost


def lines(count: int) -> list[str]:
    return [f"This is sentence number {number} of many." for number in range(count)]


async def test_a_first_reading_comes_piece_by_piece_and_an_edit_costs_its_sentence(started: Any) -> None:
    plugin = await started(Rules, engine(delay_s=0.001), rule=(TONE,), patience=0.05)
    text = lines(10_000)
    text[9_000] = "This is a stupid sentence, number 9000."
    document = snapshot("\n\n".join(text))
    items = await found(plugin, document)
    assert [item.reason for item in items if isinstance(item, Nothing)] == ["still-reading"]
    for _ in range(600):
        if len(asked(plugin)) == 10_000 and not plugin._linter.reader._wishes:
            break
        await asyncio.sleep(0.05)
    assert len(asked(plugin)) == len(set(asked(plugin))) == 10_000
    assert plugin.editor.refreshed and set(plugin.editor.refreshed) == {"diagnostics"}
    priorities = [call.arguments["priority"] for call in plugin.engine.calls_to("classify")]
    assert priorities[0] is Priority.DIAGNOSTICS and set(priorities[1:]) == {Priority.BACKGROUND}
    (item,) = await found(plugin, document)
    assert item.range.start.line == 18_000
    plugin.engine.calls.clear()
    text[5_000] = "This one is stupid and new."
    items = await found(plugin, snapshot("\n\n".join(text)))
    assert asked(plugin) == ["This one is stupid and new."]
    assert [item.range.start.line for item in items] == [10_000, 18_000]


async def test_an_edit_does_not_wait_for_the_rest_of_a_first_reading(started: Any) -> None:
    plugin = await started(Rules, engine(delay_s=0.05), rule=(TONE,), patience=5.0)
    text = lines(2_000)
    first = asyncio.create_task(found(plugin, snapshot("\n\n".join(text))))
    while len(asked(plugin)) < 100:
        await asyncio.sleep(0.01)
    text[1_000] = "This one is stupid and new."
    second = asyncio.create_task(found(plugin, snapshot("\n\n".join(text))))

    def urgent() -> list[list[str]]:
        calls = plugin.engine.calls_to("classify")
        return [list(c.arguments["texts"]) for c in calls if c.arguments["priority"] is Priority.DIAGNOSTICS]

    async with asyncio.timeout(10):
        while len(urgent()) < 2:
            await asyncio.sleep(0.001)
    assert [len(texts) for texts in urgent()] == [16, 1] and urgent()[1] == [text[1_000]]
    items = await second
    assert [item.range.start.line for item in items if isinstance(item, Diagnostic)] == [2_000]
    assert [item.reason for item in items if isinstance(item, Nothing)] == ["still-reading"]
    assert len(asked(plugin)) < 1_000
    await first
    while plugin._linter.reader._wishes:
        await asyncio.sleep(0.01)
    assert len(asked(plugin)) == len(set(asked(plugin)))


async def test_what_grows_with_the_document_is_not_done_on_the_event_loop(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[str] = []
    there: list[str] = []

    def seen(module: Any, name: str) -> None:
        work = getattr(module, name)

        def watched(*given: Any) -> Any:
            (here if threading.current_thread() is threading.main_thread() else there).append(name)
            return work(*given)

        monkeypatch.setattr(module, name, watched)

    seen(sheet, "parts_of")
    seen(units, "blocks")
    mails = Rule(name="mail", task="token-classification", on=("file",))
    rules = (TONE, replace(TONE, name="also"), mails)
    plugin = await started(Rules, engine(), rule=rules, patience=0.0)
    text = "\n\n".join(lines(500))

    async def version(number: int, content: str) -> None:
        here.clear()
        there.clear()
        await found(plugin, Snapshot.of(content, uri="file:///project/long.txt", language="plaintext", version=number))

    await version(1, text)
    assert not here and len(there) > 1_000
    await version(2, text.replace("number 250 ", "number x "))
    assert here == ["parts_of", "parts_of"], "the paragraph that changed, for both rules"
    assert "blocks" in there
    await version(3, text + "\n\nAnother sentence is here.\n\n" + text)
    assert not here and len(there) > 1_000


async def test_what_the_user_looks_at_is_read_first_and_what_was_edited_away_never(started: Any) -> None:
    plugin = await started(Rules, engine(delay_s=0.02), rule=(TONE,), patience=0.0)
    plugin._linter.look("file:///project/a.md", Position(1_000, 0))
    await found(plugin, snapshot("\n\n".join(lines(5_000))))
    await asyncio.sleep(0.01)
    assert "number 500 " in asked(plugin)[0]
    await found(plugin, snapshot("Only this is left now.\n"))
    while plugin._linter.reader._wishes:
        await asyncio.sleep(0.01)
    assert len(asked(plugin)) < 4_000 and asked(plugin)[-1] == "Only this is left now."


async def session(started: Any, model: FakeEngine, cache: Path) -> Rules:
    """The plugin in an editor that keeps its readings in this folder."""
    plugin: Rules = await started(Rules, model, rule=(TONE,))
    plugin.editor.cache = cache  # type: ignore[attr-defined]
    await plugin.start()
    return plugin


async def test_readings_outlive_the_editor_and_hold_no_text(started: Any, tmp_path: Path) -> None:
    fresh = engine()
    first = await session(started, fresh, tmp_path)
    document = snapshot("\n\n".join([*lines(300), "A stupid plan is here.\n"]))
    assert len(await found(first, document)) == 1
    await first.stop()
    fresh.calls.clear()
    again = await session(started, fresh, tmp_path)
    assert len(await found(again, document)) == 1
    assert not fresh.calls  # nor is the model loaded for the labels that the rule names
    assert b"sentence number" not in (tmp_path / "readings.sqlite").read_bytes()
    await again.stop()
    (tmp_path / "readings.sqlite").write_bytes(b"junk" * 1000)
    third = await session(started, fresh, tmp_path)
    assert len(await found(third, document)) == 1 and len(asked(third)) == 301
    await third.stop()


async def test_what_comes_back_after_a_session_is_found_on_disk_when_the_model_cannot_say(
    started: Any, tmp_path: Path
) -> None:
    """A few new paragraphs are asked of the model at once; a branch that is checked out again brings known ones."""
    fresh = engine()
    first, text = await session(started, fresh, tmp_path), lines(30)
    await found(first, snapshot("\n\n".join([*text, "A stupid plan is here."])))
    await first.stop()
    again = await session(started, fresh, tmp_path)
    assert await found(again, snapshot("\n\n".join(text))) == []
    fresh.faults["classify"] = InklingError("gone", "The engine has gone.")
    (item,) = await found(again, snapshot("\n\n".join([*text, "A stupid plan is here."])))
    assert isinstance(item, Diagnostic)
    (reason,) = await found(again, snapshot("\n\n".join([*text, "A stupid and new plan."])))
    assert reason.reason == "gone"
    await again.stop()


@pytest.mark.parametrize(("task", "later"), [("text-classification", [0, 1]), ("feature-extraction", [1, 1])])
async def test_other_weights_of_the_same_name_are_asked_anew(
    started: Any, tmp_path: Path, task: Any, later: list[int]
) -> None:
    model = engine(known_weights={"./mine": "monday"})
    rule = Rule(name="tone", task=task, model="./mine", unit="whole")
    method = "classify" if task == "text-classification" else "embed"

    async def asks(plugin: Rules) -> int:
        before = len(model.calls_to(method))
        await found(plugin, snapshot("A stupid plan here.\n"))
        return len(model.calls_to(method)) - before

    sessions = [(["monday", "monday", "tuesday"], [1, 0, 1]), (["tuesday", "wednesday"], later)]
    for days, expected in sessions:
        plugin: Rules = await started(Rules, model, rule=(rule,))
        plugin.editor.cache = tmp_path  # type: ignore[attr-defined]
        await plugin.start()
        counts = []
        for day in days:
            model.known_weights = {"./mine": day}
            counts.append(await asks(plugin))
        await plugin.stop()
        assert counts == expected


@pytest.mark.parametrize("when", ["save", "demand"])
async def test_when(started: Any, when: Any) -> None:
    rule = Rule(name="tone", when=when, labels={"hostile": "warning"})
    plugin = await started(Rules, engine(), rule=(rule,))
    plugin.editor.saved = False
    document = snapshot("A stupid plan here.\n")
    first = await found(plugin, document)
    assert [item.reason for item in first] == ["not-saved"] * (when == "save") and asked(plugin) == []
    if when == "save":
        plugin.editor.saved = True
    else:
        assert await plugin.run(document, None, rule="tone") == "tone: 1 findings."
        assert plugin.editor.refreshed == ["diagnostics"]
    assert len(await found(plugin, document)) == 1


async def test_a_document_with_too_much_text_is_left_alone_and_says_so(started: Any) -> None:
    plugin = await started(Rules, engine(), rule=(TONE,), max_texts=10)
    (reason,) = await found(plugin, snapshot("\n\n".join(lines(11))))
    assert (reason.reason, asked(plugin)) == ("too-large", [])


async def test_a_flood_is_capped_and_counted(started: Any) -> None:
    rule = Rule(name="tone", labels={"hostile": "warning", "kind": "hint"}, max_results=3)
    plugin = await started(Rules, engine(known_labels=("hostile", "kind")), rule=(rule,))
    text = "".join(f"A {'lovely' if n < 5 else 'stupid'} plan {n} here.\n\n" for n in range(9))
    *shown, last = await found(plugin, snapshot(text))
    assert [item.data["label"] for item in shown] == ["hostile"] * 3
    assert last.message == "tone: 6 more findings are not shown (max_results = 3): 5 × kind, 1 × hostile."


# -- the linter's manners


@pytest.mark.parametrize("name", ["hostile", "tone", "tone/hostile", ""])
async def test_ignore_comments(started: Any, name: str) -> None:
    plugin = await started(Rules, engine(), rule=(TONE,))
    comment = f"<!-- inkling: ignore[{name}] -->" if name else "<!-- inkling: ignore -->"
    assert await found(plugin, snapshot(f"{comment}\nA stupid plan here.\n")) == []
    assert len(await found(plugin, snapshot("<!-- inkling: ignore[other] -->\nA stupid plan here.\n"))) == 1


async def test_the_baseline_hides_what_was_there_as_often_as_it_was(started: Any, tmp_path: Path) -> None:
    plugin = await started(Rules, engine(), rule=(TONE,), baseline="known.json")
    plugin.editor.folders = (tmp_path,)
    document = snapshot("A stupid plan here.\n", uri=(tmp_path / "a.md").as_uri())
    (item,) = await found(plugin, document)
    (tmp_path / "known.json").write_text(json.dumps({"version": 1, "files": {"a.md": {item.data["fingerprint"]: 1}}}))
    assert await found(plugin, document) == []
    twice = snapshot("New words first.\n\nA stupid plan here.\n\nA stupid plan here.\n", uri=document.uri)
    assert len(await found(plugin, twice)) == 1


async def test_why_names_the_word_that_moved_the_score(started: Any) -> None:
    plugin = await started(Rules, engine(), rule=(TONE,))
    document = snapshot("Such a stupid plan here.\n")
    (item,) = await found(plugin, document)
    plugin.engine.calls.clear()
    said = await plugin.why(document, item.range, rule="tone", label="hostile")
    assert said == "hostile 90%: without “stupid” it would be neutral (90%)."
    whole, once = plugin.engine.calls
    assert whole.arguments["texts"] == ("Such a stupid plan here.",)
    assert once.arguments["texts"][0] == "a stupid plan here." and len(once.arguments["texts"]) == 5
    assert "| stupid | +80.0% |" in plugin.editor.texts[-1][1]


async def test_not_helpful_is_noted_here_alone(started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    plugin = await started(Rules, engine(), rule=(TONE,))
    document = snapshot("Such a stupid plan here.\n")
    (item,) = await found(plugin, document)
    words = await plugin.not_helpful(document, item.range, rule="tone", label="hostile")
    path = tmp_path / "inkling" / "feedback.jsonl"
    assert str(path) in words and path.stat().st_mode & 0o77 == 0
    (line,) = path.read_text().splitlines()
    noted = json.loads(line)
    assert (noted["verdict"], noted["text"], noted["label"]) == ("not-helpful", "Such a stupid plan here.", "hostile")


async def test_quick_fixes_change_the_rule_in_the_workspace(started: Any) -> None:
    plugin = await started(Rules, engine(), rule=(TONE, Rule(name="all"), Rule(name="any", model="org/any")))
    await plugin.silence(None, None, rule="tone", label="hostile")
    await plugin.silence(None, None, rule="all", label="hostile")
    await plugin.silence(None, None, rule="any", label="kind")
    await plugin.raise_threshold(None, None, rule="tone", label="hostile", threshold=0.93)
    assert plugin.editor.changed == [
        ("rule[tone].labels.hostile", "off"),
        ("rule[all].labels.*", "information"),
        ("rule[all].labels.neutral", "off"),
        ("rule[all].labels.constructive", "off"),
        ("rule[all].labels.hostile", "off"),
        ("rule[any].labels.*", "information"),
        ("rule[any].labels.kind", "off"),
        ("rule[tone].thresholds.hostile", 0.93),
    ]
    with pytest.raises(InklingError, match="no rule"):
        await plugin.silence(None, None, rule="nope", label="x")


async def test_redact_one_and_all(started: Any) -> None:
    rule = Rule(name="leak", task="token-classification", on=("file",))
    plugin = await started(Rules, engine(), rule=(rule,))
    text = "mail = 'a@b.c'\n\n# ask a@b.c\n"
    document = snapshot(text, "python")
    items = await found(plugin, document)
    assert [document.text_in(item.range) for item in items] == ["a@b.c", "a@b.c"]
    assert [item.message for item in items] == ["email (95%)"] * 2
    (edit,) = items[0].fixes[0].edits
    assert (edit.new_text, items[0].fixes[0].preferred) == ("[EMAIL]", True)
    edits = await plugin.redact_all(document, items[0].range, rule="leak")
    assert [document.text_in(edit.range) for edit in edits] == ["a@b.c", "a@b.c"]


# -- other surfaces


async def test_every_surface(started: Any) -> None:
    names = ("hover", "code-lens", "inlay-hint", "semantic-tokens")
    rules = tuple(Rule(name=name, surface=name, labels={"hostile": "warning"}) for name in names)  # type: ignore[arg-type]
    plugin = await started(Rules, engine(), rule=rules)
    document = snapshot("Fine words are here.\n\nA stupid plan here.\n")
    everything = document.range(0, len(document))
    shown = await plugin.read(document, Position(2, 4))
    assert "| hostile | 90.0% |" in shown.markdown and shown.range == document.range(22, 41)
    assert await plugin.read(document, Position(0, 4)) is None
    (lens,) = [item async for item in plugin.lenses(document)]
    assert (lens.title, lens.command, lens.range.start.line) == ("Reads as hostile (90%)", "rules.why", 2)
    (hint,) = [item async for item in plugin.hints(document, everything)]
    assert (hint.label, hint.position) == ("hostile", Position(2, 19))
    (token,) = [item async for item in plugin.tokens_in(document, everything)]
    assert (token.type, token.range) == ("mark", shown.range)
    assert len(asked(plugin)) == 2  # what one rule's model said serves the others


WRITTEN: list[tuple[dict[str, Any], str]] = [
    ({"task": "summarization", "output": "above"}, "First line here."),
    ({"task": "translation", "model": "m", "output": "replace"}, "FIRST LINE HERE.\n"),
    ({"task": "text-generation", "prompt": "Explain {selection} in {language}", "output": "below"}, "fake text"),
    ({"task": "text-generation", "prompt": "Explain {selection}", "output": "show"}, "fake text"),
    ({"task": "text-classification"}, "r: neutral 90%, hostile 10%, kind 0%"),
    ({"task": "token-classification"}, "r: nothing found."),
]


@pytest.mark.parametrize(("change", "reply"), WRITTEN)
async def test_rules_on_demand(started: Any, change: dict[str, Any], reply: str) -> None:
    rule = Rule(name="r", surface="code-action", **change)
    assert list(rule.complaints()) == []
    plugin = await started(Rules, engine(), rule=(rule,))
    document = snapshot("First line here.\n", "plaintext")
    (action,) = [item async for item in plugin.actions(document, Range(Position(0, 0), Position(1, 0)))]
    assert await plugin.run(document, Range(Position(0, 0), Position(1, 0)), **action.arguments) == reply
    written = "".join(edit.new_text for edit in plugin.editor.applied) + plugin.editor.streamed
    if "output" in change and change["output"] != "show":
        assert reply in written
    elif "output" in change:
        assert plugin.editor.texts == [("r", f"{reply}\n")]
    if prompts := plugin.engine.calls_to("generate"):
        assert prompts[0].arguments["request"].prompt.startswith("Explain First line here.")


async def test_answers_are_opened_and_better_words_chosen(started: Any) -> None:
    fake = FakeEngine(answers=[Answer("line", 0.9, 6, 10)], fills=[Fill("text", 0.9, ""), Fill(" row", 0.5, "")])
    ask = Rule(name="ask", task="question-answering", model="m", question="What?", surface="command")
    word = Rule(name="word", task="fill-mask", model="m", surface="code-action")
    plugin = await started(Rules, fake, rule=(ask, word))
    document = snapshot("First line here.\n", "plaintext")
    assert await plugin.run(document, None, rule="ask") == "line (90%)"
    assert [document.text_in(place) for _, place in plugin.editor.opened] == ["line"]
    at = Range(Position(0, 7), Position(0, 7))
    plugin.editor.choice = 1
    assert await plugin.run(document, at, rule="word") == "row"
    assert [(document.text_in(edit.range), edit.new_text) for edit in plugin.editor.applied] == [("line", "row")]


async def test_near_duplicates(started: Any) -> None:
    rule = Rule(name="same", task="feature-extraction", threshold=0.99)
    plugin = await started(Rules, FakeEngine(), rule=(rule,))
    (item,) = await found(plugin, snapshot("A first thing here.\n\nAnother thing here.\n\nA first  thing here.\n"))
    assert (item.message, item.range.start.line, item.related[0].range.start.line) == (
        "Nearly the same as line 1 (100%)", 4, 0,
    )  # fmt: skip


async def test_two_who_ask_at_once_wait_together(started: Any) -> None:
    plugin = await started(Rules, engine(delay_s=0.05), rule=(TONE,))
    document = snapshot("A stupid plan here.\n")
    first, second = await asyncio.gather(found(plugin, document), found(plugin, document))
    assert len(first) == len(second) == 1 and len(plugin.engine.calls_to("classify")) == 1


async def test_a_failure_reaches_all_who_wait(started: Any) -> None:
    fake = engine(delay_s=0.05, faults={"classify": InklingError("engine-down", "It is gone.")})
    plugin = await started(Rules, fake, rule=(TONE,))
    document = snapshot("A stupid plan here.\n")
    for reasons in await asyncio.gather(found(plugin, document), found(plugin, document)):
        assert [reason.reason for reason in reasons] == ["engine-down"]


def led_out(folder: Path, kind: str) -> str:
    """A baseline setting that names what a workspace must not have read."""
    (folder / "outside.json").write_text('{"version": 1, "files": {}}')
    place = folder / "work" / "known.json"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to(folder / "outside.json")
    elif kind == "large":
        place.write_bytes(b" " * (baseline.LARGEST + 1))
    elif kind == "junk":
        place.write_text("[]")
    return {"above": "../outside.json", "device": "/dev/zero"}.get(kind, place.name)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("pipe", "no plain file"),
        ("folder", "no plain file"),
        ("device", "no plain file"),
        ("link", "leads out"),
        ("above", "leads out"),
        ("large", "more than"),
        ("junk", "cannot be read"),
    ],
)
async def test_a_bad_baseline_is_told_once_and_costs_no_finding(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, says: str
) -> None:
    monkeypatch.setattr(baseline, "LARGEST", 1000)
    (tmp_path / "work").mkdir()
    other = Rule(name="other", labels={"kind": "hint"})
    plugin = await started(Rules, engine(), rule=(TONE, other), baseline=led_out(tmp_path, kind))
    plugin.editor.folders = (tmp_path / "work",)
    document = snapshot("A stupid plan here.\n\nA lovely plan here.\n", uri=(tmp_path / "work" / "a.md").as_uri())
    async with asyncio.timeout(10):
        reason, *items = await found(plugin, document)
    assert (reason.reason, says in reason.detail) == ("bad-baseline", True), reason
    assert [item.data["label"] for item in items] == ["hostile", "kind"]


async def test_documents_that_are_closed_are_forgotten(started: Any) -> None:
    demand = Rule(name="demand", when="demand")
    plugin = await started(Rules, engine(), rule=(TONE, demand))
    documents = [snapshot("A stupid plan here.\n", uri=f"file:///project/{n}.md") for n in range(50)]
    for document in documents:
        plugin.editor.known = [document]
        await plugin.run(document, None, rule="demand")
        await plugin.read(document, Position(0, 3))
        plugin._news.due(document.uri, False)
        assert len(await found(plugin, document)) == 2
    linter = plugin._linter
    held = [
        {uri for uri, _ in linter._sheets},
        {uri for uri, _ in linter.demanded},
        {*linter._near},
        {*plugin._news._told},
    ]
    assert held == [{documents[-1].uri}] * 4


TWINS = "A first thing here.\n\nAnother thing here.\n\nA first  thing here.\n"
SAME = Rule(name="same", task="feature-extraction", threshold=0.99)


def test_pairs_are_the_closest_of_those_before() -> None:
    def length_one(vector: list[float]) -> list[float]:
        norm = sum(x * x for x in vector) ** 0.5
        return [x / norm for x in vector]

    chance = random.Random(3)
    vectors = [length_one([chance.gauss(0, 1) for _ in range(4)]) for _ in range(60)]
    expected = []
    for second in range(60):
        scored = [
            (sum(a * b for a, b in zip(vectors[second], vectors[first], strict=True)), -first)
            for first in range(second)
        ]
        if scored and max(scored)[0] >= 0.8:
            expected.append((second, -max(scored)[1], pytest.approx(max(scored)[0], abs=1e-5)))
    assert len(expected) > 10 and similar._pairs(vectors, 0.8) == expected
    assert similar._pairs([], 0.8) == similar._pairs(vectors[:1], -1.0) == []


async def test_near_duplicates_are_compared_once_while_their_texts_stay(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def pairs(vectors: Any, threshold: float, really: Any = similar._pairs) -> Any:
        compared.append(len(vectors))
        return really(vectors, threshold)

    monkeypatch.setattr(similar, "_pairs", pairs)
    plugin = await started(Rules, FakeEngine(), rule=(SAME,))
    for text in (TWINS, TWINS, "\n\n" + TWINS):
        assert len(await found(plugin, snapshot(text))) == 1
    assert compared == [3]
    assert len(await found(plugin, snapshot(TWINS + "\nSome more here now.\n"))) == 1 and compared == [3, 4]


async def test_near_duplicates_take_the_same_steps_as_other_findings(started: Any, tmp_path: Path) -> None:
    plugin = await started(Rules, FakeEngine(), rule=(SAME,), baseline="known.json")
    plugin.editor.folders = (tmp_path,)
    document = snapshot(TWINS, uri=(tmp_path / "a.md").as_uri())
    (item,) = await found(plugin, document)
    start = document.offset(item.fixes[0].edits[0].range.start)
    ignored = snapshot(TWINS[:start] + item.fixes[0].edits[0].new_text + TWINS[start:], uri=document.uri)
    assert "same/similar" in ignored.text and await found(plugin, ignored) == []
    (tmp_path / "known.json").write_text(json.dumps({"version": 1, "files": {"a.md": {item.data["fingerprint"]: 1}}}))
    assert await found(plugin, document) == []


async def test_near_duplicates_on_demand_and_when_run(started: Any) -> None:
    demand = Rule(name="demand", task="feature-extraction", model="m", threshold=0.99, when="demand")
    plugin = await started(Rules, FakeEngine(), rule=(SAME, demand))
    document = snapshot(TWINS)
    assert [item.code for item in await found(plugin, document)] == ["same/similar"]
    assert await plugin.run(document, None, rule="demand") == "demand: 1 findings."
    assert [item.code for item in await found(plugin, document)] == ["same/similar", "demand/similar"]
    with pytest.raises(InklingError) as refused:
        await plugin.run(document, None, rule="same")
    assert refused.value.reason == "not-run"
    assert {call.method for call in plugin.engine.calls} == {"embed"}


@pytest.mark.parametrize("fault", ["raises", "too few"])
async def test_an_answer_that_is_none_reaches_who_waits(started: Any, fault: str) -> None:
    class Short(FakeEngine):
        async def classify(self, texts: Sequence[str], **more: Any) -> list[list[Label]]:
            if fault == "raises":
                raise ValueError(f"what does {texts[0]} mean")
            return (await super().classify(texts, **more))[1:]

    plugin = await started(Rules, Short(labels=rude), rule=(TONE,))
    async with asyncio.timeout(10):
        (reason,) = await found(plugin, snapshot("A stupid plan here.\n"))
    assert (reason.reason, "stupid" in reason.detail) == ("bad-answer", False)


async def test_of_many_labels_each_above_its_threshold_shows_also_from_disk(started: Any, tmp_path: Path) -> None:
    scored = [Label(f"topic-{n}", 0.9 - n / 100) for n in range(12)]
    rule = Rule(name="topics", multi_label=True, labels={"*": "hint"}, threshold=0.1)
    for asks in (1, 0):
        plugin: Rules = await started(Rules, FakeEngine(labels=lambda text: scored), rule=(rule,))
        plugin.editor.cache = tmp_path  # type: ignore[attr-defined]
        await plugin.start()
        items = await found(plugin, snapshot("A stupid plan here.\n"))
        await plugin.stop()
        assert [item.data["label"] for item in items] == [label.label for label in scored]
        assert len(plugin.engine.calls_to("classify")) == asks  # type: ignore[attr-defined]


async def test_a_label_that_a_model_lacks_is_told_where_all_has_been_read(started: Any, tmp_path: Path) -> None:
    for labels, count in ({}, 0), ({"rude": "hint"}, 1):
        rule = Rule(name="r", model="m", labels=labels, threshold=0.0)
        plugin: Rules = await started(Rules, engine(known_labels=("hostile", "kind")), rule=(rule,))
        plugin.editor.cache = tmp_path  # type: ignore[attr-defined]
        await plugin.start()
        reasons = [item for item in await found(plugin, snapshot("A stupid plan here.\n")) if isinstance(item, Nothing)]
        await plugin.stop()
        assert [reason.reason for reason in reasons] == ["unknown-label"] * count
    assert asked(plugin) == []


def test_long_readings_take_the_room_of_more_short_ones() -> None:
    store = Store(in_memory=10)
    for n in range(10):
        store.put(bytes([n]), tuple(Label(f"l{m}", 0.5) for m in range(40)))
    assert len(store) == 2
    store.put(b"x", tuple(Label(f"l{m}", 0.5) for m in range(400)))
    assert len(store) == 1 and store.get(b"x") is not None
