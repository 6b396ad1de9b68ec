"""Asks models for what nobody has read yet: nearest first, in batches, each text once, whoever wants it.

Every document and rule says what it wants, in order; saying it anew takes the old wish back, so that what has been
edited away is never read. The first batch of a wish is as urgent as diagnostics are, and so is what an edit adds to it;
all else waits behind everything that the engine has to do. A model is asked for one batch of each sort at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from inkling.api import Engine, InklingError, Label, Priority
from inkling_plugins.rules.judge import Reading
from inkling_plugins.rules.rule import Rule
from inkling_plugins.rules.store import Store

FIRST = 16
BATCH = 64
"""Texts of the first batch of a large wish, or of what an edit adds to it; and of the others."""
FLUSH_AFTER_S = 2.0

Owner = tuple[str, str]
"""A document and a rule."""


@dataclass(eq=False)
class Wish:
    """What one document wants read for one rule: key → text, nearest first. `error` ends it."""

    rule: Rule
    texts: dict[bytes, str]
    error: InklingError | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    urgent: dict[bytes, str] = field(default_factory=dict)
    """Those of `texts` that are to be asked for before anything else, and have not been yet."""
    begun: bool = False
    """Whether anything of it has been read: until then the model may still be loading."""
    told: bool = False
    """Whether somebody went without and is to be called when more is known."""


class Reader:
    """All that is to be read. `heard(owner, done)` is called when a wish that somebody went without has news."""

    def __init__(self, engine: Callable[[], Engine], store: Store, heard: Callable[[Owner, bool], None]) -> None:
        self._engine = engine
        self._store = store
        self._heard = heard
        self._wishes: dict[Owner, Wish] = {}
        self._pumps: dict[tuple[tuple[object, ...], bool], asyncio.Task[None]] = {}
        self._asked: set[bytes] = set()
        """What some model is being asked for."""
        self._flushing: asyncio.Task[None] | None = None

    async def read(self, owner: Owner, rule: Rule, texts: Mapping[bytes, str], patience_s: float) -> int:
        """Read `texts` (nearest first), at most so long from the first answer on; returns how many are left.

        Where those before them are still being read, what has come to them is waited for alone. All are read on behind,
        until the owner wants something else. Raises InklingError: the model cannot.
        """
        missing = {key: text for key, text in texts.items() if self._store.get(key) is None}
        if not missing:
            self.forget(owner)
            return 0
        replaced = self._wishes.get(owner)
        wish = self._wishes[owner] = Wish(rule, missing)
        if replaced is not None:
            replaced.changed.set()
            wish.begun = replaced.begun and replaced.rule == rule
        waiting = replaced.texts.keys() - replaced.urgent.keys() if replaced is not None and wish.begun else set()
        fresh = [key for key in missing if key not in waiting]
        wish.urgent = {key: missing[key] for key in (fresh if len(missing) <= BATCH else fresh[:FIRST])}
        # whoever types while a long text is being read is shown what that changed, not made to wait for the rest again
        awaited = dict(wish.urgent) if wish.begun and wish.urgent else missing
        self._pump(rule)
        await self._wait(owner, missing, lambda wish: wish.begun)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._wait(owner, awaited, lambda wish: False)
        left = sum(self._store.get(key) is None for key in missing)
        present = self._wishes.get(owner)
        if left and present is not None:
            present.told = True
        return left

    async def _wait(self, owner: Owner, missing: Mapping[bytes, str], enough: Callable[[Wish], bool]) -> None:
        """Until all that is missing has been read, or it is enough. Whoever asks for the same text waits together.

        Ends also when the document wants other texts by now. Raises InklingError: the model cannot.
        """
        while (wish := self._wishes.get(owner)) is not None and not enough(wish):
            if wish.error is not None:
                raise wish.error
            if not any(key in wish.texts for key in missing):
                return
            wish.changed.clear()
            await wish.changed.wait()
            if wish.error is not None:
                raise wish.error

    def forget(self, owner: Owner) -> None:
        """Nothing is wanted any more."""
        wish = self._wishes.pop(owner, None)
        if wish is not None:
            wish.changed.set()  # whoever waits for it looks up

    async def stop(self) -> None:
        """End all reading."""
        for owner in list(self._wishes):
            self.forget(owner)
        tasks = [*self._pumps.values(), *([self._flushing] if self._flushing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._store.close)

    def _pump(self, rule: Rule) -> None:
        for urgent in (True, False):
            running = self._pumps.get((rule.job, urgent))
            if running is None or running.done():
                self._pumps[rule.job, urgent] = asyncio.create_task(self._read_on(rule, urgent))

    async def _read_on(self, rule: Rule, urgent: bool) -> None:
        """Until nobody wants anything of this sort of this model."""
        while True:
            await asyncio.sleep(0)  # whoever else is about to want something is in the same batch
            batch = self._next(rule.job, urgent)
            if not batch:
                return
            self._asked |= batch.keys()
            priority = Priority.DIAGNOSTICS if urgent else Priority.BACKGROUND
            try:
                answers = await ask(self._engine(), rule, list(batch.values()), priority)
                answered = dict(zip(batch, answers, strict=True))
            except InklingError as error:
                self._fail(rule.job, error)
                return
            except Exception as error:  # whoever waits must hear of it, whatever it is; its words may hold text
                words = f"{rule.model_id} gave no answer that can be read ({type(error).__name__})."
                self._fail(rule.job, InklingError("bad-answer", words, "Try another model, or restart the engine."))
                return
            finally:
                self._asked -= batch.keys()
            for key, reading in answered.items():
                self._store.put(key, reading)
            self._tell(rule.job)
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.create_task(self._flush())

    def _of(self, job: tuple[object, ...]) -> list[tuple[Owner, Wish]]:
        """The wishes for one model, the newest first."""
        return [(owner, wish) for owner, wish in reversed(self._wishes.items()) if wish.rule.job == job]

    def _next(self, job: tuple[object, ...], urgent: bool) -> dict[bytes, str]:
        """What to ask for now: of urgent texts those of all wishes; of others, those that are nearest in each."""
        batch: dict[bytes, str] = {}
        for _, wish in self._of(job):
            wanted = wish.urgent if urgent else (key for key in wish.texts if key not in wish.urgent)
            free = (key for key in wanted if key in wish.texts and key not in self._asked)
            for key in list(islice(free, BATCH - len(batch))):
                batch[key] = wish.texts[key]
                wish.urgent.pop(key, None)
        return batch

    def _tell(self, job: tuple[object, ...]) -> None:
        for owner, wish in self._of(job):
            before = len(wish.texts)
            wish.texts = {key: text for key, text in wish.texts.items() if self._store.get(key) is None}
            if len(wish.texts) == before:
                continue
            wish.begun = True
            wish.changed.set()
            if not wish.texts:
                self.forget(owner)
            if wish.told:
                self._heard(owner, not wish.texts)

    def _fail(self, job: tuple[object, ...], error: InklingError) -> None:
        for owner, wish in self._of(job):
            wish.error = error
            self.forget(owner)
            if wish.told:
                self._heard(owner, True)

    async def _flush(self) -> None:
        while self._store.has_fresh:
            await asyncio.sleep(FLUSH_AFTER_S)
            await asyncio.to_thread(self._store.flush)


async def ask(engine: Engine, rule: Rule, texts: Sequence[str], priority: Priority) -> list[Reading]:
    """What the rule's model says of each text. Raises InklingError."""
    model = rule.model_id
    if rule.task == "token-classification":
        entities = await engine.classify_tokens(texts, model=model, priority=priority)
        return [tuple(found) for found in entities]
    labels: list[list[Label]]
    if rule.task == "zero-shot-classification":
        labels = await engine.zero_shot(
            texts,
            rule.candidates,
            model=model,
            template=rule.hypothesis,
            multi_label=rule.multi_label,
            priority=priority,
        )
    else:
        labels = await engine.classify(texts, model=model, priority=priority)
    return [tuple(found) for found in labels]
