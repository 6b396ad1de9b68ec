"""Where the cursor stands: the text around it, and what kind of suggestion suits the place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from inkling_plugins.comments import comment_syntax
from inkling_plugins.completion.brackets import unclosed, unopened

PROSE = frozenset(
    {"markdown", "plaintext", "text", "gitcommit", "git-commit", "latex", "tex", "restructuredtext", "rst", "mdx"}
)

_CLOSERS_ONLY = re.compile(r"""^\s*[)>}\]"'`]*\s*[:{;,]?\s*$""")
_BLOCK_OPENERS = ("{", "(", "[", "=>", "->")
_BLOCK_WORDS = re.compile(r"\b(?:do|then|begin|else)$")


@dataclass(frozen=True)
class Site:
    """The text before and after the cursor, bounded to a few thousand characters each, with `\\n` line ends.

    A growing suggestion is judged at one site many times, so what is read off it is kept.
    """

    before: str
    after: str
    language: str = "plaintext"

    @cached_property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.before.rpartition("\n")[2]

    @cached_property
    def line_after(self) -> str:
        """The cursor's line from the cursor on."""
        return self.after.partition("\n")[0]

    @cached_property
    def indentation(self) -> str:
        """The white space that begins the cursor's line."""
        return leading_space(self.line_before)

    @cached_property
    def lines_above(self) -> list[str]:
        """The lines above that are not blank, nearest last."""
        return [line for line in self.before.split("\n")[:-1] if line.strip()]

    @cached_property
    def lines_below(self) -> list[str]:
        """The lines below that are not blank, nearest first."""
        return [line for line in self.after.split("\n")[1:] if line.strip()]

    @property
    def line_above(self) -> str:
        """The nearest line above that is not blank; empty at the top."""
        return self.lines_above[-1] if self.lines_above else ""

    @property
    def line_below(self) -> str:
        """The nearest line below that is not blank; empty at the end."""
        return self.lines_below[0] if self.lines_below else ""

    @cached_property
    def unit(self) -> int:
        """Columns of one indentation step: the smallest seen around the cursor, 4 when none is."""
        widths = {len(leading_space(line)) for line in (*self.lines_above, *self.lines_below) if line[:2] == "  "}
        return min((width for width in widths if width in (2, 3, 4, 8)), default=4)

    @cached_property
    def tabs(self) -> bool | None:
        """Whether the lines around the cursor are indented by tabs; None when none is indented."""
        lines = (*self.lines_above, self.line_before, *self.lines_below)
        tabs = sum(line.startswith("\t") for line in lines)
        spaces = sum(line.startswith("  ") for line in lines)
        return None if tabs == spaces == 0 else tabs > spaces

    @cached_property
    def open_brackets(self) -> tuple[str, ...]:
        """The brackets that the text before leaves open and the text after does not close, outermost first."""
        left = unclosed(self.before, self.language)
        for kind in unopened(self.after, self.language):
            if kind in left:
                del left[len(left) - 1 - left[::-1].index(kind)]
        return tuple(left)

    @property
    def is_comment(self) -> bool:
        """True when the cursor's line is a line comment up to the cursor."""
        syntax = comment_syntax(self.language)
        return syntax is not None and syntax.opens(self.line_before.strip())


def leading_space(line: str) -> str:
    """The white space that begins `line`."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def opens_block(line: str, language: str) -> bool:
    """True when the next line would be indented further: `def f():`, `if (x) {`, `do`."""
    code = line.rstrip()
    if language == "python":
        return code.endswith((":", "(", "[", "{"))
    return code.endswith(_BLOCK_OPENERS) or _BLOCK_WORDS.search(code) is not None


def rejects_middle(site: Site) -> bool:
    """The right-of-cursor rule: text follows on the line that is more than closing punctuation."""
    return _CLOSERS_ONLY.match(site.line_after) is None


def wants_lines(site: Site) -> bool:
    """Whether several lines suit the place, from its syntax.

    A block has just been opened, or an empty line stands inside a body: several. Anything else on the line, a comment,
    or prose: one.
    """
    if site.language in PROSE or site.is_comment or site.line_after.strip():
        return False
    if site.line_before.strip():
        return opens_block(site.line_before, site.language)
    above = site.line_above
    if opens_block(above, site.language):
        return True
    below = site.line_below
    ends_here = len(leading_space(below)) < len(site.indentation) or not below
    return bool(site.indentation) and ends_here
