"""Prompts and translation: what the model is asked, and what becomes of the document, also when it goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plugins.conftest import FakeEditor

from inkling.api import Action, Edit, InklingError, Nothing, Position, Range, Snapshot
from inkling.engine.fake import FakeEngine
from inkling.settings import Source, load
from inkling_plugins.generated_text import CodeOnly, Indented
from inkling_plugins.prompt_templates import BUNDLED, Prompt, prompts
from inkling_plugins.prompts import Prompts
from inkling_plugins.translate import Translate

CHAT = "someone/chat"


class Page(FakeEditor):
    """An editor with one document that really changes; `steps` are its texts after each edit."""

    def __init__(self, text: str, language: str) -> None:
        super().__init__()
        start = text.index("|")
        end = text.index("|", start + 1) - 1 if text.count("|") > 1 else start
        self.now = Snapshot.of(text.replace("|", ""), uri="file:///w/page.txt", language=language)
        self.range = self.now.range(start, end)
        self.steps: list[str] = []
        self.pick = ""
        self.after_step: Any = None

    @property
    def text(self) -> str:
        return self.now.text

    def documents(self) -> Sequence[Snapshot]:
        return [self.now]

    def put(self, start: int, end: int, new: str) -> None:
        text = self.text[:start] + new + self.text[end:]
        self.now = Snapshot.of(text, uri=self.now.uri, language=self.now.language)
        self.steps.append(text)

    @contextlib.asynccontextmanager
    async def stream(self, snapshot: Snapshot, position: Position, label: str) -> AsyncIterator[Page]:
        self.at = snapshot.offset(position)
        yield self

    async def write(self, text: str) -> None:
        await super().write(text)
        self.put(self.at, self.at, text)
        self.at += len(text)
        if self.after_step is not None:
            self.after_step()
        await asyncio.sleep(0)

    async def apply(self, snapshot: Snapshot, edits: Sequence[Edit], label: str) -> None:
        for edit in edits:
            self.put(snapshot.offset(edit.range.start), snapshot.offset(edit.range.end), edit.new_text)

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        return self.pick or None


@pytest.fixture
def at(started: Any) -> Any:
    async def make(cls: Any, text: str, language: str, *answer: str, engine: Any = None, **settings: Any) -> Any:
        plugin = await started(cls, engine or FakeEngine(texts=answer), **{"model": CHAT, **settings})
        plugin.editor = Page(text, language)
        return plugin, plugin.editor

    return make


def answer(parts: str) -> list[str]:
    """A model's answer in pieces of three characters."""
    return [parts[start : start + 3] for start in range(0, len(parts), 3)]


async def titles(plugin: Any, page: Page) -> list[str]:
    found = [item async for item in plugin.actions(page.now, page.range)]
    return [item.title if isinstance(item, Action) else item.reason for item in found]


# -- what comes out of an answer

FENCED = "Here it is:\n```python\ndef f():\n    return `x`\n\n\n```\nI hope that it helps."


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_code_comes_out_of_its_fence_however_it_is_cut(sizes: list[int]) -> None:
    for said, code in [
        (FENCED, "def f():\n    return `x`"),
        ("x = 1\ny = 2\n", "x = 1\ny = 2"),
        ("a\nb\nc\n\nd\ne\n", "a\nb\nc\n\nd\ne"),
        ("~~~\n```\nq\n~~~", "```\nq"),
        ("```\n", ""),
        ("", ""),
    ]:
        only, lines, out, start = CodeOnly(), Indented("  "), "", 0
        for size in [*sizes, len(said)]:
            out += lines.feed(only.feed(said[start : start + size]))
            start += size
        out += lines.feed(only.finish()) + lines.finish()
        assert out == code.replace("\n", "\n  ").replace("\n  \n", "\n\n")


def test_own_indentation_of_the_answer_is_exchanged() -> None:
    lines = Indented("\t")
    assert lines.feed("    a\n      b\n\n    c") == "a\n\t  b\n\n\tc"


# -- offering


async def test_offered_where_they_suit(at: Any) -> None:
    assert await titles(*await at(Prompts, "|some words|", "markdown")) == ["Explain", "Rewrite"]
    assert await titles(*await at(Prompts, "def f():\n    |pass\n", "python")) == [
        "Explain", "Rewrite", "Fix", "Write Docstring",
    ]  # fmt: skip
    assert await titles(*await at(Prompts, "a\n\n|\n\nb", "markdown")) == []
    assert await titles(*await at(Prompts, "|a|", "python", enabled=False)) == []


@pytest.mark.parametrize("model", ["", "starter:code"])
async def test_without_a_chat_model_they_say_how_to_get_one(at: Any, model: str) -> None:
    plugin, page = await at(Prompts, "|x = 1|", "python", model=model)
    (nothing,) = [item async for item in plugin.actions(page.now, page.range)]
    assert isinstance(nothing, Nothing) and nothing.reason == "needs-chat-model" and "Fix" in nothing.detail
    with pytest.raises(InklingError) as error:
        await plugin.run(page.now, page.range, name="fix")
    assert error.value.reason == "needs-chat-model" and "[prompts] model" in str(error.value)
    assert plugin.engine.calls == [] and page.steps == []


async def test_own_prompts_come_beside_and_change_the_bundled(at: Any) -> None:
    own = (
        Prompt("pirate", "As a pirate", "Say it as a pirate: {selection}", languages=("prose",)),
        Prompt("fix", enabled=False),
        Prompt("explain", title="Tell me", model="other/chat"),
    )
    plugin, page = await at(Prompts, "|ahoy|", "markdown", "arr", prompt=own)
    assert await titles(plugin, page) == ["Tell me", "Rewrite", "As a pirate"]
    assert prompts(own)["explain"].template == BUNDLED["explain"].template and "fix" not in prompts(own)
    await plugin.run(page.now, page.range, name="explain")
    assert plugin.engine.calls_to("generate")[0].arguments["request"].model == "other/chat"
    assert page.texts == [("Tell me", "arr\n")]


def test_a_key_given_with_its_default_value_changes_the_bundled_prompt() -> None:
    table = {"prompt": [{"name": "fix", "result": "show"}]}
    loaded = load([Source("user", table, "inkling.toml")], lambda model: True)
    (own,) = loaded.build("prompts", Prompts.Settings)[0].prompt
    assert BUNDLED["fix"].result != "show" and prompts([own])["fix"].result == "show"
    assert prompts([own])["fix"].template == BUNDLED["fix"].template


def test_prompts_in_settings_are_checked_and_their_models_need_trust() -> None:
    data = {
        "prompts": {"model": "evil/model"},
        "prompt": [
            {"name": "ok", "template": "{selection}"},
            {"name": "typo", "template": "{selektion}"},
            {"name": "none"},
            {"name": "theirs", "template": "{selection}", "model": "evil/model"},
        ],
    }
    loaded = load([Source("workspace", data, "inkling.toml")], lambda model: False)
    settings, problems = loaded.build("prompts", Prompts.Settings)
    assert [prompt.name for prompt in settings.prompt] == ["ok"] and settings.model == ""
    assert sorted(problem.reason for problem in problems) == ["bad-value", "bad-value", "restricted", "restricted"]
    assert any("{selektion}" in problem.message for problem in problems)


# -- asking


async def test_the_template_is_filled_in(at: Any) -> None:
    own = (Prompt("p", "P", 'In {file} ({language}): {selection} <{before}|{after}> {"a": {}}', system="Be brief."),)
    text = "one\n    if |x:\n        y|\nend\n"
    plugin, page = await at(Prompts, text, "python", "ok", prompt=own, context_characters=6)
    await plugin.run(page.now, page.range, name="p")
    request = plugin.engine.calls_to("generate")[0].arguments["request"]
    assert [message["role"] for message in request.messages] == ["system", "user"]
    asked = request.messages[1]["content"]
    assert asked.startswith("In page.txt (python):") and asked.endswith('<   if |\nend\n> {"a": {}}')
    own = (Prompt("p", "P", "{selection}"),)
    plugin, page = await at(Prompts, "one\n    |if x:\n        y|\nend\n", "python", "ok", prompt=own)
    await plugin.run(page.now, page.range, name="p")
    assert plugin.engine.calls_to("generate")[0].arguments["request"].messages[0]["content"] == "if x:\n    y"


async def test_the_user_chooses_when_no_prompt_is_named(at: Any) -> None:
    plugin, page = await at(Prompts, "|words|", "markdown", "said")
    assert await plugin.run(page.now, page.range) == "Nothing was chosen."
    page.pick = "Explain"
    assert await plugin.run(page.now, page.range) == "said"
    with pytest.raises(InklingError, match='no prompt "fix" for markdown'):
        await plugin.run(page.now, page.range, name="fix")


# -- writing


@pytest.mark.parametrize(
    ("before", "language", "result", "said", "after"),
    [
        ("def f():\n    |return x|\n", "python", "replace", FENCED, "def f():\n    def f():\n        return `x`\n"),
        ("a |b| c", "markdown", "replace", "B and\nmore", "a B and\nmore c"),
        ("if x:\n    |y()|\n", "python", "insert-above", "# why\n# so", "if x:\n    # why\n    # so\n    y()\n"),
        ("if x:\n    |y()|\nz()", "python", "insert-below", "```\nw()\n```", "if x:\n    y()\n    w()\nz()"),
        ("|one|\r\ntwo", "markdown", "replace", "1", "1\r\ntwo"),
        (
            "def f|():\n    pass\n",
            "python",
            "docstring",
            "Does\nnothing.",
            'def f():\n    """Does nothing."""\n    pass\n',
        ),
    ],
)
async def test_where_the_answer_goes(at: Any, before: str, language: str, result: Any, said: str, after: str) -> None:
    own = (Prompt("p", "P", "{selection}", result=result),)
    plugin, page = await at(Prompts, before, language, *answer(said), prompt=own)
    await plugin.run(page.now, page.range, name="p")
    assert page.text == after
    assert page.titles == ["P"]
    if result == "replace" and len(said) > 9:
        original = before.replace("|", "")
        assert len(page.steps) > 2, "it is seen as it comes"
        assert all(len(step) > len(original) for step in page.steps[:-1]), "the selection goes last"


async def test_a_cancel_leaves_the_document_as_it_was(at: Any) -> None:
    engine = FakeEngine(texts=["word "] * 100, delay_s=0.01)
    plugin, page = await at(Prompts, "keep |this| here", "markdown", engine=engine)
    running = asyncio.create_task(plugin.run(page.now, page.range, name="rewrite"))
    while len(page.steps) < 3:
        await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert page.text == "keep this here"
    assert engine.calls_to("generate")[0].outcome == "cancelled"


async def test_a_failure_half_way_leaves_the_document_as_it_was(at: Any) -> None:
    engine = FakeEngine(texts=["some ", "more "], faults={"generate": InklingError("engine-crashed", "It crashed.")})
    plugin, page = await at(Prompts, "keep |this| here", "markdown", engine=engine)
    with pytest.raises(InklingError, match="crashed"):
        await plugin.run(page.now, page.range, name="rewrite")
    assert len(page.steps) == 2 and page.text == "keep this here"


async def test_nothing_is_taken_back_where_the_user_is_at_work(at: Any) -> None:
    engine = FakeEngine(texts=["word "] * 9)
    plugin, page = await at(Prompts, "keep |this| here", "markdown", engine=engine)
    page.refuse_after = 10
    with pytest.raises(InklingError, match="You typed there"):
        await plugin.run(page.now, page.range, name="rewrite")
    assert page.text == "keep thisword word  here"


async def test_an_empty_answer_changes_nothing(at: Any) -> None:
    for result in ("replace", "docstring", "show"):
        own = (Prompt("p", "P", "{selection}", result=result),)
        plugin, page = await at(Prompts, "def f():\n    |pass|\n", "python", "\n", " \n", prompt=own)
        with pytest.raises(InklingError, match="wrote nothing"):
            await plugin.run(page.now, page.range, name="p")
        assert page.text == "def f():\n    pass\n"


async def test_a_documented_definition_stays(at: Any) -> None:
    plugin, page = await at(Prompts, 'def f|():\n    """Yes."""\n', "python", "No.")
    with pytest.raises(InklingError, match="documented already"):
        await plugin.run(page.now, page.range, name="docstring")
    assert page.steps == []


# -- translation


async def test_translation_keeps_paragraphs_and_white_space(at: Any) -> None:
    engine = FakeEngine(texts=[""], faults={"generate": InklingError("no-chat-template", "It has none.")})
    plugin, page = await at(Translate, "a\n|  one\n\n two|\nb", "markdown", engine=engine, target="de")
    await plugin.selection(page.now, page.range)
    assert page.text == "a\n  ONE\n\n TWO\nb"
    assert len(plugin.engine.calls_to("translate")) == 2
    assert len(plugin.engine.calls_to("generate")) == 1, "asked once whether it chats"


async def test_a_chat_model_is_asked_to_translate(at: Any) -> None:
    plugin, page = await at(
        Translate, "|Hallo Welt|!", "markdown", " Hello", " world\n", source="German", target="English"
    )
    await plugin.selection(page.now, page.range)
    assert page.text == "Hello world!"
    asked = plugin.engine.calls_to("generate")[0].arguments["request"].messages[0]["content"]
    assert "from German into English" in asked and asked.endswith("\n\nHallo Welt")


async def test_translation_as_an_edit_and_shown(at: Any) -> None:
    plugin, page = await at(Translate, "|uno|", "markdown", "one", target="English")
    assert await titles(plugin, page) == ["Translate selection into English", "Show translation into English"]
    assert await plugin.edit(page.now, page.range) == Edit(page.range, "one")
    await plugin.show(page.now, page.range)
    assert page.texts == [("Translation of page.txt", "one\n")] and page.steps == []


async def test_translation_without_a_model_says_how_to_get_one(at: Any) -> None:
    plugin, page = await at(Translate, "|uno|", "markdown", model="")
    assert await titles(plugin, page) == ["needs-translation-model"]
    with pytest.raises(InklingError, match=r"\[translate\] model"):
        await plugin.show(page.now, page.range)
    nothing = Range(page.range.start, page.range.start)
    assert [item async for item in plugin.actions(page.now, nothing)] == []
    with pytest.raises(InklingError, match="Nothing is selected"):
        await plugin.selection(page.now, nothing)
