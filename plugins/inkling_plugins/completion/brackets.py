"""Which brackets are still open, from a light reading of code that skips strings and line comments."""

from __future__ import annotations

import re

from inkling_plugins.comments import comment_syntax

CLOSERS = {")": "(", "]": "[", "}": "{"}
OPENERS = frozenset("([{")

_TOKENS = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`|\n|//|#|--|[()\[\]{}]')


def unclosed(code: str, language: str) -> list[str]:
    """The opening brackets that `code` leaves open, outermost first."""
    return _scan(code, language)[0]


def unopened(code: str, language: str) -> list[str]:
    """The opening brackets, missing in `code`, that its unmatched closers ask for, in their order."""
    return _scan(code, language)[1]


def _scan(code: str, language: str) -> tuple[list[str], list[str]]:
    """One lexical pass, good enough to decide whether a suggested `)` belongs; never over a few thousand characters."""
    syntax = comment_syntax(language)
    comment = syntax.line if syntax else ""
    stack: list[str] = []
    missing: list[str] = []
    position = 0
    while (match := _TOKENS.search(code, position)) is not None:
        position = match.end()
        token = match[0]
        if token in ('"""', "'''", "`"):
            end = code.find(token, position)
            if end < 0:
                break
            position = end + len(token)
        elif token == comment:
            end = code.find("\n", position)
            if end < 0:
                break
            position = end
        elif token in OPENERS:
            stack.append(token)
        elif token in CLOSERS:
            kind = CLOSERS[token]
            if kind in stack:
                while stack.pop() != kind:
                    pass
            else:
                missing.append(kind)
    return stack, missing
