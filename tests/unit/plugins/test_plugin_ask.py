"""Questions to a document: by a model that extracts answers, or by the closest sentences, told as what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.plugins.conftest import FakeEditor
from tests.unit.plugins.test_plugin_search import Meaning

from inkling.api import Answer, InklingError, Range, Snapshot
from inkling.engine.fake import FakeEngine
from inkling_plugins.ask import Ask

TEXT = "# Pets\n\nA cat wants food at noon. The dog sleeps all day.\n\nNobody waters the tomatoes. A cat is no dog.\n"
DOCUMENT = Snapshot.of(TEXT, uri="file:///w/pets.md", language="markdown")


class Desk(FakeEditor):
    def __init__(self, pick: int | None) -> None:
        super().__init__()
        self.pick = pick
        self.shown: list[str] = []
        self.offered: list[str] = []

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        self.offered = [title, *options]
        return options[self.pick] if self.pick is not None else None


@pytest.fixture
def ask(started: Any) -> Any:
    async def make(engine: Any = None, pick: int | None = None, **settings: Any) -> Any:
        plugin = await started(Ask, engine or Meaning(), **settings)
        plugin.editor = desk = Desk(pick)

        async def show(uri: str, range: Range | None = None) -> None:
            assert range is not None
            desk.shown.append(DOCUMENT.text_in(range))

        desk.open = show  # type: ignore[assignment]
        return plugin

    return make


async def test_closest_sentences_are_told_as_such(ask: Any) -> None:
    plugin = await ask(pick=0)
    told = await plugin.document(DOCUMENT, None, question="who feeds food to a feline")
    assert told.splitlines()[0].startswith("Closest sentences by starter:encoder; set [ask] model")
    assert plugin.editor.shown[0] == "A cat wants food at noon."
    assert plugin.editor.shown[1] == "A cat is no dog." and plugin.editor.offered[1].startswith(
        "2. A cat is no dog. (line 5"
    )


async def test_a_second_question_embeds_only_itself(ask: Any) -> None:
    plugin = await ask()
    await plugin.document(DOCUMENT, None, question="who feeds a cat")
    await plugin.document(DOCUMENT, None, question="where does the puppy sleep")
    assert [len(call.arguments["texts"]) for call in plugin.engine.calls_to("embed")] == [1, 4, 1]
    assert plugin.editor.shown[-1] == "The dog sleeps all day."


async def test_only_the_selection_is_asked(ask: Any) -> None:
    plugin = await ask()
    start = TEXT.index("Nobody")
    await plugin.document(DOCUMENT, DOCUMENT.range(start, len(TEXT)), question="what does a cat want")
    assert plugin.editor.shown == ["A cat is no dog."]


async def test_a_question_answering_model_gives_spans(ask: Any) -> None:
    at, later = TEXT.index("at noon"), TEXT.index("all day")
    found = [Answer("at noon", 0.9, at, at + 7), Answer("", 0.4, 0, 0), Answer("all day", 0.2, later, later + 7)]
    plugin = await ask(FakeEngine(answers=found), model="someone/qa")
    told = await plugin.document(DOCUMENT, None, question="When?")
    assert told.splitlines() == ["Answers by someone/qa:", "at noon (line 3, 0.90)", "all day (line 3, 0.20)"]
    assert plugin.editor.shown == ["at noon"] and plugin.editor.offered[1:] == ["2. all day (line 3, 0.20)"]
    assert plugin.engine.calls_to("embed") == []


@pytest.mark.parametrize(
    ("text", "question", "settings", "reason"),
    [
        (TEXT, " ", {}, "no-question"),
        (TEXT, "zzzyx?", {}, "no-answer"),
        ("  \n", "what", {}, "nothing-to-ask"),
        ("# 1\n\n2\n", "what", {}, "nothing-to-ask"),
        ("word " * 400, "what", {"max_characters": 1000}, "too-large"),
        (TEXT, "what", {"enabled": False}, "disabled"),
    ],
)
async def test_why_there_is_no_answer(ask: Any, text: str, question: str, settings: Any, reason: str) -> None:
    plugin = await ask(**settings)
    with pytest.raises(InklingError) as error:
        await plugin.document(Snapshot.of(text, language="markdown"), None, question=question)
    assert error.value.reason == reason and plugin.editor.shown == []


async def test_no_document(ask: Any) -> None:
    with pytest.raises(InklingError, match="no document"):
        await (await ask()).document(None, None, question="what")
