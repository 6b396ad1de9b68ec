"""Order, merging, fairness, single-flight loading, memory budget: the scheduler with a scripted model side."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.engine.backend import Stop
from inkling.engine.events import EventHub
from inkling.engine.fake_backend import FakeBackend, FakeModel
from inkling.engine.jobs import SLICE_CHARACTERS, SLICE_ITEMS, BatchJob, Busy, JobQueue
from inkling.engine.protocol import Chunk, GenerateRequest, Priority, Task
from inkling.engine.scheduler import Scheduler
from inkling.engine.settings import EngineSettings
from inkling.errors import InklingError

from .serving import until

CLASSIFY = Task.TEXT_CLASSIFICATION
MIB = 1024 * 1024


@dataclass
class Parts:
    scheduler: Scheduler
    backend: FakeBackend
    hub: EventHub

    @property
    def model(self) -> FakeModel:
        return self.backend.models[0]

    async def text(self, request: GenerateRequest, client: str = "") -> str:
        return "".join([chunk.text for chunk in await self.chunks(request, client)])

    async def chunks(self, request: GenerateRequest, client: str = "") -> list[Chunk]:
        async with aclosing(self.scheduler.generate(request, client=client)) as chunks:
            return [chunk async for chunk in chunks]

    async def classify(self, *texts: str, model: str = "fake", **options: Any) -> list[Any]:
        return await self.scheduler.run(CLASSIFY, model, texts, {}, **options)


@asynccontextmanager
async def parts(engine: EngineSettings | None = None) -> AsyncGenerator[Parts, None]:
    backend, hub = FakeBackend(), EventHub()
    scheduler = Scheduler(lambda: backend, engine or EngineSettings(), hub)
    try:
        yield Parts(scheduler, backend, hub)
    finally:
        await scheduler.close()


def request(model: str = "fake", *, key: str = "", tokens: int = 5, **options: Any) -> GenerateRequest:
    return GenerateRequest(model, "prompt", max_tokens=tokens, cache_key=key, **options)


# The queue by itself


def job(priority: int, client: str, size: int = 1, parameters: Any = None) -> BatchJob:
    return BatchJob(["x"] * size, parameters or {}, priority=Priority(priority), client=client, stop=Stop())


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_the_best_job_is_the_most_urgent_of_the_least_served_client(waiting: list[tuple[int, str]], data: Any) -> None:
    async def check() -> None:
        queue = JobQueue(1000)
        jobs = [job(*each) for each in waiting]
        for each in jobs:
            queue.push(each)
        used = {client: data.draw(st.floats(0, 5)) for client in "abc"}
        for client, seconds in used.items():
            queue.charge(client, seconds)
        expected = sorted(jobs, key=lambda each: (each.priority, used[each.client], each.arrival))
        taken = []
        while (best := queue.best()) is not None:
            taken.append(best)
            queue.discard(best)
            if len(queue):  # an empty queue forgets who used what
                assert queue.more_urgent(best) is any(other.priority < best.priority for other in queue)
        assert taken == expected

    asyncio.run(check())


async def test_one_client_fills_its_share_and_no_more() -> None:
    queue = JobQueue(limit=8)
    for _ in range(2):
        queue.push(job(2, "greedy"))
    with pytest.raises(Busy, match="busy: 2 requests"):
        queue.push(job(2, "greedy"))
    for n in range(6):
        queue.push(job(2, f"other {n}"))
    with pytest.raises(Busy, match="busy: 8 requests") as caught:
        queue.push(job(0, "new"), seconds_per_job=2.0)
    assert caught.value.retry_after_s == 4


async def test_a_client_that_was_away_gets_no_right_to_a_long_run() -> None:
    queue = JobQueue(1000)
    queue.push(job(2, "steady"))
    queue.charge("steady", 100.0)
    queue.push(job(2, "returning"))
    queue.charge("returning", 0.001)
    best = queue.best()
    assert best is not None
    assert best.client == "steady"


@given(st.lists(st.lists(st.integers(0, 9000), min_size=1, max_size=60), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_slices_are_bounded_and_together_compute_every_input_once(lengths: list[list[int]]) -> None:
    async def check() -> None:
        queue = JobQueue(1000)
        jobs = []
        for each in lengths:
            inputs = ["x" * length for length in each]
            jobs.append(BatchJob(inputs, {"top_k": 1}, priority=Priority.DIAGNOSTICS, client="c", stop=Stop()))
            queue.push(jobs[-1])
        queue.push(job(2, "c", parameters={"top_k": 2}))
        seen: list[tuple[int, int]] = []
        for first in jobs:
            while first.pending:
                chosen = queue.next_slice(first)
                sizes = [each.lengths[index] for each, index in chosen]
                assert 0 < len(chosen) <= SLICE_ITEMS
                assert len(chosen) == 1 or max(sizes) * len(sizes) <= SLICE_CHARACTERS
                assert all(each.merge_key == first.merge_key for each, _ in chosen)
                seen += [(jobs.index(each), index) for each, index in chosen]
        assert sorted(seen) == [(n, index) for n, each in enumerate(lengths) for index in range(len(each))]

    asyncio.run(check())


# Order on one model


async def test_an_urgent_request_preempts_a_long_generation_between_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkling.engine.worker._TURN_S", 60.0)
    async with parts() as engine:
        model = "fake?token_s=0.005"
        slow = asyncio.create_task(engine.text(request(model, key="slow", tokens=60, priority=Priority.ACTION)))
        await until(lambda: engine.backend.models and len(engine.model.order) > 3)
        quick = await engine.text(request(model, key="quick", tokens=3, priority=Priority.COMPLETION))
        assert quick == "w0 w1 w2 "
        assert not slow.done()
        assert (await slow).split() == [f"w{n}" for n in range(60)]
        where = [index for index, key in enumerate(engine.model.order) if key == "quick"]
        assert where == list(range(where[0], where[0] + 3))


async def test_priorities_decide_not_arrival() -> None:
    async with parts() as engine:
        model = "fake?item_s=0.03"
        await engine.classify("warm", model=model)
        running = [asyncio.create_task(engine.classify("first", model=model, priority=Priority.ACTION))]
        await until(lambda: engine.scheduler.active == 1)
        for priority in (Priority.BACKGROUND, Priority.DIAGNOSTICS, Priority.COMPLETION):
            text = priority.name
            # Different parameters, so that they are not merged into one slice.
            run = engine.scheduler.run(CLASSIFY, model, [text], {"top_k": int(priority) + 1}, priority=priority)
            running.append(asyncio.create_task(run))
        await asyncio.gather(*running)
        assert engine.model.order == ["warm", "first", "COMPLETION", "DIAGNOSTICS", "BACKGROUND"]


async def test_two_clients_share_a_model() -> None:
    """One sends fifty requests, then another sends one: it does not wait for the fifty."""
    async with parts(EngineSettings(queue_limit=1000)) as engine:
        model = "fake?item_s=0.004"
        await engine.classify("warm", model=model)

        def ask(text: str, client: str, key: int) -> asyncio.Task[Any]:
            return asyncio.create_task(engine.scheduler.run(CLASSIFY, model, [text], {"top_k": key}, client=client))

        many = [ask(f"many {n}", "a", n + 1) for n in range(50)]
        await until(lambda: len(engine.model.order) > 3)
        await ask("one", "b", 1)
        assert engine.model.order.index("one") < 25
        await asyncio.gather(*many)


async def test_generations_of_two_clients_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkling.engine.worker._TURN_S", 0.01)
    async with parts() as engine:
        model = "fake?token_s=0.002"
        both = [asyncio.create_task(engine.text(request(model, key=key, tokens=40), key)) for key in "ab"]
        assert [len(text.split()) for text in await asyncio.gather(*both)] == [40, 40]
        order = engine.model.order
        turns = sum(before != after for before, after in itertools.pairwise(order))
        assert turns >= 3


async def test_a_model_gives_way_while_another_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkling.engine.worker._GIVE_WAY_S", 30.0)
    async with parts() as engine:
        batch, typing = "batch?item_s=0.002", "typing?token_s=0.01"
        await engine.classify("warm", model=batch)
        await engine.text(request(typing, tokens=1))
        runs = [
            engine.scheduler.run(CLASSIFY, batch, [f"{n}"], {"top_k": n + 1}, priority=Priority.BACKGROUND)
            for n in range(60)
        ]
        background = asyncio.gather(*(asyncio.ensure_future(run) for run in runs))
        await until(lambda: len(engine.model.order) > 2)
        wanted = request(typing, tokens=20, priority=Priority.COMPLETION)
        async with aclosing(engine.scheduler.generate(wanted)) as chunks:
            await anext(chunks)
            before = len(engine.model.order)
            assert len([chunk async for chunk in chunks]) == 19
            assert len(engine.model.order) <= before + 1  # the step that was under way
        await background
        assert len(engine.model.order) == 61


# Merging


async def test_waiting_requests_are_merged_and_get_their_own_results() -> None:
    async with parts() as engine:
        model = "fake?item_s=0.02"
        first = asyncio.create_task(engine.classify("x", model=model))
        await until(lambda: engine.backend.models and engine.model.batches)
        texts = ["bad 1", "good 2", "bad 3", "good 4"]
        others = [asyncio.create_task(engine.classify(text, model=model, client=text)) for text in texts]
        replies = await asyncio.gather(first, *others)
        assert [reply[0][0]["label"] for reply in replies[1:]] == ["bad", "good", "bad", "good"]
        assert engine.model.batches == [1, 4]


async def test_a_large_request_is_cut_by_length_and_keeps_its_order() -> None:
    async with parts() as engine:
        texts = [("bad " if n % 3 else "fine ") + "x" * (n % 50) * 20 for n in range(100)]
        reply = await engine.classify(*texts)
        assert [item[0]["label"] for item in reply] == ["bad" if n % 3 else "good" for n in range(100)]
        assert max(engine.model.batches) <= SLICE_ITEMS
        lengths = [len(text) for text in engine.model.order]
        assert lengths == sorted(lengths, reverse=True)


async def test_one_bad_input_fails_its_own_request_alone() -> None:
    async with parts() as engine:
        model = "fake?item_s=0.02&poison=poison&run_fault=bad-input"
        first = asyncio.create_task(engine.classify("x", model=model))
        await until(lambda: engine.backend.models and engine.model.batches)
        texts = ["bad 1", "poison", "bad 3"]
        tasks = [asyncio.create_task(engine.classify(text, model=model, client=text)) for text in texts]
        good, poisoned, other = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(poisoned, InklingError)
        assert poisoned.reason == "bad-input"
        assert good[0][0]["label"] == other[0][0]["label"] == "bad"
        await first


# Stopping, latest wins, deadlines


async def test_a_model_that_ignores_its_stop_flag_is_stopped_between_tokens() -> None:
    async with parts() as engine:
        wanted = request("fake?token_s=0.005&deaf=1", tokens=300)
        async with aclosing(engine.scheduler.generate(wanted)) as chunks:
            await anext(chunks)
        await engine.text(request("fake?token_s=0.005&deaf=1", key="next", tokens=1))
        assert len(engine.model.order) < 20


async def test_a_newer_completion_supersedes_the_older_one_of_the_same_place() -> None:
    async with parts() as engine:
        model = "fake?token_s=0.005"

        def ask(key: str, client: str, priority: Priority = Priority.COMPLETION) -> asyncio.Task[str]:
            wanted = request(model, key=key, tokens=30, priority=priority)
            return asyncio.create_task(engine.text(wanted, client))

        old = ask("doc", "a")
        bystanders = [ask("doc", "b"), ask("other", "a"), ask("doc", "a", Priority.ACTION), ask("", "a")]
        await until(lambda: engine.backend.models and len(engine.model.order) > 3)
        new = ask("doc", "a")
        with pytest.raises(InklingError) as caught:
            await old
        assert caught.value.reason == "superseded"
        for each in (new, *bystanders):
            assert len((await each).split()) == 30
        assert engine.scheduler.status().cancelled_requests == 1


async def test_completions_that_wait_for_a_load_are_superseded_too() -> None:
    async with parts() as engine:
        wanted = request("fake?load_s=0.1", key="doc", tokens=3, priority=Priority.COMPLETION)
        asked = []
        for _ in range(5):
            asked.append(asyncio.create_task(engine.text(wanted)))
            await asyncio.sleep(0)
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert [getattr(reply, "reason", reply) for reply in replies] == ["superseded"] * 4 + ["w0 w1 w2 "]
        assert len(engine.model.order) == 3


async def test_a_generation_ends_at_its_deadline() -> None:
    async with parts() as engine:
        chunks = await engine.chunks(request("fake?token_s=0.01", tokens=10_000, deadline_s=0.15))
        assert chunks[-1].finish == "deadline"
        assert 1 < len(chunks) < 1000


async def test_a_deadline_that_passes_while_loading_or_waiting() -> None:
    async with parts() as engine:
        chunks = await engine.chunks(request("fake?load_s=2", deadline_s=0.05))
        assert [(chunk.finish, chunk.notices) for chunk in chunks] == [("deadline", ("model-loading",))]
        with pytest.raises(InklingError) as caught:
            await engine.classify("x", model="fake?item_s=0.9", deadline_s=0.05)
        assert caught.value.reason == "timeout"


# Loading and unloading


async def test_a_model_is_loaded_once_however_many_ask() -> None:
    async with parts() as engine:
        replies = await asyncio.gather(*(engine.classify(f"bad {n}", model="fake?load_s=0.1") for n in range(20)))
        assert len(replies) == 20
        assert len(engine.backend.models) == 1
        assert len(engine.model.threads) == 1


async def test_a_named_quantization_joins_the_model_that_auto_loaded() -> None:
    async with parts() as engine:
        await engine.scheduler.load("fake", Task.TEXT_GENERATION)
        await engine.scheduler.load("fake", Task.TEXT_GENERATION, "none")
        await engine.scheduler.load("fake", Task.TEXT_GENERATION, "int8")
        assert [model.quantization for model in engine.backend.models] == ["none", "int8"]


@pytest.mark.parametrize("fault", ["weights-corrupt", "bug", "memory"])
async def test_a_failed_load_is_told_to_all_and_may_be_tried_again(fault: str) -> None:
    async with parts() as engine:
        model = f"fake?load_fault={fault}"
        replies = await asyncio.gather(*(engine.classify("x", model=model) for _ in range(3)), return_exceptions=True)
        reason = {"bug": "internal", "memory": "out-of-memory"}.get(fault, fault)
        assert [getattr(reply, "reason", None) for reply in replies] == [reason] * 3
        (state,) = engine.scheduler.status().models
        assert (state.state, state.id) == ("failed", model)
        assert state.error
        with pytest.raises(InklingError):
            await engine.classify("x", model=model)
        assert await engine.classify("bad") != []


async def test_a_model_side_that_cannot_be_imported_fails_each_load_and_nothing_else() -> None:
    attempts = []

    def broken() -> Any:
        attempts.append(1)
        raise InklingError("engine-broken", "torch is missing.", "Reinstall.")

    scheduler = Scheduler(broken, EngineSettings(), EventHub())
    for _ in range(2):
        with pytest.raises(InklingError, match="torch is missing"):
            await scheduler.run(CLASSIFY, f"m{len(attempts)}", ["x"], {})
    assert scheduler.status().models[0].state == "failed"
    await scheduler.close()


async def test_room_is_made_by_unloading_the_least_recently_used() -> None:
    async with parts(EngineSettings(memory_budget_mb=10)) as engine:
        for name in ("a", "b"):
            await engine.classify("x", model=f"{name}?bytes={4 * MIB}")
        await engine.classify("x", model=f"a?bytes={4 * MIB}")
        await engine.classify("x", model=f"c?bytes={4 * MIB}")
        assert {model.id[0]: model.closed for model in engine.backend.models} == {"a": False, "b": True, "c": False}
        status = engine.scheduler.status()
        assert status.resident_bytes == 8 * MIB
        assert status.extra["computed_inputs"] == 4  # the unloaded model's work still counts
        await engine.classify("x", model=f"b?bytes={4 * MIB}")
        assert len(engine.backend.models) == 4


async def test_a_model_in_use_is_not_unloaded_and_the_error_offers_a_smaller_one() -> None:
    async with parts(EngineSettings(memory_budget_mb=10)) as engine:
        busy = asyncio.create_task(engine.text(request(f"busy?bytes={8 * MIB}&token_s=0.01", tokens=200)))
        await until(lambda: engine.backend.models and engine.model.order)
        with pytest.raises(InklingError) as caught:
            await engine.classify("x", model=f"big?bytes={4 * MIB}")
        error = caught.value
        assert error.reason == "out-of-memory"
        assert "needs 4 MiB and 2 MiB are free" in error.message
        assert 'quantization = "int8" (1 MiB)' in error.hint
        assert not busy.done()
        busy.cancel()


async def test_memory_that_runs_out_while_loading_is_freed_and_the_load_tried_again() -> None:
    async with parts() as engine:
        engine.backend.limit_bytes = 10 * MIB  # as a GPU's memory is: known only by running out of it
        for name in ("a", "b", "c"):
            await engine.classify("x", model=f"{name}?bytes={4 * MIB}")
        assert [model.closed for model in engine.backend.models] == [True, False, False]
        with pytest.raises(InklingError) as caught:
            await engine.classify("x", model=f"huge?bytes={40 * MIB}")
        assert caught.value.reason == "out-of-memory"


async def test_an_idle_model_is_unloaded_and_loaded_again_when_needed() -> None:
    async with parts(EngineSettings(unload_seconds=0.05)) as engine:
        await engine.classify("x")
        await engine.scheduler.pool.sweep()
        assert not engine.model.closed
        await asyncio.sleep(0.06)
        await engine.scheduler.pool.sweep()
        assert engine.model.closed
        assert engine.scheduler.status().models == ()
        await engine.classify("x")
        assert len(engine.backend.models) == 2


async def test_when_the_machine_runs_short_of_memory_one_idle_model_leaves_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inkling.engine import pool

    async with parts() as engine:
        for name in ("old", "new", "busy"):
            await engine.classify("x", model=f"{name}?item_s={0.3 if name == 'busy' else 0}")
        await engine.scheduler.pool.sweep()
        assert not any(model.closed for model in engine.backend.models)
        working = asyncio.create_task(engine.classify("x", model="busy?item_s=0.3"))
        await until(lambda: engine.scheduler.pool.queued() == 0 and engine.scheduler.active == 1)
        monkeypatch.setattr(pool, "available_bytes", lambda: 1)
        closed = []
        for _ in range(3):
            await engine.scheduler.pool.sweep()
            closed.append([model.closed for model in engine.backend.models])
        assert closed == [[True, False, False], [True, True, False], [True, True, False]]
        assert await working


async def test_weights_that_were_replaced_are_loaded_and_the_old_ones_leave_when_they_are_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meant = {"a?item_s=0.2": "first"}

    async def weights_of(model: str) -> str:
        return meant[model]

    async with parts() as engine:
        monkeypatch.setattr(engine.scheduler.pool, "_weights_of", weights_of)
        ask = partial(engine.classify, "bad x", model="a?item_s=0.2")
        await ask()
        under_way = asyncio.create_task(ask())
        await until(lambda: engine.scheduler.pool.queued() == 0 and engine.scheduler.active == 1)
        meant["a?item_s=0.2"] = "second"
        await asyncio.gather(ask(), ask())
        assert (await under_way)[0][0]["label"] == "bad"
        await until(lambda: [model.closed for model in engine.backend.models] == [True, False])
        assert [state.state for state in engine.scheduler.status().models] == ["ready"]


async def test_requests_that_race_with_unloading_are_all_answered() -> None:
    async with parts(EngineSettings(unload_seconds=0.0)) as engine:

        async def ask(n: int) -> None:
            await asyncio.sleep(n * 0.002)
            assert (await engine.classify(f"bad {n}"))[0][0]["label"] == "bad"

        async def sweep() -> None:
            while True:
                await engine.scheduler.pool.sweep()
                await asyncio.sleep(0.001)

        sweeping = asyncio.create_task(sweep())
        await asyncio.gather(*(ask(n) for n in range(60)))
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        assert engine.scheduler.status().extra["computed_inputs"] == 60


async def test_counters_do_not_shrink_while_a_model_leaves() -> None:
    async with parts(EngineSettings(unload_seconds=0.0)) as engine:
        await engine.classify("one", "two")
        pool = engine.scheduler.pool
        before, worker = pool.counters(), await pool.worker("fake", CLASSIFY, "auto")
        sweeping = asyncio.create_task(pool.sweep())
        await asyncio.sleep(0)  # the sweep waits for the model to leave
        worker.thread.join(5)  # it has left, and the pool can't hear of it before the next await
        assert not worker.thread.is_alive() and not sweeping.done()
        assert pool.counters() == before and before["computed_inputs"] == 2
        await sweeping
        assert pool.counters() == before


async def test_a_subscriber_that_lags_loses_the_oldest_events_alone() -> None:
    from inkling.engine.protocol import EngineEvent

    hub = EventHub()
    async with aclosing(hub.subscribe(EngineEvent("started"))) as events:
        assert (await anext(events)).kind == "started"
        for n in range(1000):
            hub.publish(EngineEvent("model", message=str(n)))
        hub.close()
        rest = [event.message async for event in events]
    assert rest == [str(n) for n in range(1000 - len(rest), 1000)]
    assert len(rest) > 100
    assert hub.leases == 0
