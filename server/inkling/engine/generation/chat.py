"""Chat prompts: the model's own template, rendered in a process of its own (`engine/templates`).

A template is code that came with the model: it gets a sandbox, a time limit and a memory limit. What users write in
messages never becomes a control token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inkling.engine.generation.vocabulary import Vocabulary
from inkling.engine.templates.process import SHARED, TemplateProcess
from inkling.errors import InklingError


def encode(
    vocabulary: Vocabulary, messages: Sequence[Mapping[str, str]], *, templates: TemplateProcess = SHARED
) -> list[int]:
    """The prompt's tokens, ending where the assistant's answer begins.

    Raises InklingError: `no-chat-template`, or `template-rejected` when it fails, loops or misbehaves.
    """
    if not getattr(vocabulary.tokenizer, "chat_template", None):
        raise InklingError(
            "no-chat-template",
            "The model has no chat template, so it cannot answer messages.",
            "Choose an instruction-tuned model for this action.",
        )
    if not any(vocabulary.has_control(message["content"]) for message in messages):
        return vocabulary.encode_template(_render(vocabulary.tokenizer, messages, templates))
    return _encode_around(vocabulary, messages, templates)


def _encode_around(
    vocabulary: Vocabulary, messages: Sequence[Mapping[str, str]], templates: TemplateProcess
) -> list[int]:
    """Render with stand-ins for the contents, then encode template and contents each in their own alphabet."""
    stand_ins = [f"\ue000{number}\ue001" for number in range(len(messages))]
    rendered = _render(
        vocabulary.tokenizer,
        [{**message, "content": stand_in} for message, stand_in in zip(messages, stand_ins, strict=True)],
        templates,
    )
    ids: list[int] = []
    for piece in re.split("(\ue000\\d+\ue001)", rendered):
        if piece in stand_ins:
            ids += vocabulary.encode(messages[stand_ins.index(piece)]["content"], inside=True)
        elif piece:
            ids += vocabulary.encode_template(piece)
    return ids


def _render(tokenizer: Any, messages: Sequence[Mapping[str, str]], templates: TemplateProcess) -> str:
    """The template's text, as `apply_chat_template` gives it."""
    template = tokenizer.chat_template
    answer = templates.render(
        {
            "template": template.get("default", "") if isinstance(template, Mapping) else template,
            "special": tokenizer.special_tokens_map,
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": True,
            "parts": False,
        }
    )
    if "refused" in answer:
        raise _rejected(answer["words"])
    text: str = answer["text"]
    return text


def _rejected(why: str) -> InklingError:
    return InklingError(
        "template-rejected",
        f"The model's chat template was rejected: {why}.",
        "Use another model, or replace the template in its tokenizer_config.json.",
    )
