"""The load generator against a scripted engine, and the simulation against queueing theory."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import statistics
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from inkling.cli import bench_capacity, bench_load, main
from inkling.cli.load_developer import Developer, Tally, Work
from inkling.cli.load_target import checked_url
from inkling.cli.typist import Rhythm, Stroke, strokes
from inkling.engine.cluster.simulate import Request, erlang_c_wait_s, simulate
from inkling.engine.protocol import Chunk, EngineStatus, GenerateRequest
from inkling.errors import InklingError

TEXT = "".join(f"def function_{n}(value):\n    return value + {n}\n\n\n" for n in range(40))


# The typist


def test_the_same_seed_types_the_same() -> None:
    one, other, third = (list(itertools.islice(strokes(seed), 300)) for seed in (1, 1, 2))
    assert one == other != third


def test_typing_has_bursts_pauses_and_jumps() -> None:
    keys = list(itertools.islice(strokes(3), 20_000))
    within = [key.after_s for key in keys if key.after_s < 1]
    assert 0.15 < statistics.median(within) < 0.2
    assert 0.9 < len(within) / len(keys) < 0.97
    assert any(key.jump for key in keys)
    assert max(key.after_s for key in keys) > 60


def test_the_wait_follows_rhythm_and_latency() -> None:
    rhythm = Rhythm()
    assert rhythm.typed(0.2) == pytest.approx(0.2)
    rhythm.answered(0.15)
    assert rhythm.typed(0.2) == pytest.approx(0.05)
    rhythm.answered(10)
    assert rhythm.typed(30) == pytest.approx(0.02)


# A developer


class Oracle:
    """Suggests what the text goes on with, or `wrong`; after `delay_s`."""

    def __init__(self, *, delay_s: float = 0.0, wrong: str = "", fails: str = "") -> None:
        self.delay_s = delay_s
        self.wrong = wrong
        self.fails = fails
        self.prompts: list[str] = []
        self.classified: list[Sequence[str]] = []

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        self.prompts.append(request.prompt)
        if self.fails:
            raise InklingError(self.fails, "told to")
        await asyncio.sleep(self.delay_s)
        at = TEXT.index(request.prompt) + len(request.prompt)
        yield Chunk(self.wrong or TEXT[at : at + 30], finish="stop")

    async def classify(self, texts: Sequence[str], model: str) -> None:
        self.classified.append(texts)

    async def status(self) -> EngineStatus | None:
        return None

    async def close(self) -> None:
        pass


async def typed(oracle: Oracle, keys: list[Stroke], limit: int = 1000) -> Tally:
    tally = Tally()
    developer = Developer("doc", oracle, TEXT, 100, Work("lm", "classifier", 8, limit), tally)
    await developer.type(iter([*keys, Stroke(0.1)]), 0.05)
    return tally


def quick(count: int) -> list[Stroke]:
    return [Stroke(0.002)] * count


async def test_typing_through_a_right_suggestion_asks_nobody() -> None:
    oracle = Oracle()
    tally = await typed(oracle, [Stroke(0), Stroke(0.05), *quick(20)])
    assert len(oracle.prompts) == 1
    assert tally.from_memory >= 20


async def test_a_wrong_suggestion_is_asked_for_again_and_a_right_one_is_accepted() -> None:
    wrong = Oracle(wrong="§§§§§§§§§§")
    tally = await typed(wrong, [Stroke(0), Stroke(0.06), Stroke(0.06), Stroke(0.06)])
    assert (tally.from_memory, tally.accepted) == (0, 0)
    assert len(wrong.prompts) >= 3
    tally = await typed(Oracle(), [Stroke(0), Stroke(0.5), Stroke(0.1)])
    assert tally.accepted == 1


async def test_the_next_key_cancels_what_was_asked() -> None:
    tally = await typed(Oracle(delay_s=5), [Stroke(0), Stroke(0.08), Stroke(0.08), Stroke(0.08)])
    assert tally.cancelled >= 2
    assert tally.unseen == tally.cancelled
    assert tally.finished == 0


async def test_pauses_after_an_edit_ask_for_diagnostics() -> None:
    oracle = Oracle()
    tally = await typed(oracle, [Stroke(0), Stroke(0.2), Stroke(0.2), *quick(3)])
    assert tally.diagnostics == 3
    assert all(texts for texts in oracle.classified)


async def test_errors_are_counted_and_the_limit_holds() -> None:
    tally = await typed(Oracle(fails="engine-busy"), [Stroke(0.06)] * 10, limit=4)
    assert tally.errors == {"engine-busy": tally.completions}
    assert tally.requests <= 5


# The command


@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "https://pool.example", "ftp://127.0.0.1", "nonsense"])
def test_no_load_on_a_machine_that_nobody_called_theirs(url: str) -> None:
    with pytest.raises(InklingError):
        checked_url(url, mine=False)


def test_urls_that_are_loaded() -> None:
    assert checked_url("http://127.0.0.1:8000/v1/", mine=False) == "http://127.0.0.1:8000"
    assert checked_url("http://localhost:1", mine=False) == "http://localhost:1"
    assert checked_url("https://pool.example", mine=True) == "https://pool.example"


def test_bounds_and_bad_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "load", "--developers", "100000"]) == 1
    assert main(["bench", "load", str(tmp_path)]) == 1
    (tmp_path / "load.json").write_text('{"service_s": {"cold": []}}')
    assert main(["bench", "capacity", str(tmp_path / "load.json")]) == 1
    said = capsys.readouterr().err
    for words in ("at most 1000", "holds no text to type", "is no load report"):
        assert words in said


# The simulation


def poisson(rate: float, service_s: float, count: int, seed: int) -> list[Request]:
    chance = random.Random(seed)
    times = itertools.accumulate(chance.expovariate(rate) for _ in range(count))
    services = (chance.expovariate(1 / service_s) for _ in range(count))
    return [Request(at, service, service) for at, service in zip(times, services, strict=True)]


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 0.7), (5, 0.8), (20, 0.8)])
def test_one_queue_waits_as_erlang_says(servers: int, load: float) -> None:
    service = 0.1
    rate = load * servers / service
    result = simulate(poisson(rate, service, 60_000, 7), servers, route=False)
    assert result.served == 60_000
    assert statistics.fmean(result.waits_s) == pytest.approx(erlang_c_wait_s(rate, service, servers), rel=0.15)
    assert result.busy_s / (servers * result.ended_at) == pytest.approx(load, rel=0.03)


def test_erlang_where_it_is_known_by_heart() -> None:
    assert erlang_c_wait_s(5, 0.1, 1) == pytest.approx(0.1)  # M/M/1: rho / (mu - lambda)
    assert erlang_c_wait_s(10, 0.1, 2) == pytest.approx(0.1 / 3)  # M/M/2 at rho 1/2: service / 3
    assert erlang_c_wait_s(20, 0.1, 2) == float("inf")


def keyed(count: int, keys: int, **more: Any) -> list[Request]:
    chance = random.Random(1)
    return [Request(n * 0.02, 0.01, 0.1, key=f"k{chance.randrange(keys)}", **more) for n in range(count)]


def test_affinity_keeps_prefixes_warm() -> None:
    together = simulate(keyed(5000, 40), 4, spill=2, caches=16)
    apart = simulate([Request(r.at, r.warm_s, r.cold_s, r.key) for r in keyed(5000, 40)], 4, spill=0, caches=16)
    assert together.warm_share > 0.9
    assert together.warm_share > apart.warm_share
    crowded = simulate(keyed(5000, 400), 4, spill=2, caches=16)
    assert crowded.warm_share < 0.5


def test_who_gives_up_frees_the_server_or_the_place() -> None:
    long, waiting, last = Request(0, 10, 10, gives_up_at=1), Request(0.1, 1, 1, gives_up_at=0.5), Request(0.2, 1, 1)
    result = simulate([long, waiting, last], 1)
    assert (result.served, result.given_up_served) == (1, 1)
    assert result.given_up_waits_s == [pytest.approx(0.4)]
    assert result.waits_s == [0, pytest.approx(0.8)]
    assert result.ended_at == pytest.approx(2.0)


# Capacity


def test_a_slower_model_and_a_larger_team_need_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_capacity, "_TYPING_S", 1500.0)

    def needs(service: float, *teams: int) -> list[int]:
        times = {"cold": [4 * service], "warm": [service], "diagnostics": [service / 10]}
        report = {"target": "here", "model": "m", "cores": 2, "from_memory_share": 0.3, "service_s": times}
        (tmp_path / "load.json").write_text(json.dumps(report))
        chosen = [word for team in teams for word in ("--developers", str(team))]
        assert main(["bench", "capacity", str(tmp_path / "load.json"), *chosen]) == 0
        lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
        return [int(line[3]) for line in lines[1:]]

    few, many = needs(0.05, 10, 60)
    assert 1 <= few < many
    assert needs(0.2, 60)[0] > many


def test_the_table_goes_between_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_capacity, "_TYPING_S", 500.0)
    page, report = tmp_path / "page.md", tmp_path / "load.json"
    page.write_text(f"above\n{bench_capacity.BEGIN}\nlast year\n{bench_capacity.END}\nbelow\n")
    times = {"cold": [0.1], "warm": [0.02], "diagnostics": [0.01]}
    report.write_text(
        json.dumps({"target": "t", "model": "m", "cores": 2, "from_memory_share": 0.2, "service_s": times})
    )
    assert main(["bench", "capacity", str(report), "--developers", "5", "--write", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "| 5 |" in text
    assert "last year" not in text
    page.write_text("no marks")
    assert main(["bench", "capacity", str(report), "--developers", "5", "--write", str(page)]) == 1


def test_percentiles() -> None:
    assert bench_load.percentile([], 0.5) == 0
    assert bench_load.percentile([3, 1, 2], 0.5) == 2
    assert bench_load.percentile(range(1, 101), 0.95) == 96
