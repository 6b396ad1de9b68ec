"""Chat templates in their own process: as transformers renders them, placed per message, stopped at their limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from inkling.engine.templates.files import read_template
from inkling.engine.templates.process import SHARED, TemplateProcess
from inkling.errors import InklingError

from .serving import serving

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
STRICT = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set rest = messages[1:] %}
    {%- set system = messages[0]['content'] | trim + '\n\n' %}
{%- else %}
    {%- set rest = messages %}
    {%- set system = '' %}
{%- endif %}
{%- for message in rest %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate user/assistant.') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + message['content'] | trim + ' [/INST]' }}
    {%- else %}
        {%- generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}
    {%- endif %}
{%- endfor %}"""
TOOLS = """{% for tool in tools or [] %}
    {% if loop.index > 2 %}{% break %}{% endif %}
{{ tool | tojson(indent=2) }}
{% endfor %}
{% for message in messages if message.role != 'note' %}
  {{ message.role | upper }}: {{ message.content if message.content is string else message.content | tojson }}
{% endfor %}"""
TALK = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Hï 😀"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "{{ 7 * 7 }}"},
]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    process = TemplateProcess(time_limit_s=2.0)
    yield process
    process.close()


def rendered(process: TemplateProcess, template: str, messages: list[Any] = TALK, **more: Any) -> dict[str, Any]:
    request = {"template": template, "messages": messages, "special": SPECIAL, "add_generation_prompt": False}
    return process.render(request | more)


@pytest.mark.parametrize("template", [CHATML, STRICT, TOOLS])
@pytest.mark.parametrize("prompt", [False, True])
def test_as_transformers_renders_it(process: TemplateProcess, template: str, prompt: bool) -> None:
    tools = [{"name": f"größe{number}", "parameters": {"<x>": [1, None]}} for number in range(4)]
    (expected,), _ = render_jinja_template(
        [TALK], tools=tools, chat_template=template, add_generation_prompt=prompt, **SPECIAL
    )
    assert rendered(process, template, tools=tools, add_generation_prompt=prompt)["text"] == expected


@pytest.mark.parametrize("template", [CHATML, STRICT, TOOLS])
def test_each_message_ends_behind_its_content(process: TemplateProcess, template: str) -> None:
    found = rendered(process, template)
    starts = [0, *found["ends"]]
    for message, start, end in zip(TALK, starts, found["ends"], strict=False):
        if message["role"] != "system" or template is not STRICT:  # which keeps it for the first user
            assert message["content"].strip() in found["text"][start:end]
    assert found["ends"][-1] == len(found["text"])


def test_a_message_that_is_left_out(process: TemplateProcess) -> None:
    talk = [*TALK, {"role": "note", "content": "x"}]
    assert rendered(process, TOOLS, talk)["left_out"] == [4]


@pytest.mark.parametrize(("roles", "at"), [("uua", 1), ("a", 0), ("suaa", 3), ("ua?", 2)])
def test_a_refusal_is_placed_on_the_message_that_begins_it(process: TemplateProcess, roles: str, at: int) -> None:
    names = {"u": "user", "a": "assistant", "s": "system", "?": "strange"}
    found = rendered(process, STRICT, [{"role": names[role], "content": "x"} for role in roles])
    assert (found["refused"], found["words"], found["at"]) == ("raised", "Roles must alternate user/assistant.", at)


def test_a_missing_field_is_placed(process: TemplateProcess) -> None:
    found = rendered(process, CHATML, [*TALK, {"role": "user"}, *TALK])
    assert (found["refused"], found["at"]) == ("missing", 4) and "content" in found["words"]
    assert rendered(process, CHATML, [*TALK, {"role": "user", "content": None}])["at"] == 4


@pytest.mark.parametrize(
    ("template", "kind", "words"),
    [
        ("{% import 'os' as os %}", "failed", "imports"),
        ("{% include '/etc/passwd' %}", "failed", "imports"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "failed", "sandbox"),
        ("{{ messages.append(1) }}", "failed", "sandbox"),
        ("{% for x in range(10 ** 9) %}{% endfor %}", "failed", "loops too often"),
        ("{% for x in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxx{% endfor %}", "huge", "far more"),
        ("{{ 'x' * 10 ** 10 }}", "huge", "memory"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "failed", "without end"),
        ("{% if %}", "broken", "line 1"),
    ],
)
def test_what_misbehaves_is_told_clearly(process: TemplateProcess, template: str, kind: str, words: str) -> None:
    found = rendered(process, template)
    assert found["refused"] == kind and words in found["words"]
    assert rendered(process, CHATML)["text"], "the next conversation is served"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
    ],
)
def test_what_does_not_end_is_ended(template: str) -> None:
    process = TemplateProcess(time_limit_s=0.5)
    try:
        with pytest.raises(InklingError) as error:
            rendered(process, template)
        assert error.value.reason == "template-rejected" and "0.5 s" in str(error.value)
        with pytest.raises(InklingError, match="did not end"):
            rendered(process, template)
        assert process._process is None, "it is not run again"
        assert rendered(process, CHATML)["text"], "a fresh process serves the next one"
    finally:
        process.close()


def test_a_conversation_without_bound(process: TemplateProcess) -> None:
    with pytest.raises(InklingError, match="over 4,000,000"):
        rendered(process, CHATML, [{"role": "user", "content": "x" * 4_000_000}])


def test_the_template_is_read_from_wherever_models_keep_it(tmp_path: Path) -> None:
    def template() -> str:
        return read_template("m", tmp_path)[0]

    with pytest.raises(InklingError, match="no chat template"):
        template()
    config: dict[str, Any] = {
        "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert template() == "d"
    config |= {"chat_template": "plain", "eos_token": {"content": "</s>"}, "bos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "special_tokens_map.json").write_text('{"bos_token": "<b>", "eos_token": "old"}')
    assert read_template("m", tmp_path) == ("plain", {"eos_token": "</s>"})
    (tmp_path / "chat_template.json").write_text('{"chat_template": "json"}')
    assert template() == "json"
    (tmp_path / "chat_template.jinja").write_text("jinja")
    assert template() == "jinja"
    (tmp_path / "chat_template.jinja").write_text("x" * 1_000_001)
    with pytest.raises(InklingError, match="over 1,000,000"):
        template()


async def test_over_the_wire() -> None:
    async with serving() as engine:
        body = {"model": "starter:code", "messages": TALK[1:2]}
        reply = (await engine.http.post("/inkling/chat-template", json=body)).json()
        assert reply == {"text": "<|im_start|>user\nHï 😀<|im_end|>\n", "ends": [32], "left_out": []}
        body["messages"] = [{"role": "user"}]
        reply = (await engine.http.post("/inkling/chat-template", json=body)).json()
        assert reply["at"] == 0 and reply["refused"].startswith("It misses something")
        refused = await engine.http.post("/inkling/chat-template", json={"model": "starter:tone", "messages": []})
        assert "no-chat-template" in refused.text
        refused = await engine.http.post("/inkling/chat-template", json={"model": "starter:code", "messages": [1]})
        assert refused.status_code == 400
    SHARED.close()
