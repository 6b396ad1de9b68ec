"""What each kind of pre-tokenizer does at a cut between two characters: split there, or not mind.

A cut is a pair of neighbouring characters. A stage *allows* it when splitting the text there first changes none of the
pieces on either side, and is *certain* of it when it always splits there itself. A pipeline may be cut where every
stage allows it and one is certain: from then on the two sides never meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WHITE = frozenset(" \t\r\n")


class Unprovable(Exception):
    """A stage that no rule covers; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """A set of cuts: where a text may be split.

    `visible`: a visible character, then one of these white-space characters: `;|\\n`. `alnum`: the same after a letter
    or digit only. `line`: after the last line end in a run of white space: `;\\n|  foo`. `word`: an ASCII letter, then
    ASCII punctuation: `foo|(bar`.
    """

    visible: frozenset[str] = frozenset()
    alnum: frozenset[str] = frozenset()
    line: bool = False
    word: bool = False

    def __and__(self, other: Cuts) -> Cuts:
        return Cuts(
            self.visible & other.visible,
            self.alnum & other.alnum,
            self.line and other.line,
            self.word and other.word,
        )

    def __or__(self, other: Cuts) -> Cuts:
        return Cuts(
            self.visible | other.visible,
            self.alnum | other.alnum,
            self.line or other.line,
            self.word or other.word,
        )

    def __bool__(self) -> bool:
        return bool(self.visible or self.alnum or self.line or self.word)


ALL = Cuts(WHITE, WHITE, True, True)
NONE = Cuts()

Seen = Mapping[str, frozenset[str]]

Verdict = tuple[Cuts, Cuts]
"""What a stage allows, and what it is certain of."""


def judge(stages: Sequence[Mapping[str, Any]], seen: Seen) -> tuple[Cuts, Cuts, Seen]:
    """What a whole sequence allows and is certain of, and what becomes of white space in it.

    `seen` maps each white-space character to what the normalizer makes of runs that begin with it.
    """
    allowed, certain = ALL, NONE
    for stage in stages:
        one, other = _stage(stage, seen)
        allowed, certain = allowed & one, certain | other
        seen = {char: frozenset(_rewritten(stage, text) for text in texts) for char, texts in seen.items()}
    return allowed, certain, seen


BYTE_LEVEL = {" ": "Ġ", "\n": "Ċ", "\r": "č", "\t": "ĉ"}


def _rewritten(stage: Mapping[str, Any], text: str) -> str:
    """The white space as the next stage sees it."""
    if stage["type"] == "Metaspace":
        return text.replace(" ", stage["replacement"])
    return "".join([BYTE_LEVEL.get(c, c) for c in text]) if stage["type"] == "ByteLevel" else text


def _stage(stage: Mapping[str, Any], seen: Seen) -> Verdict:
    white = frozenset(char for char, texts in seen.items() if all(text.isspace() for text in texts))
    spaces = Cuts(white, white)
    match stage["type"]:
        case "ByteLevel":
            # ` ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`: no piece goes on from visible to white
            return (spaces | Cuts(word=True),) * 2 if stage.get("use_regex", True) else (ALL, NONE)
        case "WhitespaceSplit":
            return ALL, spaces | Cuts(line=white == WHITE)
        case "Whitespace" | "BertPreTokenizer":
            return ALL, spaces | Cuts(line=white == WHITE, word=True)
        case "Digits" | "Punctuation" | "CharDelimiterSplit":
            return ALL, NONE
        case "Metaspace" if stage.get("split", True):
            marks = (" ", stage["replacement"])
            space = frozenset(char for char, texts in seen.items() if all(text[:1] in marks for text in texts))
            return ALL, Cuts(space, space)
        case "Metaspace":
            return ALL, NONE
        case "Split":
            return _split(stage, spaces)
        case other:
            raise Unprovable(f"its pre-tokenizer {other} may join text across any place")


_DIGITS = frozenset(
    {r"\p{N}", r"\p{N}{1,3}", r"\d", r"\d{1,3}", "[0-9]", "[0-9][0-9][0-9]", r"\p{Nd}{1,3}", "[0-9]{1,3}"}
)
_CJK = frozenset({"[一-龥\u3040-ゟ゠-ヿ]+"})
_ANY_CASE = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])")
_CONTRACTIONS = frozenset(["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", *_ANY_CASE])
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TAILS = ("", *(f"{contraction}?" for contraction in _ANY_CASE))
_LETTERS = frozenset(
    [r" ?\p{L}+", r"\p{L}+", r"[\p{L}]+", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"[^\n\p{L}\p{N}]?\p{L}+", r" ?[\p{L}\p{M}]+",
     r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+", r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
     r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""]
    + [rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}{a}{_LOWER}{b}{tail}" for a, b in (("*", "+"), ("+", "*")) for tail in _TAILS]
)  # fmt: skip
_NUMBERS = frozenset([r" ?\p{N}+", r"\p{N}+", r"[\p{N}]", r"[\p{N}]+", *_DIGITS])
_SYMBOLS = frozenset([r" ?[^\s\p{L}\p{N}]+", r"[^\s\p{L}\p{N}]+", r" ?[^\s\p{L}\p{M}\p{N}]+"])
_SYMBOLS_AND_LINE_ENDS = frozenset(
    [r" ?[^\s\p{L}\p{N}]+[\r\n]*", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r" ?[\p{P}\p{S}]+[\r\n]*",
     r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"]
)  # fmt: skip
_RUNS_TO_LINE_END = r"\s*[\r\n]+"
_WHITE_RUNS = frozenset([_RUNS_TO_LINE_END, r"\s*\n[ \t]*", r"\s+(?!\S)", r"\s+"])
_PLAIN = _CONTRACTIONS | _LETTERS | _NUMBERS | _SYMBOLS | _WHITE_RUNS


def _split(stage: Mapping[str, Any], spaces: Cuts) -> Verdict:
    pattern = stage["pattern"]
    if "String" in pattern:
        if len(pattern["String"]) == 1:
            return ALL, NONE
        raise Unprovable("its pre-tokenizer splits at a string of several characters")
    regex: str = pattern["Regex"]
    if regex in _DIGITS or regex in _CJK:
        return ALL, NONE
    if regex in (r"\s+", r"\s") and stage["behavior"] in ("Removed", "Isolated"):
        return ALL, spaces
    alternatives = _alternatives(regex)
    kept = (stage["behavior"], stage["invert"]) in (("Isolated", False), ("Removed", True))
    if not kept or not set(alternatives) <= _PLAIN | _SYMBOLS_AND_LINE_ENDS:
        raise Unprovable("its pre-tokenizer's pattern is not one whose safe places are known")
    # every alternative matches white space only at its start, or nothing else, but for line ends after symbols;
    # none looks ahead past white space or behind itself: so the match goes on afresh from the cut
    covered = stage["invert"] or r"\s+" in alternatives
    if not covered or not _LETTERS & set(alternatives):
        raise Unprovable("its pre-tokenizer's pattern leaves text unmatched")
    pulled = bool(_SYMBOLS_AND_LINE_ENDS & set(alternatives))
    white = [alternative for alternative in alternatives if alternative in _WHITE_RUNS]
    line = white[0] == _RUNS_TO_LINE_END and r"\s*\n[ \t]*" not in white if white else False
    visible = spaces.visible - frozenset("\r\n") if pulled else spaces.visible
    cuts = Cuts(visible, spaces.visible, line, word=True)
    return cuts, cuts


def _alternatives(regex: str) -> list[str]:
    """The alternatives of a pattern at its top level."""
    parts, start, depth, index, in_class = [], 0, 0, 0, False
    while index < len(regex):
        char = regex[index]
        if char == "\\":
            index += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == "|" and not depth:
            parts.append(regex[start:index])
            start = index + 1
        else:
            depth += (char == "(") - (char == ")")
        index += 1
    return [*parts, regex[start:]]
