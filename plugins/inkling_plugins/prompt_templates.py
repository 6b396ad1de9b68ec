"""Prompt templates: the bundled ones, the user's `[[prompt]]` tables, and what becomes of their `{names}`."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from inkling.api import Position, Range, Snapshot, block_at, uri_path

Result = Literal["replace", "insert-above", "insert-below", "docstring", "show"]
NAMES = ("selection", "file", "language", "before", "after")
_NAME = re.compile(r"\{([a-z_]+)\}")
_CODE_LIKE = frozenset({"replace", "insert-above", "insert-below"})
PROSE = frozenset(
    ("markdown", "mdx", "plaintext", "text", "latex", "tex", "restructuredtext", "rst", "gitcommit",
     "git-commit", "quarto")
)  # fmt: skip


@dataclass(frozen=True)
class Prompt:
    """One table `[[prompt]]`."""

    name: str = ""
    """What it is called in settings and commands; a bundled one's name changes that one."""
    title: str = ""
    """What the menu says; by default the name."""
    template: str = ""
    """What the model is asked; {selection}, {file}, {language}, {before} and {after} are filled in."""
    system: str = ""
    """What the model is told first."""
    model: str = field(default="", metadata={"scope": "model"})
    """A chat model for this prompt; by default `prompts.model`."""
    result: Result = "show"
    """Where the answer goes."""
    languages: tuple[str, ...] = ()
    """Language ids where it is offered; `code` and `prose` are all of a kind, none means everywhere."""
    max_tokens: int = field(default=512, metadata={"min": 1, "max": 32768})
    """Tokens that the model writes at most."""
    temperature: float = field(default=0.0, metadata={"min": 0.0, "max": 2.0})
    """0 always takes the likeliest token."""
    enabled: bool = True
    """Offer it."""
    origin: str = field(default="", metadata={"origin": True})
    given: tuple[str, ...] = field(default=(), metadata={"given": True})
    """The keys that the settings have, be it with their default values."""

    def complaints(self) -> Iterator[tuple[str, str]]:
        """What types cannot say."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            yield "name", "may have letters, digits, - and _ only."
        if not self.template and self.name not in BUNDLED:
            yield "template", "is missing: say what the model is asked, with {selection} in it."
        for name in _NAME.findall(self.template):
            if name not in NAMES and len(name) > 1:
                yield "template", f"has {{{name}}}; there are {', '.join(f'{{{known}}}' for known in NAMES)}."

    @property
    def label(self) -> str:
        """The menu's words."""
        return self.title or self.name

    def suits(self, language: str) -> bool:
        """Whether it is offered in a language."""
        kind = "prose" if language in PROSE else "code"
        return not self.languages or language in self.languages or kind in self.languages

    def wants_code(self, language: str) -> bool:
        """Whether the answer is to be code alone."""
        return self.result in _CODE_LIKE and language not in PROSE


BUNDLED: Mapping[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            "explain",
            "Explain",
            "Explain what this {language} code or text from {file} does, in a few short paragraphs for a colleague who "
            "has not seen it.\n\n{selection}",
            result="show",
        ),
        Prompt(
            "rewrite",
            "Rewrite",
            "Rewrite this so that it is clearer and shorter and says exactly the same. It is {language}. Answer "
            "with the rewritten text alone.\n\n{selection}",
            result="replace",
        ),
        Prompt(
            "fix",
            "Fix",
            "This {language} code from {file} has a mistake. Answer with the corrected code alone, and change nothing "
            "else.\n\n{selection}",
            result="replace",
            languages=("code",),
        ),
        Prompt(
            "docstring",
            "Write Docstring",
            "Write the documentation of this {language} definition: one line that says what it does, then what its "
            "parameters, result and errors mean where that is not plain. Answer with the text alone, without quotes or "
            "comment marks.\n\n{selection}",
            result="docstring",
            languages=("code",),
        ),
    )
}


def prompts(own: Iterable[Prompt]) -> dict[str, Prompt]:
    """The prompts by name: the bundled ones, changed by the user's of their names, then the user's own."""
    found = dict(BUNDLED)
    for prompt in own:
        base = found.get(prompt.name)
        found[prompt.name] = prompt if base is None else _over(base, prompt)
    return {name: prompt for name, prompt in found.items() if prompt.enabled}


def _over(base: Prompt, prompt: Prompt) -> Prompt:
    changed = {
        one.name: value
        for one in dataclasses.fields(Prompt)
        if (value := getattr(prompt, one.name)) != one.default or one.name in prompt.given
    }
    return dataclasses.replace(base, **changed)


def subject(snapshot: Snapshot, range: Range) -> Range | None:
    """What a prompt is about: the selection, in whole lines where it begins in the indentation, or else the block."""
    if range.is_empty:
        block = block_at(snapshot, range.start)
        if block is None:
            return None
        range = snapshot.range(block.start, block.end)
    if range.end.character == 0 and range.end.line > range.start.line:
        range = Range(range.start, snapshot.line_range(range.end.line - 1).end)
    before = snapshot.line(range.start.line)[: range.start.character]
    if not before.strip():
        text = snapshot.line(range.start.line)
        range = Range(Position(range.start.line, len(text) - len(text.lstrip())), range.end)
    return range if snapshot.text_in(range).strip() else None


def indentation(snapshot: Snapshot, line: int) -> str:
    """The white space that a line begins with."""
    text = snapshot.line(line)
    return text[: len(text) - len(text.lstrip())]


def fill(template: str, snapshot: Snapshot, range: Range, characters: int) -> str:
    """The template with its names filled in; other braces stay. `before` and `after` have at most `characters` each."""
    start, end = snapshot.offset(range.start), snapshot.offset(range.end)
    whole_lines = indentation(snapshot, range.start.line) + snapshot.text_in(range)
    values = {
        "selection": textwrap.dedent(whole_lines.replace("\r\n", "\n")).strip("\n"),
        "file": uri_path(snapshot.uri).rpartition("/")[2],
        "language": snapshot.language,
        "before": snapshot.slice(max(0, start - characters), start),
        "after": snapshot.slice(end, end + characters),
    }
    return _NAME.sub(lambda match: values.get(match[1], match[0]), template)
