"""Where the cursor stands: the text around it, and what kind of suggestion suits the place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inkling_plugins.comments import comment_syntax

PROSE = frozenset(
    {"markdown", "plaintext", "text", "gitcommit", "git-commit", "latex", "tex", "restructuredtext", "rst", "mdx"}
)

_CLOSERS_ONLY = re.compile(r"""^\s*[)>}\]"'`]*\s*[:{;,]?\s*$""")
_BLOCK_OPENERS = ("{", "(", "[", "=>", "->")
_BLOCK_WORDS = re.compile(r"\b(?:do|then|begin|else)$")


@dataclass(frozen=True, slots=True)
class Site:
    """The text before and after the cursor, bounded to a few thousand characters each, with `\\n` line ends."""

    before: str
    after: str
    language: str = "plaintext"

    @property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.before.rpartition("\n")[2]

    @property
    def line_after(self) -> str:
        """The cursor's line from the cursor on."""
        return self.after.partition("\n")[0]

    @property
    def indentation(self) -> str:
        """The white space that begins the cursor's line."""
        return leading_space(self.line_before)

    @property
    def line_above(self) -> str:
        """The nearest line above that is not blank; empty at the top."""
        for line in reversed(self.before.split("\n")[:-1]):
            if line.strip():
                return line
        return ""

    @property
    def line_below(self) -> str:
        """The nearest line below that is not blank; empty at the end."""
        for line in self.after.split("\n")[1:]:
            if line.strip():
                return line
        return ""

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
