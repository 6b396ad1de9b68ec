"""Conversations found in documents, and what is shown of them. The tokenizer here counts words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from inkling.api import InklingError, Nothing, Position, Range, Rendered, Severity, Snapshot
from inkling.engine.fake import FakeEngine
from inkling_plugins.chat.conversations import Conversation, conversations
from inkling_plugins.chat.nodes import NotReadableError
from inkling_plugins.chat_template import ChatTemplate

TALK = [("system", "Be brief."), ("user", "Hi 😀 there"), ("assistant", "Hello.")]
JSON = json.dumps(
    {"model": "m", "messages": [{"role": role, "content": text} for role, text in TALK]}, indent=1, ensure_ascii=False
)
YAML = """\
title: 😀 a talk
messages:
- role: system
  content: Be brief.
- content: "Hi 😀 there"
  role: user

- {role: assistant, content: Hello.}
# the end
"""
TOML = '''\
title = "[[messages]]"
[[messages]]
role = "system"
content = "Be brief."

[[messages]]
role = "user"   # [[messages]]
content = """Hi 😀 there"""
[[messages]]
role = "assistant"
content = "Hello."
[other]
role = "none"
'''
INLINE = (
    'messages = [{role = "system", content = "Be brief."}, {role = "user", content = "Hi 😀 there"},\n'
    '  {role = "assistant", content = "Hello."}]\n'
)
PROMPT = """\
---
model: any
messages: [{role: user, content: front matter is none}]
---
Be brief.

<|user|>
Hi 😀 there

# Assistant:
Hello.
"""
DOTPROMPT = "Be brief.{{role \"user\"}}Hi 😀 there{{ role 'model' }}\nHello.\n"


def find(text: str, name: str) -> list[Conversation]:
    return conversations(Snapshot.of(text, uri=f"file:///w/{name}"), 100)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", JSON), ("a.json", json.dumps(json.loads(JSON))), ("a.json", JSON.replace("\n", "\r\n\t")),
        ("a.json", "// note\n" + JSON[:-2] + ",\n}"), ("a.jsonl", JSON.replace("\n", "")),
        ("a.yaml", YAML), ("a.yml", JSON), ("a.yaml", YAML.replace("\n", "\r\n")),
        ("a.toml", TOML), ("a.toml", TOML.replace("\n", "\r\n")), ("a.toml", INLINE),
        ("a.prompt", PROMPT), ("a.prompty", PROMPT.replace("\n", "\r\n")), ("a.prompt", DOTPROMPT),
    ],
)  # fmt: skip
def test_the_same_conversation_however_it_is_written(name: str, text: str) -> None:
    (talk,) = find(text, name)
    assert [(message.role, message.value["content"]) for message in talk.messages] == TALK
    if text is not INLINE:
        for message, (role, content) in zip(talk.messages, TALK, strict=True):
            part = text[message.start : message.end]
            assert json.dumps(content)[1:-1] in part or content in part
            others = [text for other, text in TALK if other != role]
            assert not any(json.dumps(other)[1:-1] in part or other in part for other in others)
            assert text[message.place : message.place_end].strip()


def test_a_place_is_the_role() -> None:
    for name, text in (("a.json", JSON), ("a.yaml", YAML)):
        message = find(text, name)[0].messages[1]
        assert text[message.place : message.place_end].strip('"') == "user"
    message = find(PROMPT, "a.prompt")[0].messages[1]
    assert PROMPT[message.place : message.place_end] == "<|user|>"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"role": "admin", "name": "x"}]'),
        ("a.json", '{"messages": []}'),
        ("a.json", '["user", "assistant"]'),
        ("a.yaml", "- role: admin\n  rights: [a, b]\n"),
        ("a.toml", '[[users]]\nrole = "admin"\n'),
        ("a.prompt", "---\nmodel: x\n---\n"),
        ("a.prompt", ""),
        ("a.json", " "),
        ("a.py", JSON),
    ],
)
def test_what_is_no_conversation(name: str, text: str) -> None:
    assert find(text, name) == []


@pytest.mark.parametrize(
    ("name", "text", "offset"),
    [
        ("a.json", '{"messages": [1, }', 17),
        ("a.json", '{"a": "\\x"}', 6),
        ("a.json", "[" * 5000, 101),
        ("a.json", "{} {}", 3),
        ("a.yaml", "a: [1", 5),
        ("a.yaml", "[" * 300 + "]" * 300, 101),
        ("a.toml", "a = ", 0),
    ],
)
def test_what_cannot_be_read_says_where(name: str, text: str, offset: int) -> None:
    with pytest.raises(NotReadableError) as error:
        find(text, name)
    assert abs(error.value.offset - offset) <= 2


def test_yaml_runs_nothing_and_ends() -> None:
    (talk,) = find(
        "x: !!python/object/apply:os.system [a]\nm: &m\n- role: user\n  content: !!python/name:x y\n", "a.yaml"
    )
    assert talk.messages[0].value["content"] == "y"
    bomb = "a: &a [x]\n" + "\n".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert find(bomb, "a.yaml") == []
    assert find("a: &a\n- role: user\n  content: x\n  self: *a\n", "a.yaml")


NAMES = "abcdefghijklm"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n" + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise(NAMES)) + "\n",
        f"a: &a {'x' * 50_000}\nb: [{', '.join(['*a'] * 50)}]\n",
        "".join(f"a{number}: &a {'x' * 5_000}\nb: [{', '.join(['*a'] * 50)}]\n---\n" for number in range(9)),
        f"? &a {'x' * 50_000}\n: &b {{{', '.join(f'? *a : {number}' for number in range(50))}}}\n",
    ],
    ids=["lists", "a string", "documents", "keys"],
)
def test_aliases_that_stand_for_far_more_than_is_written(text: str) -> None:
    with pytest.raises(NotReadableError, match="aliases stand for"):
        find(text + "messages:\n- role: user\n  content: x\n", "a.yaml")


def test_many_tables_each_up_to_the_next() -> None:
    text = "".join(f'[[m]]\nrole = "user"\ncontent = "{number}"\n' for number in range(500))
    (talk,) = find(text, "a.toml")
    for number, message in enumerate(talk.messages):
        assert text[message.start : message.end] == f'[[m]]\nrole = "user"\ncontent = "{number}"'


def test_lines_of_json_each_by_itself() -> None:
    line = JSON.replace("\n", "")
    found = find(f"{line}\n\nbroken\n{line}\n", "a.jsonl")
    assert [talk.start > len(line) for talk in found] == [False, True]
    assert len(conversations(Snapshot.of(f"{line}\n" * 9, uri="a.jsonl"), 3)) == 4, "one more tells that there are more"


# What is shown


def document(text: str = JSON, name: str = "a.json") -> Snapshot:
    return Snapshot.of(text, uri=f"file:///w/{name}", language=name.rpartition(".")[2])


async def everything(results: Any) -> list[Any]:
    return [item async for item in results]


async def test_lenses_of_a_conversation_and_its_messages(started: Any) -> None:
    plugin = await started(ChatTemplate)
    shown = await everything(plugin.lenses(document()))
    assert [(lens.range.start.line, lens.title, lens.command) for lens in shown] == [
        (2, "3 messages, 9 tokens of starter:code, 9.0 % of its window", "chat_template.preview"),
        (3, "system: 3 tokens", ""),
        (7, "user: 4 tokens", ""),
        (11, "assistant: 2 tokens", ""),
    ]
    one_line = await everything(plugin.lenses(document(JSON.replace("\n", ""), "a.jsonl")))
    assert len(one_line) == 1, "messages of one line would all stand above it"


async def test_a_conversation_is_rendered_once_until_it_changes(started: Any) -> None:
    engine = FakeEngine()
    plugin = await started(ChatTemplate, engine)
    for _ in range(2):
        await everything(plugin.lenses(document()))
        assert await everything(plugin.problems(document("\n" + JSON))) == []
    assert len(engine.calls_to("render_chat")) == 1
    await everything(plugin.lenses(document(JSON.replace("brief", "long"))))
    assert len(engine.calls_to("render_chat")) == 2


async def test_a_document_is_read_once_for_all_that_is_shown(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[int] = []

    def counted(snapshot: Snapshot, most: int) -> list[Conversation]:
        readings.append(snapshot.revision)
        return conversations(snapshot, most)

    monkeypatch.setattr("inkling_plugins.chat_template.conversations", counted)
    plugin, large = await started(ChatTemplate), document(JSON + " " * 5_000)
    given_up = asyncio.ensure_future(everything(plugin.lenses(large)))
    await asyncio.sleep(0)
    given_up.cancel()
    lenses, problems = await asyncio.gather(everything(plugin.lenses(large)), everything(plugin.problems(large)))
    assert len(lenses) == 4 and problems == [] and readings == [large.revision]
    data = document(json.dumps({"package": ["x"] * 1_000}))
    assert await everything(plugin.lenses(data)) == [] and data.revision not in readings, "nothing in it has a role"


async def test_what_is_remembered_is_bounded(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkling_plugins.chat_template._REMEMBERED", 10)
    engine = FakeEngine()
    plugin = await started(ChatTemplate, engine)
    for words in ("one", "two", "three", "one"):
        assert await everything(plugin.problems(document(JSON.replace("brief", words)))) == []
    assert len(engine.calls_to("render_chat")) == 4, "three messages and one more each: two are kept"
    await everything(plugin.problems(document(JSON.replace("brief", "three"))))
    assert len(engine.calls_to("render_chat")) == 4
    assert not any(counted.rendered.text for counted in plugin._known.values()), "texts are not kept"


def refusing(at: int | None, words: str = "Roles must alternate.") -> FakeEngine:
    def render(messages: Sequence[Any]) -> Rendered:
        return Rendered(refused=words, at=at)

    return FakeEngine(render_with=render)


async def test_a_refusal_is_on_the_message(started: Any) -> None:
    plugin, snapshot = await started(ChatTemplate, refusing(1)), document()
    (problem,) = await everything(plugin.problems(snapshot))
    assert snapshot.text_in(problem.range) == '"user"' and problem.code == "template-refuses"
    assert problem.message == "The chat template of starter:code refuses this: Roles must alternate."
    assert "refused" in (await everything(plugin.lenses(snapshot)))[0].title
    plugin = await started(ChatTemplate, refusing(None, "line 3 is no Jinja"))
    (problem,) = await everything(plugin.problems(snapshot))
    assert snapshot.text_in(problem.range) == "[" and problem.code == "template-broken"
    with pytest.raises(InklingError, match="line 3"):
        await plugin.preview(snapshot, None)


async def test_fields_that_are_missing_and_messages_left_out(started: Any) -> None:
    text = JSON.replace('"role": "user"', '"name": "user"')
    plugin = await started(ChatTemplate)
    (problem,) = await everything(plugin.problems(document(text)))
    assert problem.code == "missing-role" and problem.severity is Severity.WARNING
    text = JSON.replace('"content": "Hello."', '"text": "Hello."')
    (problem,) = await everything(plugin.problems(document(text)))
    assert problem.code == "missing-content" and "Message 3" in problem.message
    engine = FakeEngine(render_with=lambda messages: Rendered("x", (0, 0, 1), (0,)))
    plugin, snapshot = await started(ChatTemplate, engine), document()
    (problem,) = await everything(plugin.problems(snapshot))
    assert (problem.code, snapshot.text_in(problem.range)) == ("left-out", '"system"')


async def test_preview_shows_the_conversation_at_the_cursor(started: Any) -> None:
    other = '[{"role": "user", "content": "another one"}]'
    plugin = await started(ChatTemplate)
    snapshot = document(f"[{JSON}, {other}]")
    inside = snapshot.position(len(snapshot) - 3)
    said = await plugin.preview(snapshot, Range(inside, inside))
    assert plugin.editor.texts == [("Chat template preview", "user: another one\n")]
    assert said.startswith("3 tokens of starter:code")
    await plugin.preview(snapshot, Range(Position(0, 0), Position(0, 0)))
    assert "Be brief." in plugin.editor.texts[-1][1]


@pytest.mark.parametrize(
    ("settings", "text", "name", "reason"),
    [
        ({"enabled": False}, JSON, "a.json", "disabled"),
        ({"max_characters": 10}, JSON, "a.json", "too-large"),
        ({}, '{"role"', "a.json", "not-readable"),
        (
            {"max_conversations": 1},
            "\n".join([JSON.replace("\n", "")] * 2),
            "a.jsonl",
            "too-many",
        ),
    ],
)
async def test_nothing_has_a_reason(started: Any, settings: dict[str, Any], text: str, name: str, reason: str) -> None:
    plugin = await started(ChatTemplate, **settings)
    for surface in (plugin.lenses, plugin.problems):
        told = [item for item in await everything(surface(document(text, name))) if isinstance(item, Nothing)]
        assert [nothing.reason for nothing in told] == [reason]


async def test_preview_of_nothing(started: Any) -> None:
    plugin = await started(ChatTemplate)
    for snapshot in (None, document("x", "a.py"), document("[]")):
        with pytest.raises(InklingError, match="no list of messages"):
            await plugin.preview(snapshot, None)
    with pytest.raises(InklingError, match="cannot be read"):
        await plugin.preview(document('{"role"'), None)
