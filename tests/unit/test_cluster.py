"""A cluster's parts that need no Ray: settings, tokens, routing, and a gateway over replicas that fail on demand."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.cli import main
from inkling.cli.cluster import render
from inkling.engine.app import app_around
from inkling.engine.asgi import Guard
from inkling.engine.cluster import options, routes, up
from inkling.engine.cluster.metrics import Metrics, page
from inkling.engine.cluster.replies import Failed, Full, Numbers, Piece, ReplicaGone, why_not_started
from inkling.engine.cluster.routing import affinity_key, rank
from inkling.engine.cluster.settings import ClusterSettings, deployment_names, read_settings, settings_from
from inkling.engine.cluster.tokens import read_tokens
from inkling.engine.cluster.work import GATEWAY, ClusterWork
from inkling.engine.jobs import Busy
from inkling.engine.protocol import Chunk, GenerateRequest, ModelState
from inkling.errors import InklingError

TOKEN, OTHER = "a-token-of-many-characters", "another-token-of-characters"
TABLE: dict[str, Any] = {
    "models": [
        {"id": "lm", "tasks": ["text-generation"], "max_replicas": 3},
        {"id": "encoder", "tasks": ["text-classification", "feature-extraction"]},
    ]
}


# Settings


def test_settings_travel_as_a_serve_configs_arguments(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('port = 9000\nspill = 5\n[[models]]\nid = "a/b"\ntasks = ["text-generation"]\ngpus = 0.5\n')
    settings = read_settings(file)
    assert settings.models[0].gpus == 0.5
    config = options.serve_config(settings)
    assert settings_from(config["applications"][0]["args"]) == settings
    assert json.loads(json.dumps(config)) == config
    assert "a/b" in render(settings)


def test_every_problem_is_told_at_once() -> None:
    table = {
        "prot": 9000,
        "port": 0,
        "models": [{"id": "a", "tasks": ["juggling"]}, {"tasks": ["fill-mask"]}, {"id": "b"}],
    }
    with pytest.raises(InklingError) as raised:
        settings_from(table)
    assert raised.value.reason == "cluster-settings"
    for words in (
        'Did you mean "port"?',
        "from 1 to 65535",
        "models[0].tasks",
        "models[1] has no id",
        "models[2] has no tasks",
    ):
        assert words in raised.value.message


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([], "name at least one"),
        ([{"id": "a", "tasks": ["text-generation", "fill-mask"]}], "scaled by itself"),
        ([{"id": "a", "tasks": ["fill-mask"]}, {"id": "a", "tasks": ["fill-mask"]}], "already served"),
        ([{"id": "a", "tasks": ["fill-mask"], "min_replicas": 3}], "smaller than min_replicas"),
    ],
)
def test_models_that_make_no_sense(models: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(InklingError, match=words):
        settings_from({"models": models})


def test_each_deployment_has_a_name_of_its_own() -> None:
    tasks = {"tasks": ["fill-mask"]}
    models = [{"id": "Org/Model.v1", **tasks}, {"id": "org-model-v1", **tasks}, {"id": "?", **tasks}]
    assert deployment_names(settings_from({"models": models})) == ["org-model-v1", "org-model-v1-2", "model"]


def test_only_generation_is_routed_by_prefix_and_no_replica_reaches_a_hub() -> None:
    settings = settings_from(TABLE)
    lm, encoder = (options.model_options("x", model, settings) for model in settings.models)
    assert lm["request_router_config"]["request_router_kwargs"] == {"spill": settings.spill}
    assert "request_router_config" not in encoder
    assert lm["autoscaling_config"]["max_replicas"] == 3
    assert lm["ray_actor_options"]["runtime_env"]["env_vars"]["HF_HUB_OFFLINE"] == "1"


# Tokens


def test_tokens_come_from_a_private_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# while it changes, both hold\n{TOKEN}\n\n{OTHER}\n")
    file.chmod(0o600)
    assert read_tokens(ClusterSettings(token_file=str(file)), {}) == (TOKEN, OTHER)
    assert read_tokens(ClusterSettings(), {"INKLING_CLUSTER_TOKEN": TOKEN}) == (TOKEN,)
    assert read_tokens(ClusterSettings(haproxy=False), {}) == ()


@pytest.mark.parametrize("settings", [ClusterSettings(), ClusterSettings(haproxy=False, host="10.0.0.1")])
def test_without_a_token_it_serves_on_loopback_alone(settings: ClusterSettings) -> None:
    with pytest.raises(InklingError, match="without a token is refused"):
        read_tokens(settings, {})


def test_token_files_that_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    settings = ClusterSettings(token_file=str(file))
    for content, mode, words in (
        (None, 0, "cannot be read"),
        (f"{TOKEN}\n", 0o644, "open to others"),
        ("\n# none\n", 0o600, "holds no token"),
        ("short\n", 0o600, "shorter than"),
    ):
        if content is not None:
            file.write_text(content)
            file.chmod(mode)
        with pytest.raises(InklingError, match=words) as raised:
            read_tokens(settings, {})
        assert TOKEN not in str(raised.value)


# Routing

NAMES = st.lists(st.text("abcdef0123456789", min_size=1, max_size=8), min_size=1, max_size=12, unique=True)


@given(NAMES, st.text(min_size=1), st.randoms())
def test_a_key_stays_where_it_is_when_others_come_and_go(names: list[str], key: str, chance: random.Random) -> None:
    """Whatever the order of names: the first is stable, and losing another replica moves nothing."""
    idle = dict.fromkeys(names, 0)
    first, *others = rank(key, idle, 2)
    assert sorted([first, *others]) == sorted(names)
    shuffled = names[:]
    chance.shuffle(shuffled)
    assert rank(key, dict.fromkeys(shuffled, 0), 2) == [first, *others]
    for gone in others:
        assert rank(key, {name: 0 for name in names if name != gone}, 2)[0] == first
    if others:
        assert rank(key, {name: 0 for name in names if name != first}, 2) == others


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 20), min_size=1), st.text(), st.integers(0, 5))
def test_nobody_waits_behind_a_busy_replica_while_another_is_idle(loads: dict[str, int], key: str, spill: int) -> None:
    order = rank(key, loads, spill)
    assert sorted(order) == sorted(loads)
    assert loads[order[0]] <= min(loads.values()) + (spill if key else 0)


def test_keys_spread_evenly() -> None:
    loads = dict.fromkeys(("a", "b", "c", "d"), 0)
    counts = dict.fromkeys(loads, 0)
    for number in range(2000):
        counts[rank(f"key{number}", loads, 0)[0]] += 1
    assert min(counts.values()) > 400


def test_what_shares_a_prefix_cache_shares_a_key() -> None:
    request = GenerateRequest("lm", "some prompt", cache_key="file:///a.py")
    longer = replace(request, prompt="some prompt, typed on")
    assert affinity_key("window", request) == affinity_key("window", longer)
    assert len({affinity_key(client, request) for client in ("one", "two", "")}) == 3
    assert affinity_key("w", replace(request, cache_key="other")) != affinity_key("w", request)
    nameless = GenerateRequest("lm", "x" * 2000)
    assert affinity_key("", nameless) == affinity_key("", replace(nameless, prompt="x" * 3000))
    assert "some prompt" not in affinity_key("", request)


def test_loads_of_nobody() -> None:
    assert rank("key", {}, 2) == []


# Metrics


def test_metrics_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.add("inkling_requests_total", task='a"b\n')
    metrics.add("inkling_requests_total", 2, task='a"b\n')
    metrics.observe("inkling_request_seconds", 0.03)
    metrics.observe("inkling_request_seconds", 99)
    text = page([({"replica": "r1"}, metrics.samples()), ({"replica": "r2"}, metrics.samples())])
    assert text.count("# TYPE inkling_requests_total counter") == 1
    assert 'inkling_requests_total{replica="r1",task="a\\"b\\n"} 3' in text
    assert 'inkling_request_seconds_bucket{replica="r1",le="0.025"} 0' in text
    assert 'inkling_request_seconds_bucket{replica="r1",le="0.05"} 1' in text
    assert 'inkling_request_seconds_bucket{replica="r2",le="+Inf"} 2' in text
    assert 'inkling_request_seconds_count{replica="r2"} 2' in text


# A gateway, over replicas that do as they are told


class Scripted:
    """Satisfies `Replicas`. Each call takes the next of `answers`: an exception to raise, or what to answer."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str]] = []
        self.closed = 0

    def _next(self, deployment: str, method: str, key: str) -> Any:
        self.asked.append((deployment, method, key))
        return self.answers.pop(0)

    async def call(self, deployment: str, method: str, *arguments: Any, key: str = "") -> Any:
        answer = self._next(deployment, method, key)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return await answer()
        return answer

    async def stream(self, deployment: str, method: str, *arguments: Any, key: str = "") -> AsyncGenerator[Any, None]:
        try:
            for piece in self._next(deployment, method, key):
                if isinstance(piece, Exception):
                    raise piece
                if callable(piece):
                    await piece()
                else:
                    yield piece
        finally:
            self.closed += 1

    async def broadcast(self, deployment: str, method: str) -> list[Any]:
        if deployment == GATEWAY:
            return []
        state = ModelState("lm", "text-generation", "ready", 1.0, "int8", bytes=10)
        numbers = Numbers("r1", [], [state], "cuda", active=1, queued=2, counters={"generated_tokens": 7}, bytes=10)
        return [numbers, replace(numbers, replica="r2")] if deployment == "lm" else []


def text(*words: str, finish: str = "stop") -> list[Piece]:
    pieces = [Piece(Chunk(word), 3) for word in words]
    return [*pieces, Piece(Chunk("", 0, 0.0, finish), 3)] if finish else pieces


@asynccontextmanager
async def gateway(replicas: Scripted, **changes: Any) -> AsyncGenerator[httpx2.AsyncClient, None]:
    work = ClusterWork(replace(settings_from(TABLE), **changes), replicas)

    @asynccontextmanager
    async def entered() -> AsyncGenerator[ClusterWork, None]:
        yield work

    app = app_around(entered, first=routes.routes())
    app.state.scheduler = work
    guarded = Guard(app, tokens=(OTHER, TOKEN), hosts=None, open_paths=routes.OPEN_PATHS)
    headers = {"authorization": f"Bearer {TOKEN}", "x-inkling-client": "window"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=guarded), base_url="http://pool.example", headers=headers
    ) as http:
        yield http


CLASSIFY = "/models/encoder/pipeline/text-classification"
PROMPT = {"model": "lm", "prompt": "p", "inkling": {"cache_key": "doc"}}


async def test_a_lost_replica_costs_a_unary_call_nothing() -> None:
    replicas = Scripted(ReplicaGone(), ReplicaGone(), [[{"label": "x", "score": 1.0}]])
    async with gateway(replicas) as http:
        reply = await http.post(CLASSIFY, json={"inputs": ["t"]})
        metrics = (await http.get("/metrics")).text
    assert (reply.status_code, reply.json()) == (200, [[{"label": "x", "score": 1.0}]])
    assert [name for name, _, _ in replicas.asked] == ["encoder"] * 3
    assert 'inkling_replicas{deployment="lm"} 2' in metrics


async def test_when_all_are_lost_the_answer_says_so() -> None:
    async with gateway(Scripted(*[ReplicaGone()] * 4)) as http:
        reply = await http.post(CLASSIFY, json={"inputs": "t"})
    assert reply.json()["error"]["reason"] == "engine-crashed"
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


async def test_a_stream_is_tried_again_until_its_first_piece() -> None:
    replicas = Scripted([ReplicaGone()], [], text("a", "b"))
    async with gateway(replicas) as http:
        reply = await http.post("/v1/completions", json=PROMPT)
    assert reply.json()["choices"][0]["text"] == "ab"
    assert reply.json()["usage"]["prompt_tokens"] == 3
    assert len({key for _, _, key in replicas.asked}) == 1
    assert replicas.closed == 3


@pytest.mark.parametrize("end", [[ReplicaGone()], []])
async def test_a_broken_stream_says_so(end: list[Any]) -> None:
    """Whether the loss is seen or the pieces just end: never a text that only looks finished."""
    replicas = Scripted([*text("a", finish=""), *end], text("never asked"))
    async with gateway(replicas) as http:
        reply = await http.post("/v1/completions", json={**PROMPT, "stream": True})
        assert (await http.get("/inkling/status")).status_code == 200
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    assert events[0]["choices"][0]["text"] == "a"
    assert events[-1]["error"]["reason"] == "engine-crashed"
    assert "[DONE]" not in reply.text
    assert len(replicas.asked) == 1


async def test_errors_keep_their_status() -> None:
    full = Full("busy", "Try again in 7 s.", 7)
    replicas = Scripted(full, Failed.of(full), Failed("model-not-found", "m"), [Failed("weights-corrupt", "m", "h")])
    async with gateway(replicas) as http:
        for _ in range(2):
            reply = await http.post(CLASSIFY, json={"inputs": "t"})
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "7")
        assert (await http.post(CLASSIFY, json={"inputs": "t"})).status_code == 404
        assert (await http.post("/v1/completions", json=PROMPT)).json()["error"]["reason"] == "weights-corrupt"
        reply = await http.post("/v1/completions", json={"model": "other", "prompt": "p"})
        assert reply.status_code == 404
        assert "lm" in reply.json()["error"]["hint"]
    assert isinstance(Failed.of(full).error(), Busy)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_silent_replica_is_not_waited_for_for_ever() -> None:
    replicas = Scripted(forever, [forever], [*text("a", finish=""), forever])
    async with gateway(replicas, request_seconds=0.01) as http:
        reply = await http.post(CLASSIFY, json={"inputs": "t"})
        assert (reply.status_code, reply.json()["error"]["reason"]) == (504, "timeout")
        late = {**PROMPT, "inkling": {"deadline_s": 0.01}}
        reply = await http.post("/v1/completions", json=late)
        assert reply.json()["inkling"]["notices"] == ["model-loading"]
        reply = await http.post("/v1/completions", json=late)
        assert reply.json()["choices"][0] == {"index": 0, "finish_reason": "length", "logprobs": None, "text": "a"}
    assert replicas.closed == 2


async def test_closing_a_stream_closes_the_replicas() -> None:
    replicas = Scripted(text("a", "b"))
    work = ClusterWork(settings_from(TABLE), replicas)
    async with aclosing(work.generate(GenerateRequest("lm", "p"))) as chunks:
        await anext(chunks)
    assert replicas.closed == 1
    samples = {(dict(s.labels).get("status"), s.name): s.value for s in work.metrics.samples()}
    assert samples["cancelled", "inkling_requests_total"] == 1


async def test_the_whole_cluster_is_one_engine_to_its_clients() -> None:
    async with gateway(Scripted()) as http:
        status = (await http.get("/inkling/status")).json()
        models = (await http.get("/v1/models")).json()
        stop = await http.post("/inkling/shutdown")
    assert [(m["id"], m["state"]) for m in status["models"]] == [
        ("lm", "ready"),
        ("encoder", "absent"),
        ("encoder", "absent"),
    ]
    assert status["generated_tokens"] == 14
    assert status["extra"]["replicas"] == {"lm": 2, "encoder": 0}
    assert [model["id"] for model in models["data"]] == ["lm", "encoder"]
    assert stop.status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"authorization": f"Bearer {OTHER}"}, 200),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"authorization": f"Bearer {TOKEN}{OTHER}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer \xe9"}, 401),
        ({"authorization": ""}, 401),
        ({"authorization": f"Bearer {TOKEN}", "origin": "http://page.example"}, 403),
    ],
)
async def test_nobody_enters_without_a_token(headers: dict[str, str], status: int) -> None:
    async with gateway(Scripted()) as http:
        for path in ("/inkling/status", "/metrics", "/v1/models"):
            given = {name: value.encode("latin-1") for name, value in headers.items()}
            reply = await http.get(path, headers=given)
            assert reply.status_code == status
        assert (await http.get("/health", headers={"authorization": ""})).status_code == 200


# The command


def test_up_refuses_before_it_starts_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('[[models]]\nid = "a"\ntasks = ["fill-mask"]\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("INKLING_CLUSTER_TOKEN", raising=False)
        assert main(["cluster", "up", "-f", str(file)]) == 1
        assert main(["cluster", "up", "-f", str(tmp_path / "none.toml")]) == 1
        file.write_text('prot = 1\n[[models]]\nid = "a"\ntasks = ["fill-mask"]\n')
        assert main(["cluster", "config", "-f", str(file)]) == 1
        assert main(["cluster", "status", "--url", "http://127.0.0.1:9"]) == 3
    said = capsys.readouterr().err
    for words in (
        "without a token is refused",
        "cannot be read",
        "with -f",
        'Did you mean "port"?',
        "No gateway answers",
    ):
        assert words in said


def test_up_ends_when_nothing_answers_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "_PROBE_S", 0.01)
    with pytest.raises(InklingError, match="does not answer any more"):
        up._watch(threading.Event(), ClusterSettings(port=9))
    told = threading.Event()
    told.set()
    up._watch(told, ClusterSettings(port=9))


class Served:
    """Ray's `serve`, as far as `up` asks it: applications by name, each with its state."""

    def __init__(self, **states: str) -> None:
        told = {"lm": SimpleNamespace(message="inkling.CannotServe: No model lm.")}
        self.applications = {
            name: SimpleNamespace(status=SimpleNamespace(value=state), deployments=told)
            for name, state in states.items()
        }
        self.ended = False

    def status(self) -> Served:
        return self

    def delete(self, name: str, *, _blocking: bool) -> None:
        del self.applications[name]

    def shutdown(self) -> None:
        self.ended = True


class Told(threading.Event):
    """A signal that comes after so many looks."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        return self.left < 0


def test_up_waits_for_its_replicas_until_they_fail_or_a_signal_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "_POLL_S", 0.01)
    with pytest.raises(InklingError, match=r"No model lm\."):
        up._until_running(Served(inkling="DEPLOY_FAILED"), threading.Event(), ClusterSettings(port=9), patient=True)
    monkeypatch.setattr(up, "_PROXY_S", 0.0)
    elsewhere = up._until_running(Served(inkling="RUNNING"), threading.Event(), ClusterSettings(port=9), patient=False)
    assert elsewhere, "this node has no proxy"
    for state in ("DEPLOYING", "RUNNING"):  # and no answer over HTTP
        told, looks = Told(after=5), Served(inkling=state)
        assert not up._until_running(looks, told, ClusterSettings(port=9), patient=True)


def test_what_others_serve_is_left_alone() -> None:
    shared, own = Served(inkling="RUNNING", theirs="RUNNING"), Served(inkling="DEPLOYING")
    for serve in (shared, own):
        up._take_down(serve, ClusterSettings())
    assert (list(shared.applications), shared.ended) == (["theirs"], False)
    assert (list(own.applications), own.ended) == ([], True)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("failed:\n  File x, line 3\ninkling.…replies.CannotServe: No model a. Get it.\n", "No model a. Get it."),
        ("failed:\nValueError: odd\nsee the logs\n", "ValueError: odd"),
        ("", "Ray does not say why."),
    ],
)  # fmt: skip
def test_why_a_deployment_failed(said: str, shown: str) -> None:
    assert why_not_started(said) == shown


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InklingError, match=r"inkling-ls\[cluster\]"):
        up.ray_and_serve()
