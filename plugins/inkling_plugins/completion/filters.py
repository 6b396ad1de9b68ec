"""What a suggestion must pass before it is shown.

Each filter is a pure function of the text and the `Site`. It returns the text to keep, shortened or mended, or
`Rejected` with the reason. `apply` runs them in order; the reason is what the user is told under "Why no suggestion?".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inkling_plugins.comments import comment_syntax
from inkling_plugins.completion.brackets import CLOSERS, OPENERS, unclosed, unopened
from inkling_plugins.completion.site import PROSE, Site, leading_space, opens_block


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing worth showing is left; `reason` is a slug."""

    reason: str


Filter = Callable[[str, Site], str | Rejected]

_FENCE = re.compile(r"^\s*```[\w+-]*\n(.*?)(?:\n```.*)?$", re.DOTALL)
_REPEATED_ENDING = (re.compile(r"(.{3,}?)\1{5,}$", re.DOTALL), re.compile(r"(.{10,}?)\1{3,}$", re.DOTALL))
_MINIMUM_VISIBLE = 2
_NEAR = 0.05
"""Share of characters that may differ between texts that count as the same."""


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


def reindent(text: str, site: Site) -> str | Rejected:
    """Use the document's own indentation, and none twice: the cursor may already stand behind some of it."""
    first, *rest = text.split("\n")
    unit, tabs = _unit(site), _uses_tabs(site)
    surplus = 0
    if site.line_before.strip() == "" and first.strip():
        level = len(leading_space(site.line_above).expandtabs(unit))
        if opens_block(site.line_above, site.language):
            level += unit
        lead = leading_space(first)
        wanted = max(0, level - len(site.line_before.expandtabs(unit)))
        surplus = len(lead.expandtabs(unit)) - wanted
        if surplus > 0:
            first = _spaces(wanted, unit, tabs) + first[len(lead) :]
        if any(len(leading_space(line).expandtabs(unit)) < level + surplus for line in rest if line.strip()):
            surplus = 0  # the lines after it stand where they belong already
    return "\n".join([first, *(_shifted(line, max(0, surplus), unit, tabs) for line in rest)])


def stop_at_dedent(text: str, site: Site) -> str | Rejected:
    """Stay in the cursor's block: stop at the first line further out, but keep the line that closes what was opened."""
    lines = text.split("\n")
    base = len(site.indentation.expandtabs(8))
    opened = opens_block(site.line_before + lines[0], site.language)
    kept = lines[:1]
    for line in lines[1:]:
        if not line.strip():
            kept.append(line)
            continue
        indent = len(leading_space(line).expandtabs(8))
        if indent > base:
            kept.append(line)
            continue
        if indent < base:
            break
        if opened and not _continues(line, site.language):
            if line.strip()[:1] in tuple(CLOSERS) or line.strip() == "end":
                kept.append(line)
            break
        kept.append(line)
        opened = opened or opens_block(line, site.language)
    return "\n".join(kept)


def stop_at_unmatched(text: str, site: Site) -> str | Rejected:
    """Stop before a closing bracket that nothing before the cursor has left open, or that is there after it already."""
    open_before = unclosed(site.before, site.language)
    for kind in unopened(site.after, site.language):
        if kind in open_before:
            del open_before[len(open_before) - 1 - open_before[::-1].index(kind)]
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


def stop_at_suffix(text: str, site: Site) -> str | Rejected:
    """Stop where the text begins to repeat what follows the cursor."""
    below = [line for line in site.after.split("\n")[1:] if line.strip()][:3]
    rest = site.line_after.strip()
    visible = [line for line in text.split("\n") if line.strip()]
    if not visible:
        return text
    if rest and text.strip() == rest:
        return Rejected("duplicate-of-suffix")
    if below and site.line_before.strip() == "" and near("\n".join(visible[:3]), "\n".join(below[: len(visible[:3])])):
        return Rejected("duplicate-of-suffix")
    if not below:
        return text
    lines = text.split("\n")
    for index, line in enumerate(lines):
        short = len(line.strip()) <= 2
        if index and line.strip() and (line.rstrip() == below[0].rstrip() if short else near(line, below[0])):
            return "\n".join(lines[:index])
    return text


def drop_typed_ending(text: str, site: Site) -> str | Rejected:
    """Cut an ending that stands right of the cursor already: `foo(bar|)` needs `baz`, not `baz)`."""
    rest = site.line_after.rstrip()
    first, newline, more = text.partition("\n")
    if not rest.strip() or (newline and more.strip()):
        return text
    for size in range(min(len(rest), len(first)), 0, -1):
        if first.endswith(rest[:size]) and (size == len(rest) or rest[:size].strip() in (*CLOSERS, '"', "'", "`")):
            kept = first[:-size]
            return kept if kept.strip() else Rejected("duplicate-of-suffix")
    return text


def drop_echo(text: str, site: Site) -> str | Rejected:
    """Refuse a line that repeats the line above, or lines that repeat the lines above."""
    if site.line_before.strip():
        whole = site.line_before + text.split("\n")[0]
        repeats = whole.strip() == site.line_above.strip() and len(whole.strip()) > 8
        return Rejected("duplicate-of-line-above") if repeats else text
    above = [line.strip() for line in site.before.split("\n")[:-1] if line.strip()]
    lines = [line.strip() for line in text.split("\n") if line.strip()][:3]
    if lines and len("".join(lines)) > 8 and above[-len(lines) :] == lines:
        return Rejected("duplicate-of-line-above")
    return text


def stop_at_repetition(text: str, site: Site) -> str | Rejected:
    """Stop where a model has begun to go round in circles."""
    for pattern in _REPEATED_ENDING:
        match = pattern.search(text)
        if match is not None and match[1].strip():
            kept = text[: match.start()].rstrip()
            return kept if len(kept.strip()) > len(match[1]) else Rejected("repetition")
    lines = text.split("\n")
    for index in range(2, len(lines)):
        same = lines[index].strip()
        if len(same) > 2 and same == lines[index - 1].strip() == lines[index - 2].strip():
            return "\n".join(lines[: index - 1])
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


SINGLE_LINE: tuple[Filter, ...] = (
    unfence, one_line, reindent, stop_at_repetition, drop_typed_ending, stop_at_unmatched, stop_at_suffix, drop_echo,
    strip_end, enough,
)  # fmt: skip
"""For a place that wants the rest of a line."""

MULTI_LINE: tuple[Filter, ...] = (
    unfence, stop_at_blank_line, reindent, stop_at_repetition, stop_at_dedent, drop_typed_ending, stop_at_unmatched,
    stop_at_suffix, drop_echo, strip_end, enough,
)  # fmt: skip
"""For a place that wants a block."""


def near(a: str, b: str) -> bool:
    """True when two texts are the same but for white space around them and one character in twenty."""
    a, b = a.strip(), b.strip()
    if a == b:
        return True
    bound = int(max(len(a), len(b)) * _NEAR)
    return bound > 0 and abs(len(a) - len(b)) <= bound and edit_distance(a, b, bound) <= bound


def edit_distance(a: str, b: str, bound: int) -> int:
    """Levenshtein's distance, or `bound + 1` as soon as it is known to be more."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        low, high = max(1, i - bound), min(len(b), i + bound)
        above, row = row, [bound + 1] * (len(b) + 1)
        if low == 1:
            row[0] = i
        for j in range(low, high + 1):
            row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != b[j - 1]))
        if min(row[max(0, low - 1) : high + 1]) > bound:
            return bound + 1
    return min(row[len(b)], bound + 1)


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
        elif character in "\"'`" and not (character == "'" and site.language in PROSE | {"rust"}):
            quote = character
        elif character in OPENERS:
            found.append((index, character, True))
        elif character in CLOSERS:
            found.append((index, CLOSERS[character], False))
        index += 1
    return found


def _continues(line: str, language: str) -> bool:
    """True for a line that carries a block on at the same indentation: `else:`, `} catch (e) {`."""
    code = line.strip()
    if language == "python":
        return re.match(r"(?:elif|else|except|finally|case)\b", code) is not None or code[:1] in ("}", ")", "]")
    return (
        re.match(r"[)}\]]?\s*(?:else|elsif|elif|catch|finally|rescue|ensure|when|case|default|while)\b", code)
        is not None
    )


def _unit(site: Site) -> int:
    """Columns of one indentation step: the smallest seen around the cursor, 4 when none is."""
    widths = {
        len(leading_space(line)) for line in (site.before + site.after).split("\n") if line[:2] == "  " and line.strip()
    }
    steps = [width for width in widths if width in (2, 3, 4, 8)]
    return min(steps) if steps else 4


def _uses_tabs(site: Site) -> bool | None:
    """Whether the lines around the cursor are indented by tabs; None when none is indented."""
    lines = (site.before + "\n" + site.after).split("\n")
    tabs = sum(line.startswith("\t") for line in lines)
    spaces = sum(line.startswith("  ") for line in lines)
    return None if tabs == spaces == 0 else tabs > spaces


def _shifted(line: str, surplus: int, unit: int, tabs: bool | None) -> str:
    """`line` with `surplus` columns less indentation, written the document's way."""
    lead = leading_space(line)
    if not surplus and (tabs is None or ("\t" in lead) == tabs == (" " not in lead)):
        return line
    columns = max(0, len(lead.expandtabs(unit)) - surplus)
    return _spaces(columns, unit, tabs) + line[len(lead) :] if line.strip() else line


def _spaces(columns: int, unit: int, tabs: bool | None) -> str:
    return "\t" * (columns // unit) + " " * (columns % unit) if tabs else " " * columns
