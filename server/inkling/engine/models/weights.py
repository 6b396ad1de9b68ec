"""Which weights a model's id stands for just now, as a short string: what models said is kept by it.

An id may mean other weights tomorrow: a folder is trained anew, a branch is pulled, a starter comes with a new release.
Light: files are looked at (names, sizes, times), none is read but configurations.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path

from inkling.engine.models.catalog import resolve
from inkling.engine.models.model_source import ModelSource
from inkling.errors import InklingError

FRESH_S = 2.0
"""How long an answer is taken for granted: a burst of edits looks at the disk once."""
_LETTERS = 32


def weights_of(model_id: str, *, root: Path | None = None) -> str:
    """A digest that changes when the model's weights, labels or tokenizer do; empty for a model that is not here.

    Starters count by their seal, the hub's models by the commit, folders by the sizes and times of their files.
    Blocking.
    """
    try:
        source = resolve(model_id, root=root)
        encoder = source.config.get("encoder") if source.is_adapter else None
        # a head's answers are its encoder's too
        marks = [_marks(source), _marks(resolve(encoder)) if isinstance(encoder, str) else []]
    except (InklingError, OSError):
        return ""
    return hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest()[:_LETTERS]


def _marks(source: ModelSource) -> list[object]:
    """What tells these weights from others."""
    if source.sha256:
        return [source.origin, dict(source.sha256)]
    if source.origin == "hub":
        return [source.origin, source.path.parents[1].name, source.path.name]
    files = sorted([*source.weights, *source.path.glob("*.json")])
    facts = [(path.name, path.stat()) for path in dict.fromkeys(files)]
    return [source.origin, [(name, fact.st_size, fact.st_mtime_ns) for name, fact in facts]]


class Weights:
    """`weights_of` for an event loop: looked at in a thread, once for all who ask within `FRESH_S`."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, asyncio.Future[str]]] = {}

    async def of(self, model_id: str) -> str:
        """The digest, at most `FRESH_S` old."""
        now = time.monotonic()
        asked, answer = self._known.get(model_id, (0.0, None))
        if answer is None or (answer.done() and now - asked > FRESH_S):
            self._known = {name: known for name, known in self._known.items() if now - known[0] <= FRESH_S}
            answer = asyncio.ensure_future(asyncio.to_thread(weights_of, model_id))
            self._known[model_id] = (now, answer)
        return answer.result() if answer.done() else await asyncio.shield(answer)
