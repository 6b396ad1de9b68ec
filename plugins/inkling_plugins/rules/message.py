"""Message templates: `Reads as {label} ({score:.0%})`, with names and formats alone, so that none can do harm."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

MESSAGE_FIELDS: Mapping[str, Any] = {"label": "x", "score": 0.5, "text": "x", "rule": "x", "model": "x"}
REDACTION_FIELDS: Mapping[str, Any] = {"label": "X", "rule": "x"}
PROMPT_FIELDS: Mapping[str, Any] = {"selection": "x", "language": "x", "file": "x"}
"""What each kind of template may name, and a sample of it."""

_LONGEST_FORMAT = 12


def template_problem(template: str, fields: Mapping[str, Any] = MESSAGE_FIELDS) -> str:
    """What is wrong with a template, in words that follow its key; empty when nothing is."""
    known = ", ".join("{" + name + "}" for name in fields)
    try:
        for _, name, spec, conversion in string.Formatter().parse(template):
            if name is None:
                continue
            if name not in fields:
                return f"names {{{name[:40]}}}; it may name {known}."
            if conversion or "{" in (spec or "") or len(spec or "") > _LONGEST_FORMAT:
                return f"has more than a name and a short format in {{{name}}}."
            if any(len(digits) > 3 for digits in _numbers(spec or "")):
                return f"has a width above 999 in {{{name}}}."
        template.format(**fields)
    except (ValueError, KeyError, IndexError) as error:
        return f"is no template: {error}. A brace by itself is written twice."
    return ""


def fill(template: str, **values: Any) -> str:
    """A template that has no problem, with its values."""
    return template.format(**values)


def _numbers(spec: str) -> list[str]:
    return "".join(character if character.isdigit() else " " for character in spec).split()
