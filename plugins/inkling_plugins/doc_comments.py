"""Documentation comments: where one belongs, and how each language writes it."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from inkling.api import Position, Snapshot
from inkling_plugins.comments import comment_syntax

_WIDTH = 88
_STARS = frozenset(
    ("javascript", "javascriptreact", "typescript", "typescriptreact", "java", "c", "cpp", "objective-c",
     "objective-cpp", "cuda-cpp", "php", "kotlin", "scala", "groovy", "dart", "css", "scss", "less")
)  # fmt: skip
_TRIPLE_SLASHES = frozenset(("rust", "swift", "csharp", "zig"))
_DECORATED = re.compile(r"\s*(?:@|#\[|\[\w)")
_PYTHON_BLOCK = re.compile(r"(\s*)(?:async\s+def|def|class)\s+\w+")
_DEFINITION = re.compile(
    r"\s*(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([^)]*\))?|unsafe|extern"
    r"|inline|virtual|override|const|sealed|open|data)\s+)*"
    r"(?:function\*?|class|interface|struct|enum|trait|impl|fn|func|fun|def|module|mod|namespace|type|object|record)\b"
)


@dataclass(frozen=True, slots=True)
class DocPlace:
    """Where a documentation comment goes: before line `line`, indented by `indentation`; `inside` for docstrings."""

    line: int
    indentation: str
    inside: bool = False
    what: str = "file"


def wrap(text: str, indentation: str, marker: int) -> list[str]:
    """`text` in lines that fit, with `indentation` and `marker` columns before them; paragraphs stay apart."""
    width = max(40, _WIDTH - len(indentation.expandtabs(4)) - marker)
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if lines:
            lines.append("")
        lines += textwrap.wrap(" ".join(paragraph.split()), width, break_long_words=False, break_on_hyphens=False)
    return lines


def comment(text: str, language: str, indentation: str) -> list[str]:
    """`text` as an ordinary comment, or as a plain paragraph where the language is prose."""
    syntax = comment_syntax(language)
    if syntax is None or language in ("markdown", "mdx", "html", "xml", "restructuredtext", "rst"):
        return [indentation + line for line in wrap(text, indentation, 0)]
    return [(indentation + line).rstrip() for line in syntax.lines("\n".join(wrap(text, indentation, 3)))]


def documentation(text: str, language: str, place: DocPlace) -> list[str]:
    """`text` as the language's documentation comment, each line with its indentation."""
    rows = wrap(text, place.indentation, 4)
    if language == "python":
        body = [row.replace("\\", "\\\\").replace('"""', "'''") for row in rows]
        body[-1] += " " if body[-1].endswith('"') else ""
        one = len(body) == 1
        lines = [f'"""{body[0]}"""'] if one else [f'"""{body[0]}', *body[1:], '"""']
    elif language in _STARS:
        safe = [row.replace("*/", "* /") for row in rows]
        lines = [f"/** {safe[0]} */"] if len(safe) == 1 else ["/**", *(f" * {row}".rstrip() for row in safe), " */"]
    elif language in _TRIPLE_SLASHES:
        marker = "//!" if language == "rust" and place.what == "file" else "///"
        lines = [f"{marker} {row}".rstrip() for row in rows]
    else:
        return comment(text, language, place.indentation)
    return [(place.indentation + line).rstrip() for line in lines]


def doc_place(snapshot: Snapshot, position: Position) -> DocPlace | None:
    """Where to document what is around `position`: the nearest definition, else the file; None when that is done."""
    if snapshot.language == "python":
        return _python_place(snapshot, position.line)
    line = min(position.line, snapshot.line_count - 1)
    limit = _indent(snapshot.line(line)) if snapshot.line(line).strip() else 1_000
    for number in range(line, max(-1, line - 2_000), -1):
        text = snapshot.line(number)
        if not text.strip() or _indent(text) > limit:
            continue
        limit = min(limit, _indent(text))
        if _DEFINITION.match(text):
            while number and _DECORATED.match(snapshot.line(number - 1)):
                number -= 1
            above = snapshot.line(number - 1).strip() if number else ""
            syntax = comment_syntax(snapshot.language)
            if above.endswith("*/") or (syntax is not None and above and syntax.opens(above)):
                return None
            return DocPlace(number, _space(text), what="definition")
    return _file_place(snapshot)


def _python_place(snapshot: Snapshot, line: int) -> DocPlace | None:
    line = min(line, snapshot.line_count - 1)
    text = snapshot.line(line)
    limit = len(_space(text)) if text.strip() else 1_000
    for number in range(line, max(-1, line - 2_000), -1):
        text = snapshot.line(number)
        if not text.strip():
            continue
        opened = _PYTHON_BLOCK.match(text)
        body = _after_signature(snapshot, number) if opened else None
        holds_cursor = number == line or len(_space(text)) < limit or (body is not None and body > line)
        limit = min(limit, len(_space(text)))
        if opened is None or not holds_cursor:
            continue
        if body is None or _docstring_at(snapshot, body):
            return None
        first = _first_code(snapshot, body)
        own = _space(snapshot.line(first)) if first is not None else ""
        indentation = own if len(own) > len(opened[1]) else opened[1] + "    "
        return DocPlace(body, indentation, inside=True, what="definition")
    place = _file_place(snapshot)
    return None if _docstring_at(snapshot, place.line) else place


def _file_place(snapshot: Snapshot) -> DocPlace:
    """The file's head, below a `#!` line, an encoding line or `<?php`."""
    line = 0
    while line < min(2, snapshot.line_count) and re.match(r"#!|#.*coding[:=]|<\?php", snapshot.line(line)):
        line += 1
    return DocPlace(line, "", what="file")


def _after_signature(snapshot: Snapshot, line: int) -> int | None:
    """The line after the one that ends a Python signature with a colon; None for a body on the same line."""
    depth = 0
    for number in range(line, min(snapshot.line_count, line + 200)):
        code = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", snapshot.line(number)).rstrip()
        depth += sum(code.count(c) for c in "([{") - sum(code.count(c) for c in ")]}")
        if depth <= 0:
            return number + 1 if code.endswith(":") else None
    return None


def _docstring_at(snapshot: Snapshot, line: int) -> bool:
    first = _first_code(snapshot, line)
    return first is not None and re.match(r"\s*[rRuU]{0,2}(?:\"|')", snapshot.line(first)) is not None


def _first_code(snapshot: Snapshot, line: int) -> int | None:
    for number in range(line, min(snapshot.line_count, line + 50)):
        text = snapshot.line(number).strip()
        if text and not text.startswith("#"):
            return number
    return None


def _indent(text: str) -> int:
    return len(_space(text).expandtabs(4))


def _space(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]
