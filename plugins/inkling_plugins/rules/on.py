"""Which text a rule reads: the words of its `on`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from inkling.api import SegmentKind
from inkling_plugins.comments import known_languages

PROSE = (
    SegmentKind.COMMENT,
    SegmentKind.DOCSTRING,
    SegmentKind.PARAGRAPH,
    SegmentKind.LIST_ITEM,
    SegmentKind.COMMIT_MESSAGE,
)
Special = Literal["", "file", "selection"]
_KINDS: dict[str, tuple[SegmentKind, ...]] = {
    "prose": PROSE,
    "sentence": PROSE,
    **{kind.value: (kind,) for kind in SegmentKind if kind is not SegmentKind.SENTENCE},
}


@dataclass(frozen=True, slots=True)
class Place:
    """One of the texts that a rule reads: kinds of segments or a query, in one language or (empty) in all."""

    language: str = ""
    kinds: tuple[SegmentKind, ...] = ()
    query: str = ""
    special: Special = ""

    def serves(self, language: str) -> bool:
        """Whether it may be found in a document of this language."""
        return self.language in ("", language)


@dataclass(frozen=True, slots=True)
class On:
    """All of a rule's texts; `globs` narrow the files, a later `!glob` takes some away."""

    places: tuple[Place, ...]
    globs: tuple[str, ...] = ()

    def of(self, language: str) -> list[Place]:
        """The places to look at in a document of this language."""
        return [place for place in self.places if place.serves(language)]

    def whole_kinds(self, language: str) -> bool:
        """Whether only kinds of segments are read in such a document: no query, no file."""
        return not any(place.query or place.special for place in self.of(language))

    @property
    def selection_only(self) -> bool:
        """Whether only what the user selects is read."""
        return all(place.special == "selection" for place in self.places)


def parse_on(words: Iterable[str]) -> On:
    """The words in parts; raises ValueError, whose words follow "on"."""
    places: list[Place] = []
    globs: list[str] = []
    for word in words:
        if word.lstrip().startswith("("):
            places.append(Place(query=word))
        elif ":" in word and word.partition(":")[2].lstrip().startswith("("):
            language, _, query = word.partition(":")
            places.append(Place(language.strip().lower(), query=query))
        elif any(mark in word for mark in "*/?!["):
            globs.append(word)
        else:
            places.append(_place(word))
    if globs and all(glob.startswith("!") for glob in globs):
        globs.insert(0, "**")
    return On(tuple(places) or (Place(kinds=PROSE),), tuple(globs))


def _place(word: str) -> Place:
    language, colon, kind = word.strip().lower().rpartition(":")
    found = _text(kind)
    if found is not None:
        return Place(language, *found)
    if not colon and kind in known_languages():
        return Place(kind, PROSE)
    choices = [*_plural_names(), *known_languages()]
    close = difflib.get_close_matches(kind, choices, n=1, cutoff=0.6)
    hint = f' Did you mean "{close[0]}"?' if close else " Of a language that is not known, write language:kind."
    raise ValueError(f'names "{word[:60]}", which is neither a kind of text nor a language.{hint}')


def _text(kind: str) -> tuple[tuple[SegmentKind, ...], str, Special] | None:
    name = kind.replace("-", "_").replace(" ", "_")
    if name in ("file", "selection"):
        return (), "", "file" if name == "file" else "selection"
    for form in (name, name.removesuffix("s"), name.removesuffix("es")):
        if form in _KINDS:
            return _KINDS[form], "", ""
    return None


def _plural_names() -> list[str]:
    names = [name + ("es" if name.endswith("s") else "s") for name in _KINDS if name != "prose"]
    return ["prose", "file", "selection", *names]
