"""A model's chat template and special tokens, from its files: no weight and no tokenizer is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inkling.errors import InklingError

LARGEST = 1_000_000
"""Characters of a template; those of real models have some thousands."""
_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def read_template(model: str, folder: Path) -> tuple[str, dict[str, str]]:
    """(the template, special tokens by name). Raises InklingError `no-chat-template` or `template-rejected`."""
    config = _json(folder / "tokenizer_config.json")
    template = _text(folder / "chat_template.jinja")
    if template is None:
        template = _default(_json(folder / "chat_template.json").get("chat_template"))
    if template is None:
        template = _default(config.get("chat_template"))
    if not template:
        raise InklingError(
            "no-chat-template",
            f"{model} has no chat template.",
            "Name an instruction-tuned model in chat_template.model.",
        )
    if len(template) > LARGEST:
        raise InklingError(
            "template-rejected", f"The chat template of {model} has over {LARGEST:,} characters.", "Use another model."
        )
    special = _json(folder / "special_tokens_map.json") | config
    found = {name: token for name in _TOKENS if (token := _token(special.get(name))) is not None}
    return template, found


def _default(value: Any) -> str | None:
    """The template, or the one named `default` among several."""
    if isinstance(value, list):
        named = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, Mapping)}
        value = named.get("default")
    return value if isinstance(value, str) else None


def _token(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
