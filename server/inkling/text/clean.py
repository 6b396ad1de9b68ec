"""Comments, docstrings and strings without what is not prose: markers, quotes, decoration, indentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from inkling.text.lines import line_spans, strip_span
from inkling.text.segment import Pieces, Span, joined

_OPENING = re.compile(r"/\*+!?<?|<!--+|=begin\b|--\[=*\[|\(\*+|\{-+\|?|\{")
_CLOSING = re.compile(r"(?:\*+/|--+>|=end|\]=*\]|\*+\)|-+\}|\})\s*\Z")
_MARKER = re.compile(r"(?:#+!?|//+!?<?|--+|;+|%+|!+|\"|')[ \t]*")
_STAR = re.compile(r"\*+(?![\w*])[ \t]*")
_RULE_BEFORE = re.compile(r"[-=*#~_+/]{3,}[ \t]*")
_RULE_AFTER = re.compile(r"[ \t]*[-=*#~_+/]{3,}\Z")
_QUOTE = re.compile(r"[A-Za-z]{0,3}(?:(#+)\"|\"\"\"|'''|\"|'|`)")
_CPP_RAW = re.compile(r"[A-Za-z0-9]{0,2}R\"([^()\\\s]{0,16})\(")
_DIRECTIVE = re.compile(
    r"#!|[#/*\s-]*(?:coding[:=]|-\*-|vim?:|noqa\b|type:\s*ignore|pylint:|pragma\b|eslint-|ts-(?:ignore|expect)|"
    r"clang-format|NOLINT|shellcheck\s|rubocop:|mypy:|fmt:\s*o|isort:|SPDX-)"
)


@lru_cache(maxsize=8192)
def clean_comment(raw: str) -> Pieces:
    """The prose of a comment, or of consecutive line comments; empty for a directive (`# noqa`) or a bare rule."""
    if _DIRECTIVE.match(raw):
        return ()
    opening = _OPENING.match(raw)
    if opening is None:
        return joined(raw, (_comment_line(raw, start, end, _MARKER) for start, end in line_spans(raw)))
    closing = _CLOSING.search(raw, opening.end())
    stop = closing.start() if closing else len(raw)
    return joined(raw, (_comment_line(raw, start, end, _STAR) for start, end in line_spans(raw, opening.end(), stop)))


@lru_cache(maxsize=8192)
def clean_string(raw: str) -> Pieces:
    """The text between the quotes of a string or docstring, line by line without indentation."""
    start, end = quoted_span(raw)
    return joined(raw, _stripped_lines(raw, start, end))


@lru_cache(maxsize=8192)
def clean_lines(raw: str) -> Pieces:
    """Plain text, line by line without indentation."""
    return joined(raw, _stripped_lines(raw, 0, len(raw)))


def quoted_span(raw: str) -> Span:
    """The span between the quotes; the whole where there are none, such as in a here-document."""
    if (opening := _CPP_RAW.match(raw)) and raw.endswith(closing := f'){opening[1]}"'):
        return opening.end(), max(opening.end(), len(raw) - len(closing))
    opening = _QUOTE.match(raw)
    if opening is None:
        return 0, len(raw)
    start = opening.end()
    triple = raw[start - 3 : start]
    closing = triple if triple in ('"""', "'''") else raw[start - 1] + (opening[1] or "")
    return start, len(raw) - len(closing) if raw.endswith(closing) and len(raw) >= start + len(closing) else len(raw)


def _stripped_lines(raw: str, start: int, end: int) -> Iterator[Span]:
    for first, last in line_spans(raw, start, end):
        yield strip_span(raw, first, last)


def _comment_line(raw: str, start: int, end: int, marker: re.Pattern[str]) -> Span | None:
    start, end = strip_span(raw, start, end)
    if match := marker.match(raw, start, end):
        start = match.end()
    if match := _RULE_BEFORE.match(raw, start, end):
        start = match.end()
    if match := _RULE_AFTER.search(raw[start:end]):
        end = start + match.start()
    return (start, end) if any(char.isalnum() for char in raw[start:end]) else None
