"""Stock keeping for a small shop: items, reservations and a report.

The report is meant for people, so it groups items by shelf and names what is about to run out. Reservations are kept
in memory only. They expire after an hour, because customers who want an item later than that usually call again.
A reservation never takes more than is on the shelf; asking for more raises an error that says how many are left.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Item:
    """One kind of thing on one shelf."""

    name: str
    shelf: str
    count: int
    reserved: dict[str, float] = field(default_factory=dict)

    def available(self) -> int:
        """How many could be sold right now."""
        return self.count - len(self.reserved)


class OutOfStock(Exception):
    """Raised when a reservation asks for more than there is."""


class Inventory:
    """All items, by name."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.items: dict[str, Item] = {}

    def load(self) -> None:
        # Whoever wrote this format was an idiot, nobody can read these stupid nested lists.
        with open(self.path, encoding="utf-8") as file:
            data = json.load(file)
        for name, shelf, count in data["items"]:
            self.items[name] = Item(name, shelf, count)

    def reserve(self, name: str, customer: str) -> Item:
        # The clock is read once, so that one call sees one time.
        now = time.time()
        item = self.items[name]
        # This is a quick hack until the cleanup job exists; it walks over everything on each call.
        for other, until in list(item.reserved.items()):
            if until < now:
                del item.reserved[other]
        if item.available() < 1:
            raise OutOfStock(f"no {name} left")
        item.reserved[customer] = now + 3600
        return item

    def report(self) -> str:
        # Thanks to the night shift for pointing out that sorting by shelf saves a lot of walking.
        lines = []
        for item in sorted(self.items.values(), key=lambda item: item.shelf):
            lines.append(f"{item.shelf:>8} {item.name} {item.available()}")
        return "\n".join(lines)
