"""Why a text got its label: the words whose absence moves the score.

Every word is left out once, all in one batch. Where several words say the same, none of them moves the score by itself:
so the word that moves it most stays out, every other one is left out besides, and so on, until another label is ahead.
What a reader wants to know is what would have to go.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inkling.api import Engine, Priority
from inkling_plugins.rules.judge import Reading
from inkling_plugins.rules.reader import ask
from inkling_plugins.rules.rule import Rule

MOST_WORDS = 96
"""Of a longer text the words in the middle are left in."""
ROUNDS, CANDIDATES = 6, 24
"""Words left out together at most, and words tried after the first round."""
_SHOWN = 8
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The label's score; by how much each word raises it (lowers it: negative), the strongest first.

    `needed` are the fewest of those words without which the label is not ahead any more, and `instead` what then is;
    both are empty when leaving out all of them changes nothing.
    """

    label: str
    score: float
    words: tuple[tuple[str, float], ...]
    needed: tuple[str, ...] = ()
    instead: str = ""

    def line(self) -> str:
        """In one line."""
        if self.needed:
            words = " and ".join(f"“{word}”" for word in self.needed)
            return f"{self.label} {self.score:.0%}: without {words} it would be {self.instead}."
        moved = [f"“{word}” {change:+.0%}" for word, change in self.words if round(abs(change), 2) > 0]
        return f"{self.label} {self.score:.0%}: " + (" · ".join(moved) if moved else "no few words decide it.")

    def markdown(self, rule: Rule) -> str:
        """As a table, with how it was made."""
        rows = "\n".join(f"| {_cell(word)} | {_signed(change)} |" for word, change in self.words)
        return (
            f"# {self.label}, {self.score:.1%}\n\n`{rule.model_id}`, by the rule `{rule.name}`.\n\n{self.line()}\n\n"
            f"| word | moved the score by |\n|---|---|\n{rows}\n\n"
            "Each word was left out once; the number is the score with it minus the score without it.\n"
        )


async def explain(engine: Engine, rule: Rule, label: str, text: str) -> Explanation:
    """Leave out one word more each round, the one that lowers the odds most. Raises InklingError."""
    places = list(_WORD.finditer(text))
    if len(places) > MOST_WORDS:
        places = places[: MOST_WORDS // 2] + places[-MOST_WORDS // 2 :]
    (whole,) = await ask(engine, rule, [text], Priority.ACTION)
    score = _score(whole, label)
    words: tuple[tuple[str, float], ...] = ()
    gone: list[re.Match[str]] = []
    for number in range(ROUNDS):
        left = [place for place in places if place not in gone]
        if not left:
            break
        readings = await ask(engine, rule, [_without(text, [*gone, place]) for place in left], Priority.ACTION)
        tried = sorted(zip(left, readings, strict=True), key=lambda item: _score(item[1], label))
        if number == 0:
            moved = [(place.group(), score - _score(reading, label)) for place, reading in tried]
            words = tuple(sorted(moved, key=lambda item: -abs(item[1]))[:_SHOWN])
            places = [place for place, _ in tried[:CANDIDATES]]
        place, reading = tried[0]
        gone.append(place)
        ahead = reading[0] if reading else None
        if ahead is None or ahead.label != label:
            needed = tuple(place.group() for place in sorted(gone, key=lambda place: place.start()))
            instead = f"{ahead.label} ({ahead.score:.0%})" if ahead else "nothing"
            return Explanation(label, score, words, needed, instead)
    return Explanation(label, score, words)


def _without(text: str, places: Sequence[re.Match[str]]) -> str:
    for place in sorted(places, key=lambda place: -place.start()):
        text = text[: place.start()] + text[place.end() :]
    return text.strip() or " "


def _score(reading: Reading, label: str) -> float:
    return max((item.score for item in reading if item.label == label), default=0.0)


def _signed(change: float) -> str:
    """A change of a probability; nothing has no sign."""
    words = f"{change:+.1%}"
    return "0.0%" if words[1:] == "0.0%" else words


def _cell(word: str) -> str:
    return word.replace("|", "\\|")
