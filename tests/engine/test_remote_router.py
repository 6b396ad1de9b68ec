"""Each task goes where the routes say and nowhere else, and everyone can see where that is."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.lsp.editor import session_with

from inkling.cli import main
from inkling.engine.app import create_app
from inkling.engine.client import EngineClient, connect
from inkling.engine.fake import FakeEngine
from inkling.engine.fake_backend import FakeBackend
from inkling.engine.protocol import EngineEvent, GenerateRequest, Priority, Task
from inkling.engine.remote.router import Router
from inkling.engine.remote.settings import RemoteSettings
from inkling.engine.remote.where import text_goes
from inkling.engine.settings import EngineSettings, engine_problems
from inkling.errors import InklingError
from inkling.settings import Source, load

from .elsewhere import SECRET, elsewhere, events, hang_up, models, reply, words
from .serving import until

POOL = RemoteSettings(url="https://gpu.example:8000")


async def written(engine: Any, model: str = "m") -> str:
    async with aclosing(engine.generate(GenerateRequest(model, "x", max_tokens=4))) as chunks:
        return "".join([chunk.text async for chunk in chunks])


# Settings


def test_without_routes_there_is_no_router() -> None:
    assert isinstance(connect(EngineSettings()), EngineClient)
    assert isinstance(connect(EngineSettings(remotes={"pool": POOL})), EngineClient)
    assert isinstance(connect(EngineSettings(routes={"*": "local"})), EngineClient)
    assert isinstance(connect(EngineSettings(remotes={"pool": POOL}, routes={"*": "pool"})), Router)


TABLE = {
    "remotes": {"pool": {"url": "https://gpu.example", "token_env": "POOL_TOKEN", "headers": {"x-team": "a"}}},
    "routes": {"text-generation": "pool"},
    "private": True,
}


@pytest.mark.parametrize(
    ("kind", "trusted", "refused"),
    [
        ("user", False, set()),
        ("client", False, set()),
        ("workspace", True, {"engine.private", "engine.remotes.pool.token_env", "engine.remotes.pool.headers"}),
        ("workspace", False, {"engine"}),
    ],
)
def test_who_may_say_where_text_goes(kind: Any, trusted: bool, refused: set[str]) -> None:
    settings, problems = load([Source(kind, {"engine": TABLE}, kind, trusted)]).build("engine", EngineSettings)
    assert {problem.key for problem in problems} == refused
    taken = kind != "workspace" or trusted
    assert settings.routes == ({"text-generation": "pool"} if taken else {})
    assert bool(settings.remotes) is taken
    if taken:
        assert settings.remotes["pool"].token_env == ("" if refused else "POOL_TOKEN")


def test_a_workspace_that_renames_the_address_does_not_get_the_users_token() -> None:
    evil = {"engine": {"remotes": {"pool": {"url": "https://evil.example"}}}}
    loaded = load([Source("user", {"engine": TABLE}, "user"), Source("workspace", evil, "w", True)])
    pool = loaded.build("engine", EngineSettings)[0].remotes["pool"]
    assert (pool.url, pool.token_env, pool.headers) == ("https://evil.example", "", {})


@pytest.mark.parametrize("key", ["token", "api_key", "password"])
def test_a_secret_in_a_settings_file_is_refused_and_not_repeated(key: str) -> None:
    table = {"engine": {"remotes": {"pool": {"url": "https://a.example", key: SECRET}}}}
    (problem,) = load([Source("user", table, "user")]).build("engine", EngineSettings)[1]
    assert problem.reason == "refused"
    assert "token_env" in problem.message and SECRET not in str(problem)


@pytest.mark.parametrize(
    ("remotes", "routes", "key", "says"),
    [
        ({"pool": POOL}, {"text-generation": "pol"}, "engine.routes.text-generation", 'Did you mean "pool"?'),
        ({"pool": POOL}, {"text-generaton": "pool"}, "engine.routes.text-generaton", 'mean "text-generation"?'),
        ({"local": POOL}, {}, "engine.remotes.local", "this machine's own engine"),
        ({"a": RemoteSettings()}, {}, "engine.remotes.a.url", "no address"),
        ({"a": RemoteSettings(url="gpu:8000")}, {}, "engine.remotes.a.url", "not http(s)://host"),
        ({"a": RemoteSettings(url="https://[::1")}, {}, "engine.remotes.a.url", "no URL"),
        ({"a": RemoteSettings(url=f"https://u:{SECRET}@x.example")}, {}, "engine.remotes.a.url", "more than scheme"),
        ({"a": RemoteSettings(url="http://10.0.0.9:80")}, {}, "engine.remotes.a.url", "without TLS"),
        ({"a": RemoteSettings(url="http://10.0.0.9:80", allow_http=True)}, {}, "", ""),
        ({"a": RemoteSettings(url="http://[::1]:80/v1")}, {}, "", ""),
        ({"a": RemoteSettings(url="http://localhost:80")}, {}, "", ""),
        ({"a": RemoteSettings(url="http://localhost.evil.example")}, {}, "engine.remotes.a.url", "without TLS"),
    ],
)
def test_problems(remotes: dict[str, RemoteSettings], routes: dict[str, str], key: str, says: str) -> None:
    problems = engine_problems(EngineSettings(remotes=remotes, routes=routes))
    assert [where for where, _ in problems] == ([key] if key else [])
    for _, message in problems:
        assert says in message and SECRET not in message


# Routing


async def test_each_task_goes_where_its_route_says() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("big"))
        there.on("/v1/completions", events(*words("from", " afar")))
        local = FakeEngine(texts=["from here"])
        settings = EngineSettings(remotes={"pool": there.settings()}, routes={"text-generation": "pool"})
        router = Router(settings, local)
        assert there.asked == []  # making it asks nobody
        assert await written(router) == "from afar"
        assert local.calls == []
        await router.classify(["x"], model="starter:tone")
        await router.embed(["x"], model="starter:search")
        assert [call.method for call in local.calls] == ["classify", "embed"]
        assert {asked.path for asked in there.asked} == {"/health", "/info", "/v1/models", "/v1/completions"}
        state = (await router.status()).extra["remotes"][0]
        assert (state["name"], state["kind"], state["state"]) == ("pool", "openai", "ready")
        await router.close()


async def test_a_remote_s_weights_go_by_its_name_and_the_model_s_there() -> None:
    local = FakeEngine(known_weights={"m": "digest"})
    seen = []
    for names in ({}, {"m": "theirs"}, {"*": "all"}):
        pool = RemoteSettings(url="https://gpu.example:8000", models=names)
        router = Router(EngineSettings(remotes={"pool": pool}, routes={Task.FEATURE_EXTRACTION: "pool"}), local)
        assert await router.weights("m", Task.TEXT_CLASSIFICATION) == "digest"
        seen.append(await router.weights("m", Task.FEATURE_EXTRACTION))
    assert len({*seen, "digest"}) == 4 and local.calls == []


async def test_nothing_falls_back_to_another_place() -> None:
    local = FakeEngine()
    router = Router(EngineSettings(routes={"text-generation": "gone"}), local)
    with pytest.raises(InklingError) as caught:
        await written(router)
    assert caught.value.reason == "unknown-remote"
    async with elsewhere() as there:
        there.on("/v1/models", hang_up)
        settings = EngineSettings(remotes={"pool": there.settings(kind="openai")}, routes={"*": "pool"})
        router = Router(settings, local)
        for call in (written(router), router.embed(["x"], model="m"), router.load("m", Task.TEXT_GENERATION)):
            with pytest.raises(InklingError) as caught:
                await call
            assert caught.value.reason == "remote-unreachable"
        await router.close()
    assert local.calls == []


async def test_events_of_both_sides_in_one_stream() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("big"))
        there.on("/v1/completions", hang_up, hang_up, events(*words("ok")))
        local = FakeEngine()
        settings = EngineSettings(remotes={"pool": there.settings(kind="openai")}, routes={"text-generation": "pool"})
        router = Router(settings, local)
        seen: list[EngineEvent] = []

        async def follow() -> None:
            async with aclosing(router.events()) as stream:
                while (event := await anext(stream, None)) is not None:
                    seen.append(event)

        following = asyncio.create_task(follow())
        await until(lambda: local._listeners)
        await router.start()
        with pytest.raises(InklingError):
            await written(router)
        router._remotes["pool"].transport.patience.answered()
        assert await written(router) == "ok"
        await until(lambda: len(seen) == 3)
        assert [event.kind for event in seen] == ["started", "remote-failed", "remote-ready"]
        assert "pool (http://127.0.0.1" in seen[1].message
        await router.close()
        await asyncio.wait_for(following, 5)


async def test_where_nothing_runs_here_a_dead_remote_is_the_start_s_error_and_told_once() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", hang_up)
        local = FakeEngine()
        router = Router(EngineSettings(remotes={"pool": there.settings(kind="openai")}, routes={"*": "pool"}), local)
        with pytest.raises(InklingError) as caught:
            await router.start()
        assert caught.value.reason == "remote-unreachable"
        there.on("/v1/models", models("big"))
        await router.restart()
        assert (await router.status()).extra["remotes"][0]["models"] == ["big"]
        assert local.calls == []
        await router.close()


# Our own engine elsewhere


@asynccontextmanager
async def own_engine(token: str) -> AsyncGenerator[int, None]:
    class Server(uvicorn.Server):
        def capture_signals(self) -> Any:
            return nullcontext()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port: int = listener.getsockname()[1]
        app = create_app(FakeBackend, token=token, hosts=frozenset({f"127.0.0.1:{port}"}))
        server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        yield port
        server.should_exit = True
        await running


async def test_our_own_engine_on_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOL_TOKEN", SECRET)
    async with own_engine(SECRET) as port:
        remote = RemoteSettings(url=f"http://127.0.0.1:{port}", token_env="POOL_TOKEN")
        router = Router(EngineSettings(remotes={"team": remote}, routes={"*": "team"}), FakeEngine())
        await router.start()
        assert (await router.classify(["bad"], model="fake"))[0][0].label == "bad"
        assert (await router.embed(["x"], model="fake"))[0] == [1.0, 0.0, 0.0, 0.0]
        assert (await router.summarize("One. Two.", model="fake")).text == "One"
        assert (await router.load("fake", Task.TEXT_GENERATION)).state == "ready"
        request = GenerateRequest("fake", "p", max_tokens=3, cache_key="d", heal=True, priority=Priority.COMPLETION)
        async with aclosing(router.generate(request)) as chunks:
            found = [chunk async for chunk in chunks]
        assert "".join(chunk.text for chunk in found) == "w0 w1 w2 "
        assert router.remotes()[0]["kind"] == "inkling"
        with pytest.raises(InklingError) as caught:
            await router.classify(["x"], model="fake?load_fault=model-not-found")
        assert caught.value.reason == "model-not-found"
        await router.close()
        wrong = RemoteSettings(url=remote.url, kind="inkling")
        router = Router(EngineSettings(remotes={"team": wrong}, routes={"*": "team"}), FakeEngine())
        with pytest.raises(InklingError) as caught:
            await router.classify(["bad"], model="fake")
        assert caught.value.reason == "remote-auth"
        await router.close()


# Where text goes, for people


def test_where_text_goes() -> None:
    assert text_goes(EngineSettings())["goes"] == "this machine"
    mixed = text_goes(EngineSettings(remotes={"pool": POOL}, routes={"text-generation": "pool"}))
    assert mixed["goes"] == "pool (https://gpu.example:8000)"
    assert mixed["detail"] == "completion and chat → pool (https://gpu.example:8000); everything else on this machine"
    assert mixed["routes"]["text-generation"] == "pool" and mixed["routes"]["fill-mask"] == "local"
    whole = text_goes(EngineSettings(remotes={"pool": POOL}, routes={"*": "pool"}))
    assert whole["detail"] == "everything → pool (https://gpu.example:8000)"
    broken = text_goes(EngineSettings(routes={"*": "gone"}))
    assert "nothing is sent" in broken["detail"]


async def test_the_editor_is_told_where_text_goes_and_what_is_wrong_there(tmp_path: Path, monkeypatch: Any) -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("big"))
        user = tmp_path / "user.toml"
        user.write_text(
            f'[engine.remotes.pool]\nurl = "{there.settings().url}"\n[engine.routes]\n"*" = "pool"\ntypo = "pool"\n'
        )
        monkeypatch.setenv("INKLING_CONFIG", str(user))
        async with session_with("words=Words") as (editor, session):
            session.engine._connect = connect
            await editor.initialize(initializationOptions=None)
            await session.engine.start()
            status = await editor.ask("inkling/status")
            assert status["text"]["goes"] == f"pool ({there.settings().url})"
            assert status["text"]["detail"].startswith("everything → pool (http://127.0.0.1:")
            assert status["engine"]["state"] == "ready"
            assert status["engine"]["remotes"][0]["models"] == ["big"]
            assert any('There is no task "typo"' in message for message in editor.messages)
            there.on("/v1/models", reply(401, {}))
            await session.engine.restart()
            await editor.until(lambda: any("a token is needed" in message for message in editor.messages))
            status = await editor.ask("inkling/status")
            assert (status["engine"]["state"], status["engine"]["remotes"][0]["state"]) == ("failed", "error")


def run_doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    return {
        finding["name"]: (finding["state"], f"{finding['detail']} {finding['advice']}")
        for finding in report["findings"]
        if finding["area"] == "remote engines"
    }


async def test_the_doctor_asks_each_remote(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("inkling.cli.doctor._devices", list)
    monkeypatch.setattr("inkling.cli.doctor._models", list)
    monkeypatch.setenv("INKLING_CONFIG", str(tmp_path / "user.toml"))
    tmp_path.chmod(0o700)
    async with elsewhere() as there:
        there.on("/v1/models", models("big"))
        url = there.settings().url
        (tmp_path / "user.toml").write_text(
            f'[engine.remotes.pool]\nurl = "{url}"\n[engine.remotes.idle]\nurl = "https://x.example"\n'
            '[engine.remotes.spoken]\nurl = "https://me:s3cret@x.example"\n'
            f'[engine.remotes.down]\nurl = "http://127.0.0.1:9"\ntoken_env = "NO_SUCH_TOKEN"\n'
            '[engine.routes]\n"text-generation" = "pool"\n"feature-extraction" = "down"\n'
        )
        found = await asyncio.to_thread(run_doctor, capsys)
    assert "completion and chat → pool" in found["text"][1]
    assert found["pool"][0] == "ok" and "speaks openai" in found["pool"][1] and "models: big" in found["pool"][1]
    assert found["down token"][0] == "broken" and "NO_SUCH_TOKEN" in found["down token"][1]
    assert found["down"][0] == "broken"
    assert found["idle"][0] == "off" and "https://x.example: no route" in found["idle"][1]
    assert found["spoken"][0] == "off" and "not asked" in found["spoken"][1] and "s3cret" not in str(found)
    assert "httpx2" in sys.modules
