"""Fill-in-the-middle formats, recognized by the markers in a tokenizer's vocabulary.

Each family was trained on one arrangement of prefix (P), suffix (S) and middle (M). Where a family knows suffix first,
we use that: the suffix hardly changes while typing, so the prefix cache keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum


class Order(StrEnum):
    """What a model's config.json may say under `inkling_fim`, where its markers alone do not tell."""

    USUAL = ""
    SUFFIX_FIRST = "suffix-first"
    """Trained also on suffix before prefix, between the markers of the usual order."""
    NONE = "none"
    """Has the markers, but does better without them."""


@dataclass(frozen=True, slots=True)
class FimFormat:
    """Control tokens around the parts, in writing order: `(marker, part)` with part `prefix`, `suffix` or nothing.

    `repo` and `file` are the markers before a repository's name and a file's path, empty where the family has none.
    `inside` says that text parts are encoded as continuations, without the tokenizer's leading space.
    """

    name: str
    layout: tuple[tuple[str, str], ...]
    repo: str = ""
    file: str = ""
    ends: tuple[str, ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        """The tokens that must be in the vocabulary."""
        return tuple(marker for marker, _ in self.layout)


def _psm(begin: str, hole: str, end: str) -> tuple[tuple[str, str], ...]:
    return ((begin, "prefix"), (hole, "suffix"), (end, ""))


FORMATS = (
    FimFormat(
        "qwen",
        _psm("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        repo="<|repo_name|>",
        file="<|file_sep|>",
        ends=("<|fim_pad|>", "<|cursor|>"),
    ),
    FimFormat(
        "codegemma",
        _psm("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        file="<|file_separator|>",
    ),
    FimFormat("fim-bars", _psm("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"), ends=("<|fim_pad|>",)),
    FimFormat(
        "starcoder2",
        _psm("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        repo="<repo_name>",
        file="<file_sep>",
        ends=("<fim_pad>",),
    ),
    FimFormat(
        "starcoder",
        _psm("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        repo="<reponame>",
        file="<filename>",
        ends=("<fim_pad>",),
    ),
    FimFormat("fim-angles", _psm("<fim_prefix>", "<fim_suffix>", "<fim_middle>"), ends=("<fim_pad>",)),
    FimFormat("santacoder", _psm("<fim-prefix>", "<fim-suffix>", "<fim-middle>"), ends=("<fim-pad>",)),
    FimFormat(
        "deepseek-coder",
        _psm("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        ends=("<｜end▁of▁sentence｜>", "<|EOT|>"),
    ),
    FimFormat(
        "codellama",
        (("▁<PRE>", ""), ("▁<SUF>", "suffix"), ("▁<MID>", "prefix")),
        ends=("▁<EOT>",),
    ),
    FimFormat(
        "seed-coder",
        (("<[fim-suffix]>", "suffix"), ("<[fim-prefix]>", "prefix"), ("<[fim-middle]>", "")),
    ),
    FimFormat("codestral", (("[SUFFIX]", "suffix"), ("[PREFIX]", "prefix")), ends=("[MIDDLE]",)),
)

MARKERS = frozenset(
    token for format_ in FORMATS for token in (*format_.markers, format_.repo, format_.file, *format_.ends) if token
)
"""Every marker of every family; in no model may document text produce one."""


def find(control: Callable[[str], int | None], order: str = Order.USUAL) -> FimFormat | None:
    """The format whose markers are all in the vocabulary; `control` gives a token's id or None.

    Families that share the prefix, suffix and middle markers differ in their file markers, so the first whose file
    marker exists wins; a family without one accepts any vocabulary that has the three.
    """
    for format_ in () if order == Order.NONE else FORMATS:
        needed = (*format_.markers, format_.file) if format_.file else format_.markers
        if all(control(marker) is not None for marker in needed):
            return _suffix_first(format_) if order == Order.SUFFIX_FIRST else format_
    return None


def _suffix_first(format_: FimFormat) -> FimFormat:
    """Markers in their places, the parts exchanged: begin, hole, suffix, end, prefix."""
    if [part for _, part in format_.layout] != ["prefix", "suffix", ""]:
        return format_
    (begin, _), (hole, _), (end, _) = format_.layout
    return replace(format_, layout=((begin, ""), (hole, "suffix"), (end, "prefix")))
