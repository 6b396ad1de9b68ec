"""Why a text got its label: the words whose absence moves the score, each left out once, all in one batch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inkling.api import Engine, Priority
from inkling_plugins.rules.reader import ask
from inkling_plugins.rules.rule import Rule

MOST_WORDS = 96
"""Of a longer text the words in the middle are left in."""
_SHOWN = 8
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The label's score, and by how much each word raises it (lowers it: negative), the strongest first."""

    label: str
    score: float
    words: tuple[tuple[str, float], ...]

    def line(self) -> str:
        """In one line."""
        moved = [f"“{word}” {change:+.0%}" for word, change in self.words if round(abs(change), 2) > 0]
        return f"{self.label} {self.score:.0%}: " + (" · ".join(moved) if moved else "no single word decides it.")

    def markdown(self, rule: Rule) -> str:
        """As a table, with how it was made."""
        rows = "\n".join(f"| {_cell(word)} | {change:+.1%} |" for word, change in self.words)
        return (
            f"# {self.label}, {self.score:.1%}\n\n`{rule.model_id}`, by the rule `{rule.name}`.\n\n"
            f"| word | moved the score by |\n|---|---|\n{rows}\n\n"
            "Each word was left out once; the number is the score with it minus the score without it. "
            "Words that matter only together are not seen this way.\n"
        )


async def explain(engine: Engine, rule: Rule, label: str, text: str) -> Explanation:
    """Leave every word out once. Raises InklingError."""
    places = list(_WORD.finditer(text))
    if len(places) > MOST_WORDS:
        places = places[: MOST_WORDS // 2] + places[-MOST_WORDS // 2 :]
    texts = [text, *(f"{text[: place.start()]}{text[place.end() :]}".strip() or " " for place in places)]
    readings = await ask(engine, rule, texts, Priority.ACTION)
    scores = [max((item.score for item in reading if item.label == label), default=0.0) for reading in readings]
    moved = [(place.group(), scores[0] - score) for place, score in zip(places, scores[1:], strict=True)]
    moved.sort(key=lambda item: -abs(item[1]))
    return Explanation(label, scores[0], tuple(moved[:_SHOWN]))


def _cell(word: str) -> str:
    return word.replace("|", "\\|")
