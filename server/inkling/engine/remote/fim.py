"""Fill-in-the-middle for a model whose tokenizer is not here.

A local engine reads a model's markers from its vocabulary and encodes document text so that none of it becomes a
marker. Here the prompt is text: the markers come from the settings or from what the model's name says, and whatever in
the document looks like a control token is broken up by a space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inkling.engine.generation.fim import FORMATS, FimFormat
from inkling.engine.protocol import ContextFile
from inkling.engine.remote.settings import FimMarkers, FimWay

CHARACTERS_PER_TOKEN = 3
"""In code, roughly; rather too few than too many."""

_CONTEXT_SHARE = 0.35
_SUFFIX_SHARE = 0.15
_CUTS = 4

_BY_NAME: tuple[tuple[str, str], ...] = (
    (r"qwen.*coder|codeqwen", "qwen"),
    (r"codegemma", "codegemma"),
    (r"starcoder-?2", "starcoder2"),
    (r"starcoder|granite.*code", "starcoder"),
    (r"santacoder", "santacoder"),
    (r"deepseek.*coder", "deepseek-coder"),
    (r"code-?llama", "codellama"),
    (r"seed-?coder", "seed-coder"),
    (r"codestral", "codestral"),
)
_BY_SERVER = {"llamacpp": "infill", "library": "suffix"}
"""`owned_by` in a list of models: llama.cpp's server knows its model's markers; Ollama puts prompts into a template."""

_CONTROL = re.compile(
    r"<\|[\w▁.-]{1,40}\|>|<｜[\w▁]{1,40}｜>|<(?:fim|repo|file|jupyter|gh|issue)_?\w{0,20}>|<reponame>|<filename>"
    r"|<fim-\w{1,10}>|<\[fim-\w{1,10}\]>|▁?<(?:PRE|SUF|MID|EOT)>|\[(?:SUFFIX|PREFIX|MIDDLE|INST|/INST)\]"
)


@dataclass(frozen=True, slots=True)
class Windows:
    """What of a request fits: text before and after the cursor, and other files, most relevant last."""

    prefix: str
    suffix: str
    files: tuple[ContextFile, ...]


def way(setting: FimWay | FimMarkers, model: str, owner: str) -> FimFormat | str:
    """The format to write, or the server's own `suffix` or `infill`, or `none`."""
    if isinstance(setting, FimMarkers):
        layout = ((setting.prefix, "prefix"), (setting.suffix, "suffix"), (setting.middle, ""))
        return FimFormat("own", layout, file=setting.file, ends=setting.ends)
    if setting != "auto":
        return _named(setting)
    if owner in _BY_SERVER:
        return _BY_SERVER[owner]
    for pattern, name in _BY_NAME:
        if re.search(pattern, model, re.IGNORECASE):
            return _named(name)
    return "none"


def _named(name: str) -> FimFormat | str:
    return next((format_ for format_ in FORMATS if format_.name == name), name)


def windows(prefix: str, suffix: str, files: Sequence[ContextFile], tokens: int) -> Windows:
    """Cut a request to `tokens`, as estimated, at places that stay put while the user types."""
    room = tokens * CHARACTERS_PER_TOKEN
    left = int(room * _CONTEXT_SHARE) if files else 0
    kept: list[ContextFile] = []
    for file in reversed(files):
        size = len(file.path) + len(file.text) + 8
        if size > left:
            break
        kept.insert(0, file)
        left -= size
    before = room - (int(room * _CONTEXT_SHARE) if kept else 0) - (int(room * _SUFFIX_SHARE) if suffix else 0)
    return Windows(_tail(prefix, before), _head(suffix, int(room * _SUFFIX_SHARE)), tuple(kept))


def _tail(text: str, room: int) -> str:
    """The end of `text` from a line start on that moves in steps of a quarter window."""
    if len(text) <= room:
        return text
    step = max(1, room // _CUTS)
    start = -((room - len(text)) // step) * step
    line = text.find("\n", start)
    return text[line + 1 :] if 0 <= line < len(text) - 1 else text[start:]


def _head(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    line = text.rfind("\n", 0, room) + 1
    return text[: line or room]


def plain(text: str) -> str:
    """Document text in which nothing is a control token to the server's tokenizer."""
    return _CONTROL.sub(lambda found: found[0][:1] + " " + found[0][1:], text)


def render(format_: FimFormat | None, found: Windows) -> str:
    """The prompt as text: the other files, then the parts between their markers; without a format the prefix alone."""
    context = "".join(_file(format_, file) for file in found.files)
    if context and format_ is not None and format_.file:
        repo = f"{format_.repo}workspace\n" if format_.repo else ""
        context = f"{repo}{context}{format_.file}\n"
    prefix, suffix = plain(found.prefix), plain(found.suffix)
    if format_ is None or not suffix.strip():
        return context + prefix
    parts = {"prefix": prefix, "suffix": suffix, "": ""}
    return context + "".join(_written(marker) + parts[part] for marker, part in format_.layout)


def _written(marker: str) -> str:
    """A sentencepiece vocabulary's `▁` is a space in text."""
    return marker.replace("▁<", " <") if marker.startswith("▁<") else marker


def _file(format_: FimFormat | None, file: ContextFile) -> str:
    text = plain(file.text if file.text.endswith("\n") else file.text + "\n")
    if format_ is not None and format_.file:
        return f"{format_.file}{plain(file.path)}\n{text}"
    return f"# {plain(file.path)}\n{text}\n"
