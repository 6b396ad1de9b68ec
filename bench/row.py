"""One figure: ours, the peer's, and their ratio."""

from __future__ import annotations

from typing import TypedDict


class Row(TypedDict):
    """`ratio` is ours over the peer's; `better` says whether `more` or `less` of the value is good."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None
    better: str


def row(name: str, value: float, unit: str, *, better: str, peer: str = "", peer_value: float | None = None) -> Row:
    """A row named `area/what …`; the ratio follows from the two values."""
    ratio = value / peer_value if peer_value else None
    return Row(name=name, value=value, unit=unit, peer=peer, peer_value=peer_value, ratio=ratio, better=better)
