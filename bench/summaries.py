"""Key sentences beside the first three sentences: the share of sentences marked by a reader that are among three.

The passages were marked before anything was measured; see `models/data/summary.md`, also for why the three longest
sentences stand beside ours as a second peer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.row import Row, row
from inkling.engine.backend import Stop
from inkling.engine.models.store import create_backend
from inkling.engine.protocol import Task

DATA = Path(__file__).parents[1] / "models" / "data"
COUNT = 3


def rows(quick: bool = False) -> list[Row]:
    """One row per peer; a quick run is as long as any."""
    ours = share(chosen())
    return [
        row(f"starters/summary beside the {peer}", ours, "share", better="more", peer=peer, peer_value=share(other))
        for peer, other in (("first three sentences", _first), ("longest three sentences", _longest))
    ]


def share(choose: Callable[[dict[str, Any]], set[int]], part: str = "heldout") -> float:
    """How much of what a reader marked is among the chosen sentences."""
    lines = (DATA / f"summary.{part}.jsonl").read_text("utf-8").splitlines()
    passages = [json.loads(line) for line in lines]
    found = sum(len(choose(passage) & set(passage["key"])) for passage in passages)
    return found / sum(len(passage["key"]) for passage in passages)


def chosen() -> Callable[[dict[str, Any]], set[int]]:
    """The indices of the sentences that the shipped model chooses of a passage under its title."""
    backend = create_backend(device="cpu")
    model = backend.load("starter:summary", Task.SUMMARIZATION, quantization="auto", on_progress=lambda fraction: None)

    def choose(passage: dict[str, Any]) -> set[int]:
        text = f"# {passage['title']}\n\n"
        starts = []
        for sentence in passage["sentences"]:
            starts.append(len(text))
            text += sentence + " "
        (result,) = model.run([text], {"max_sentences": COUNT}, Stop())
        return {starts.index(start) for start, _ in result["spans"]}

    return choose


def _first(passage: dict[str, Any]) -> set[int]:
    return set(range(min(COUNT, len(passage["sentences"]))))


def _longest(passage: dict[str, Any]) -> set[int]:
    sentences = passage["sentences"]
    return set(sorted(range(len(sentences)), key=lambda index: -len(sentences[index]))[:COUNT])
