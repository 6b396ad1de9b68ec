"""Hover over a word to see how long it is."""

from dataclasses import dataclass

from inkling.api import Hover, Plugin, Position, Snapshot, hover


class WordLength(Plugin):
    """The smallest useful plugin: one setting, one surface."""

    name = "word_length"

    @dataclass(frozen=True)
    class Settings:
        """The table `[word_length]` of inkling.toml."""

        unit: str = "characters"
        """What the hover counts in."""

    @hover
    async def length(self, snapshot: Snapshot, position: Position) -> Hover | None:
        """The length of the word under the cursor."""
        word = snapshot.word_at(position)
        return Hover(f"{len(snapshot.text_in(word))} {self.settings.unit}", word) if word else None
