"""Token counts for plugins: tokenizers loaded on first need, everything longer than a moment off the event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from inkling.errors import InklingError
from inkling.text.counting import BATCH, Counter, Unsplittable
from inkling.text.rope import Rope
from inkling.text.snapshot import Snapshot
from inkling.text.token_span import TokenSpan

INLINE_TEXT = 1024
"""Code points of a bare text above which counting it leaves the event loop."""
_NO_LIMIT = 10**9
"""Tokenizer files write a huge `model_max_length` when they mean none."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TokenCount:
    """An exact count, and how it was come by.

    `incremental` is False when the whole document had to be counted because it cannot be split safely under this
    tokenizer; `reason` then says why.
    """

    tokens: int
    incremental: bool = True
    reason: str = ""


class TokenService:
    """`inkling.api.Tokens`. `resolve` maps a model id to the folder of its tokenizer.json; it may read the disk.

    Tokenizers load and long texts are counted on one worker thread; a count that is no longer awaited stops within a
    tenth of a second, and what it counted stays for the next. All methods raise `InklingError` when the model has no
    usable tokenizer.
    """

    def __init__(self, resolve: Callable[[str], Path]) -> None:
        self._resolve = resolve
        self._counters: dict[str, asyncio.Future[Counter]] = {}
        self._windows: dict[str, int | None] = {}
        self._whole: WeakKeyDictionary[Snapshot, dict[str, TokenCount]] = WeakKeyDictionary()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inkling-tokens")
        self._closed = threading.Event()

    async def count(self, snapshot: Snapshot, model: str) -> int:
        """Tokens of the whole document, exact, without special tokens of a template."""
        return (await self.measure(snapshot, model)).tokens

    async def measure(self, snapshot: Snapshot, model: str) -> TokenCount:
        """`count`, with how it was come by."""
        counter = await self._counter(model)
        known = self._whole.get(snapshot, {}).get(model)
        if known is not None:
            return known
        reason = counter.boundaries.reason
        if not reason:
            try:
                return TokenCount(await self._count_rope(counter, snapshot.rope))
            except Unsplittable:
                reason = "the text has a stretch with no place to split it safely"
        text = snapshot.text
        total = counter.count(text) if len(text) <= INLINE_TEXT else await self._work(lambda _: counter.count(text))
        count = TokenCount(total, incremental=False, reason=reason)
        self._whole.setdefault(snapshot, {})[model] = count
        return count

    async def count_text(self, text: str, model: str) -> int:
        """Tokens of a text by itself, without special tokens of a template."""
        counter = await self._counter(model)
        if len(text) <= INLINE_TEXT:
            return counter.count(text)
        if counter.boundaries.reason:
            return await self._work(lambda _: counter.count(text))
        try:
            return await self._count_rope(counter, await self._work(lambda _: Rope.of(text)))
        except Unsplittable:
            return await self._work(lambda _: counter.count(text))

    async def count_part(self, snapshot: Snapshot, start: int, end: int, model: str) -> int:
        """Tokens of the text between two offsets by itself: of a long one, only its ends are counted anew."""
        counter = await self._counter(model)
        if end - start > INLINE_TEXT and not counter.boundaries.reason:
            try:
                return await self._count_rope(counter, snapshot.rope.part(start, end))
            except Unsplittable:
                return await self._work(lambda _: counter.count(snapshot.slice(start, end)))
        return await self.count_text(snapshot.slice(start, end), model)

    async def at(self, snapshot: Snapshot, offset: int, model: str) -> TokenSpan | None:
        """The token that covers the character at `offset`."""
        counter = await self._counter(model)
        rope = snapshot.rope
        if counter.boundaries.reason and len(rope) > INLINE_TEXT:
            return await self._work(lambda _: counter.token_at(rope, offset))
        return counter.token_at(rope, offset)

    async def spans(self, snapshot: Snapshot, start: int, end: int, model: str) -> list[TokenSpan]:
        """The tokens that have a character between two offsets, in order; the cost follows the stretch."""
        counter = await self._counter(model)
        rope = snapshot.rope
        if end - start > INLINE_TEXT or (counter.boundaries.reason and len(rope) > INLINE_TEXT):
            return await self._work(lambda _: counter.tokens_in(rope, start, end))
        return counter.tokens_in(rope, start, end)

    async def context_window(self, model: str) -> int | None:
        """How many tokens the model reads: the least that its configuration and its tokenizer's allow."""
        if model not in self._windows:
            self._windows[model] = await self._work(lambda _: _context_window(self._resolve(model)))
        return self._windows[model]

    def close(self) -> None:
        """Stop the worker; counts under way end unfinished."""
        self._closed.set()
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def _counter(self, model: str) -> Counter:
        loading = self._counters.get(model)
        if loading is None:
            loading = self._counters[model] = asyncio.ensure_future(self._load(model))
        try:
            return await asyncio.shield(loading)
        finally:
            failed = loading.done() and (loading.cancelled() or loading.exception() is not None)
            if failed and self._counters.get(model) is loading:
                # the next call looks again: the user may have mended the files
                del self._counters[model]

    async def _load(self, model: str) -> Counter:
        return await self._work(lambda _: _load_counter(model, self._resolve(model)))

    async def _count_rope(self, counter: Counter, rope: Rope) -> int:
        if counter.is_cheap(rope):
            return counter.count_rope(rope)
        return await self._work(lambda stopped: _count_cold(counter, rope, stopped))

    async def _work(self, job: Callable[[Callable[[], bool]], Result]) -> Result:
        """Run a job on the worker; it is given a function that tells whether to stop."""
        cancelled = threading.Event()

        def stopped() -> bool:
            return cancelled.is_set() or self._closed.is_set()

        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, job, stopped)
        except asyncio.CancelledError:
            cancelled.set()
            raise


class Stopped(Exception):
    """Nobody awaits the count any more."""


def _count_cold(counter: Counter, rope: Rope, stopped: Callable[[], bool]) -> int:
    cold = counter.cold_leaves(rope)
    while batch := list(islice(cold, BATCH)):
        if stopped():
            raise Stopped
        counter.warm(batch)
    return counter.count_rope(rope)


def _load_counter(model: str, folder: Path) -> Counter:
    path = folder / "tokenizer.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InklingError(
            "tokenizer-missing",
            f"Model {model} has no tokenizer.json in {folder}.",
            "Download the model again, or choose one with a fast tokenizer.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InklingError(
            "tokenizer-unreadable", f"The tokenizer of {model} ({path}) cannot be read: {error.__class__.__name__}."
        ) from error
    try:
        return Counter(text)
    except Exception as error:  # the tokenizers library raises plain Exception for every malformed file
        raise InklingError(
            "tokenizer-corrupt",
            f"The tokenizer of {model} ({path}) is damaged or of an unknown kind.",
            "Download the model again.",
        ) from error


def _context_window(folder: Path) -> int | None:
    config, tokenizer = _read(folder / "config.json"), _read(folder / "tokenizer_config.json")
    text_config = config.get("text_config")
    inner: dict[str, Any] = text_config if isinstance(text_config, dict) else {}
    keys = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_sequence_length")
    found = [table.get(key) for table in (config, inner) for key in keys] + [tokenizer.get("model_max_length")]
    sizes = [int(size) for size in found if isinstance(size, int | float) and 0 < size < _NO_LIMIT]
    return min(sizes, default=None)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
