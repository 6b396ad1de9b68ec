"""What a suggestion must pass before it is shown.

Each filter is a pure function of the text and the `Site`. It returns the text to keep, shortened or mended, or
`Rejected` with the reason. `apply` runs them in order; the reason is what the user is told under "Why no suggestion?".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from inkling_plugins.comments import comment_syntax
from inkling_plugins.completion.brackets import CLOSERS, OPENERS
from inkling_plugins.completion.indentation import reindent, stop_at_dedent
from inkling_plugins.completion.reasons import Rejected
from inkling_plugins.completion.repeats import (
    drop_echo,
    drop_typed_ending,
    stop_at_known_import,
    stop_at_repetition,
    stop_at_suffix,
)
from inkling_plugins.completion.site import PROSE, Site, leading_space

Filter = Callable[[str, Site], str | Rejected]

_FENCE = re.compile(r"^\s*```[\w+-]*\n(.*?)(?:\n```.*)?$", re.DOTALL)
_MINIMUM_VISIBLE = 2


def apply(text: str, site: Site, filters: Sequence[Filter]) -> str | Rejected:
    """Run `filters` in order until one rejects."""
    kept: str | Rejected = text
    for each in filters:
        if isinstance(kept, Rejected):
            return kept
        kept = each(kept, site)
    return kept


def unfence(text: str, site: Site) -> str | Rejected:
    """A chat model's code fence: keep what is inside it, and stop where one begins."""
    if site.language in PROSE:
        return text
    fenced = _FENCE.match(text)
    if fenced is not None:
        return fenced[1]
    return re.split(r"(?:^|\n)```", text, maxsplit=1)[0]


def start_here(text: str, site: Site) -> str | Rejected:
    """On an empty line, begin on that line: the model need not open another."""
    return re.sub(r"\A(?:[ \t]*\n)+", "", text) if site.line_before.strip() == "" else text


def one_line(text: str, site: Site) -> str | Rejected:
    """Keep the first line; a suggestion that begins with a line end keeps the line after it."""
    lead = len(text) - len(text.lstrip("\n"))
    if lead and (site.line_before.strip() == "" or lead > 1):
        return Rejected("empty")
    return text[:lead] + text[lead:].partition("\n")[0]


def stop_at_blank_line(text: str, site: Site) -> str | Rejected:
    """Keep one paragraph: up to the first blank line that follows some text."""
    match = re.search(r"\S[^\n]*(\n[ \t]*\n)", text)
    return text if match is None else text[: match.start(1)]


def stop_at_unmatched(text: str, site: Site) -> str | Rejected:
    """Stop before a closing bracket that nothing before the cursor has left open, or that is there after it already."""
    if site.language in PROSE:
        return text
    open_before = list(site.open_brackets)
    stack: list[str] = []
    for index, kind, opens in _brackets(text, site):
        if opens:
            stack.append(kind)
        elif stack and stack[-1] == kind:
            stack.pop()
        elif not stack and open_before and open_before[-1] == kind:
            open_before.pop()
        else:
            kept = text[:index]
            return kept if kept.strip() else Rejected("unmatched-bracket")
    return text


def close_docstring(text: str, site: Site) -> str:
    """End the Python docstring that a suggestion begins and was cut off in. Only for text that grows no more."""
    for quotes in ('"""', "'''"):
        if site.language == "python" and text.count(quotes) % 2 and not site.before.count(quotes) % 2:
            opening = text.rindex(quotes)
            begun = (site.line_before if "\n" not in text[:opening] else "") + text[:opening].rpartition("\n")[2]
            return f"{text}\n{leading_space(begun)}{quotes}" if "\n" in text[opening:] else text + quotes
    return text


def strip_end(text: str, site: Site) -> str | Rejected:
    """No trailing space, on the last line or any other."""
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def enough(text: str, site: Site) -> str | Rejected:
    """Refuse what is too small to be worth a look."""
    visible = "".join(text.split())
    if not visible:
        return Rejected("empty")
    syntax = comment_syntax(site.language)
    if syntax is not None and visible in (syntax.line, "".join(syntax.block or ())):
        return Rejected("too-short")
    return text if len(visible) >= _MINIMUM_VISIBLE else Rejected("too-short")


def _brackets(text: str, site: Site) -> list[tuple[int, str, bool]]:
    """The brackets of `text` outside strings: offset, opening character, and whether it opens."""
    found: list[tuple[int, str, bool]] = []
    quote = ""
    index = 0
    while index < len(text):
        character = text[index]
        if quote:
            if character == "\\":
                index += 1
            elif character == quote or character == "\n":
                quote = ""
        elif character in "\"'`" and not (character == "'" and site.language == "rust"):
            quote = character
        elif character in OPENERS:
            found.append((index, character, True))
        elif character in CLOSERS:
            found.append((index, CLOSERS[character], False))
        index += 1
    return found


SINGLE_LINE: tuple[Filter, ...] = (
    unfence, one_line, reindent, stop_at_repetition, drop_typed_ending, stop_at_unmatched, stop_at_suffix, drop_echo,
    strip_end, enough,
)  # fmt: skip
"""For a place that wants the rest of a line."""

MULTI_LINE: tuple[Filter, ...] = (
    unfence, start_here, stop_at_blank_line, reindent, stop_at_repetition, stop_at_known_import, stop_at_dedent,
    drop_typed_ending, stop_at_unmatched, stop_at_suffix, drop_echo, strip_end, enough,
)  # fmt: skip
"""For a place that wants a block."""
