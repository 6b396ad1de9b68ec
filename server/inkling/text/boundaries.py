"""Where a text may be cut so that the token counts of its parts add up to the count of the whole.

A cut is safe when no stage of the tokenizer's pipeline looks across it: no added token, normalizer, pre-tokenizer or
vocabulary entry spans it, and what lies on one side never changes how the other is split. That is read off the
pipeline's own description (`tokenizer.json`), stage by stage, by rules that hold for every text; a pipeline with a
stage that no rule covers gets no cuts, and says why. `counting.Counter` then tries the result on adversarial text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inkling.text.pretokenizers import WHITE, Cuts, Seen, Unprovable, judge

Spec = Mapping[str, Any]

_VISIBLE = r"!-~\w、-〃〈-】！-～"
_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters by category, blank by look: some normalizers make spaces of them."""
_ALNUM = "0-9A-Za-zÀ-ÖØ-öø-ʯΑ-ΡΣ-ώА-яа-ё一-龥ぁ-ゖァ-ヺ가-힣"
_PUNCTUATION = '!"#$%&()*+,-./:;<=>?@[\\]^`{|}~'

_LOCAL = frozenset(
    {"NFC", "NFKC", "Lowercase", "BertNormalizer", "Nmt", "Precompiled", "ByteLevel", "Strip", "Prepend"}
)
"""Normalizers that map characters or grapheme clusters by themselves (white space ends one), or touch the ends."""
_DECOMPOSING = frozenset({"NFD", "NFKD", "StripAccents"})
_WHITE_PATTERNS = frozenset({r"\s+", r"\s{2,}", " {2,}", " +", r"\n+", r"[ \t]+", r"[\r\n\t ]+", r"\r\n|\r"})


@dataclass(frozen=True, slots=True)
class Boundaries:
    """The safe cuts of one tokenizer.

    `pattern` matches the empty string at each; None when there is none, and `reason` says why. With `start_effect` the
    pipeline does something to the start of any text given to it (a prefix space, stripping), with `end_effect` to its
    end: parts from the middle of a document must be kept from that. `line` tells that cuts follow line ends.
    """

    pattern: re.Pattern[str] | None = None
    start_effect: bool = False
    end_effect: bool = False
    line: bool = False
    reason: str = ""


def boundaries(spec: Spec, normalize: Callable[[str], str]) -> Boundaries:
    """The safe cuts of the tokenizer that `spec` (a parsed tokenizer.json) describes; `normalize` is its normalizer."""
    try:
        return _boundaries(spec, normalize)
    except Unprovable as verdict:
        return Boundaries(reason=str(verdict))


def _boundaries(spec: Spec, normalize: Callable[[str], str]) -> Boundaries:
    normalizers = list(_flat(spec.get("normalizer"), "normalizers"))
    stages = list(_flat(spec.get("pre_tokenizer"), "pretokenizers"))
    for normalizer in normalizers:
        _check_normalizer(normalizer)
    runs = ("", " ", "  ", "\n", "\n\n", "\r\n", "\t\n ")
    seen = {char: frozenset(_between(normalize(f"a{char}{run}a")) for run in runs) for char in WHITE}
    allowed, certain, words = judge(stages, seen)
    if not certain:
        certain = _by_vocabulary(spec["model"], words)
    added: list[Spec] = list(spec.get("added_tokens") or ())
    contents = {text for token in added for text in _spellings(token, normalize)}
    if not allowed & certain:
        raise Unprovable("its stages agree on no place where a text may be split")
    cuts = _beside_added_tokens(allowed & certain, added, contents)
    if not cuts:
        raise Unprovable("its added tokens may span any of the places where it splits")
    start = any(stage["type"] in ("Prepend", "Strip") for stage in normalizers) or any(map(_prefixes, stages))
    kept_apart = added if start else [token for token in added if token.get("rstrip")]
    exclude = _FILLERS + "".join({text[-1] for token in kept_apart for text in _spellings(token, normalize)})
    drops_white = any(stage["type"] in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer") for stage in stages)
    # where white space counts, a character that the normalizer drops or pads must not be the one before it
    ascii_only = not drops_white and any(stage["type"] in _DECOMPOSING | {"BertNormalizer"} for stage in normalizers)
    return Boundaries(
        _pattern(cuts, contents, exclude, ascii_only=ascii_only),
        start_effect=start,
        end_effect=any(stage["type"] == "Strip" for stage in normalizers),
        line=cuts.line,
    )


def _flat(stage: Spec | None, key: str) -> Iterator[Spec]:
    if stage is None:
        return
    if stage["type"] == "Sequence":
        for inner in stage[key]:
            yield from _flat(inner, key)
    else:
        yield stage


def _between(normalized: str) -> str:
    """What a normalizer made of the text between the letters in `a…a`."""
    return normalized[normalized.find("a") + 1 : normalized.rfind("a")]


def _prefixes(stage: Spec) -> bool:
    if stage["type"] == "Metaspace":
        return bool(stage.get("prepend_scheme", "always") != "never")
    return bool(stage.get("add_prefix_space", False))


def _check_normalizer(stage: Spec) -> None:
    name = stage["type"]
    if name in _LOCAL or name in _DECOMPOSING:
        return
    if name != "Replace":
        raise Unprovable(f"its normalizer {name} may change text across any place")
    pattern = stage["pattern"]
    text = pattern.get("String")
    if text is None and pattern["Regex"] not in _WHITE_PATTERNS:
        raise Unprovable("its normalizer replaces a pattern whose extent is not known")
    if text is not None and len(text) > 1 and (set(text) & WHITE or any(c.isalnum() for c in text)):
        raise Unprovable("its normalizer replaces a string that may span any place")


def _by_vocabulary(model: Spec, seen: Seen) -> Cuts:
    """For a BPE model over unsplit text: merges never cross a pair of characters that no vocabulary entry holds."""
    if model["type"] != "BPE":
        raise Unprovable(f"its {model['type']} model reads a whole text as one word")
    if model.get("ignore_merges") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise Unprovable("its BPE model treats the ends of a text in its own way")
    vocabulary: Mapping[str, int] = model["vocab"]
    bytes_known = model.get("byte_fallback") and all(f"<0x{byte:02X}>" in vocabulary for byte in range(256))
    if model.get("unk_token") and model.get("fuse_unk") and not bytes_known:
        raise Unprovable("its BPE model joins unknown characters across any place")
    blanks = re.escape("".join(text for texts in seen.values() for text in texts))
    entries = "\0".join(vocabulary)
    found = frozenset(
        char
        for char, texts in seen.items()
        if "" not in texts and not any(re.search(f"[^\\0{blanks}]{re.escape(text[0])}", entries) for text in texts)
    )
    if not found:
        raise Unprovable("its vocabulary holds entries across every kind of place")
    return Cuts(found, found)


def _spellings(token: Spec, normalize: Callable[[str], str]) -> set[str]:
    content: str = token["content"]
    return {text for text in (content, normalize(content) if token.get("normalized") else content) if text}


def _beside_added_tokens(cuts: Cuts, added: list[Spec], contents: set[str]) -> Cuts:
    """The cuts that no added token can span, or reach across to eat white space or look at a neighbour."""
    spaced = any(re.search(r"\S\s", text) for text in contents)
    single = [token["content"] for token in added if token.get("single_word")]
    if spaced or any(text != text.strip() for text in single):
        cuts &= Cuts(line=True, word=True)
    strips = any(token.get("lstrip") or token.get("rstrip") for token in added)
    if strips or any(re.search(r"\s[\s\S]", text) for text in contents):
        cuts &= Cuts(WHITE, WHITE, False, True)
    return cuts & Cuts(WHITE, WHITE, True, False) if single else cuts


def _pattern(cuts: Cuts, contents: set[str], exclude: str, *, ascii_only: bool) -> re.Pattern[str]:
    visible, alnum = ("!-~", "0-9A-Za-z") if ascii_only else (_VISIBLE, _ALNUM)
    apart = f"(?<![{re.escape(exclude)}])"
    parts = []
    if cuts.visible:
        parts.append(f"{apart}(?<=[{visible}])(?=[{''.join(sorted(cuts.visible))}])")
    if more := cuts.alnum - cuts.visible:
        parts.append(f"{apart}(?<=[{alnum}])(?=[{''.join(sorted(more))}])")
    if cuts.line:
        parts.append(r"(?<=\n)(?=[ \t]*[^\s])")
    marks = [
        mark for mark in _PUNCTUATION if not any(re.search(f"[A-Za-z]{re.escape(mark)}", text) for text in contents)
    ]
    if cuts.word and marks:
        parts.append(f"{apart}(?<=[A-Za-z])(?=[{re.escape(''.join(marks))}])")
    return re.compile("|".join(parts))
