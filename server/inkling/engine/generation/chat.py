"""Chat prompts: the model's own template, rendered in transformers' sandbox with a time limit.

A template is code that came with the model. The sandbox keeps it from reaching Python's objects; the time limit keeps
it from looping. What users write in messages never becomes a control token.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from inkling.engine.generation.vocabulary import Vocabulary
from inkling.errors import InklingError

TIME_LIMIT_S = 2.0
LONGEST_OVERHEAD = 100_000
"""Characters that a template may add to the messages."""


def encode(
    vocabulary: Vocabulary, messages: Sequence[Mapping[str, str]], *, time_limit_s: float = TIME_LIMIT_S
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
        return vocabulary.encode_template(_render(vocabulary.tokenizer, messages, time_limit_s))
    return _encode_around(vocabulary, messages, time_limit_s)


def _encode_around(vocabulary: Vocabulary, messages: Sequence[Mapping[str, str]], time_limit_s: float) -> list[int]:
    """Render with stand-ins for the contents, then encode template and contents each in their own alphabet."""
    stand_ins = [f"\ue000{number}\ue001" for number in range(len(messages))]
    rendered = _render(
        vocabulary.tokenizer,
        [{**message, "content": stand_in} for message, stand_in in zip(messages, stand_ins, strict=True)],
        time_limit_s,
    )
    ids: list[int] = []
    for piece in re.split("(\ue000\\d+\ue001)", rendered):
        if piece in stand_ins:
            ids += vocabulary.encode(messages[stand_ins.index(piece)]["content"], inside=True)
        elif piece:
            ids += vocabulary.encode_template(piece)
    return ids


def _render(tokenizer: Any, messages: Sequence[Mapping[str, str]], time_limit_s: float) -> str:
    """The template's text. Runs in a thread of its own, which an exception ends when the time is over."""
    result: list[str] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            text = tokenizer.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
            )
            result.append(text)
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="chat-template", daemon=True)
    thread.start()
    thread.join(time_limit_s)
    if thread.is_alive():
        _end(thread)
        raise _rejected(f"it took longer than {time_limit_s:g} s")
    if failure:
        raise _rejected(f"it failed with {type(failure[0]).__name__}") from None
    allowed = LONGEST_OVERHEAD + 2 * sum(len(message["content"]) for message in messages)
    if len(result[0]) > allowed:
        raise _rejected("it wrote far more than the messages")
    return result[0]


def _end(thread: threading.Thread) -> None:
    """Raise in a thread that runs Python code; it ends at its next instruction."""
    for _ in range(10):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeoutError))
        thread.join(0.1)
        if not thread.is_alive():
            return


def _rejected(why: str) -> InklingError:
    return InklingError(
        "template-rejected",
        f"The model's chat template was rejected: {why}.",
        "Use another model, or replace the template in its tokenizer_config.json.",
    )
