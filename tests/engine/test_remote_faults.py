"""Remotes that misbehave: each fault has its reason, nothing is cut short in silence, no secret or text is told."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkling.engine.protocol import GenerateRequest, Priority
from inkling.engine.remote import transport as transport_module
from inkling.engine.remote.connection import Remote
from inkling.engine.remote.failures import retry_after_s
from inkling.engine.remote.inkling import InklingEngine
from inkling.engine.remote.openai import OpenAIEngine
from inkling.engine.remote.patience import Patience
from inkling.engine.remote.settings import RemoteSettings
from inkling.engine.remote.tei import TeiEngine
from inkling.engine.remote.transport import Transport
from inkling.errors import InklingError

from .elsewhere import SECRET, Elsewhere, Reply, elsewhere, events, hang, hang_up, models, reply, words

TEXT = "def very_private_function(): pass"
REQUEST = GenerateRequest("m", TEXT, max_tokens=8)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOL_TOKEN", SECRET)
    monkeypatch.setattr(transport_module, "_PAUSE_S", 0.01)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def engine_at(there: Elsewhere, **changes: Any) -> OpenAIEngine:
    return OpenAIEngine(Transport("pool", there.settings(token_env="POOL_TOKEN", **changes)))


async def written(engine: OpenAIEngine, request: GenerateRequest = REQUEST) -> str:
    async with aclosing(engine.generate(request)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def refusal(engine: OpenAIEngine) -> InklingError:
    """The error of a completion; it must hold neither the token nor the text."""
    with pytest.raises(InklingError) as caught:
        await written(engine)
    await engine.transport.close()
    for secret in (SECRET, "very_private"):
        assert secret not in str(caught.value)
        assert secret not in repr(vars(engine.transport))
    assert "pool (http" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "reason", "says"),
    [
        (reply(401, {"error": {"message": f"bad key {SECRET}"}}), "remote-auth", "a token was refused"),
        (reply(403, "no"), "remote-auth", "403"),
        (reply(404, "not here"), "remote-not-found", "/v1/completions"),
        (reply(404, {"detail": "Not Found"}), "remote-not-found", "/v1/completions"),
        (reply(404, {"error": {"message": "The model `m` does not exist."}}), "model-not-found", "does not exist"),
        (reply(400, {"error": {"message": "no model m", "code": "model_not_found"}}), "model-not-found", "no model m"),
        (reply(400, {"detail": f"cannot parse: {TEXT}"}), "remote-refused", "HTTP status 400"),
        (reply(413, {"error": "Payload too large"}), "too-large", "Select less text"),
        (reply(422, {"error": "weird"}), "remote-refused", "weird"),
        (reply(500, {"error": {"message": "CUDA out of memory"}}), "remote-error", "CUDA out of memory"),
        (reply(429, {}, retry_after="30"), "engine-busy", "Try again in 30 s"),
        (reply(503, {}, retry_after="30"), "engine-busy", "Try again in 30 s"),
        (reply(503, {}), "engine-busy", "Try again later"),
        (reply(502, "<html>", "text/html"), "remote-unreachable", "does not answer"),
        (reply(200, "<html>Please sign in</html>", "text/html; charset=utf-8"), "remote-not-engine", "web page"),
        (reply(200, "soon", "text/plain"), "bad-output", "not JSON"),
        (reply(302, "", location="https://evil.example/v1"), "remote-redirect", "https://evil.example"),
        (reply(422, {"error": {"reason": "wrong-task", "message": "m is no LM."}}), "wrong-task", "m is no LM"),
        (events({"error": {"message": "worker died"}}), "remote-error", "worker died"),
        (events(*words("a", "b", finish=None), cut=True), "remote-cut", "broke off"),
        (events(*words("a", "b", finish=None), done=False), "remote-cut", "incomplete"),
        (events(done=False), "remote-cut", "broke off"),
        (events(*words("abc", finish=None), "half"), "bad-output", "no JSON object"),
        (events({"choices": ["odd"]}), "bad-output", "unknown shape"),
        (reply(200, []), "bad-output", "unknown shape"),
        (reply(200, '"x"'), "bad-output", "unknown shape"),
        (reply(200, {"detail": "hm"}), "bad-output", "no completion"),
        (events(), "bad-output", "no completion"),
        (hang_up, "remote-unreachable", "closed the connection"),
        (hang, "timeout", "did not answer in time"),
        (events(*words("a", "b", finish=None), pause_s=0.7), "timeout", "did not answer in time"),
    ],
)  # fmt: skip
async def test_each_fault_has_its_reason(answer: Reply, reason: str, says: str) -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", answer)
        error = await refusal(engine_at(there, timeout_seconds=0.4))
        assert (error.reason, says in str(error)) == (reason, True), error


async def test_what_is_no_error_does_not_end_a_stream() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words("a", finish=None), {"choices": [], "error": None}, *words("b")))
        engine = engine_at(there)
        assert await written(engine) == "ab"
        await engine.transport.close()


async def test_a_server_that_stumbles_once_keeps_its_fields() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", reply(500, {"error": "out of memory"}), events(*words("ok")))
        engine = engine_at(there)
        typed = replace(REQUEST, priority=Priority.COMPLETION)
        assert [await written(engine, typed), await written(engine, typed)] == ["ok", "ok"]
        assert ["logprobs" in asked.body for asked in there.to("/v1/completions")] == [
            True,
            False,
            True,
        ]
        await engine.transport.close()


async def test_a_proxy_before_a_dead_server_is_left_alone_for_a_while() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", reply(504, {}))
        engine = engine_at(there)
        for _ in range(3):
            with pytest.raises(InklingError, match=r"504|does not answer"):
                await written(engine)
        assert len(there.to("/v1/completions")) == 1
        await engine.transport.close()


@pytest.mark.parametrize("settings", [{"proxy": "socks4://127.0.0.1:9"}, {"headers": {"x-team": "é"}}])
async def test_settings_that_cannot_be_are_told_and_not_raised(settings: dict[str, Any]) -> None:
    async with elsewhere() as there:
        remote = Remote("pool", there.settings(**settings))
        checked = await remote.check()
        assert checked.error is not None and checked.error.reason == "remote-settings"
        await remote.close()


async def test_a_pool_of_ours_is_asked_by_its_own_names() -> None:
    async with elsewhere() as there:
        there.on("/models/mapped%2Fx/pipeline/text-classification", reply(200, [[{"label": "A", "score": 1.0}]]))
        there.on("/v1/completions", events(*words("ok")))
        engine = InklingEngine(Transport("pool", there.settings(models={"starter:tone": "mapped/x", "*": "lm"})))
        assert (await engine.classify(["a"], model="starter:tone"))[0][0].label == "A"
        async with aclosing(engine.generate(REQUEST)) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "ok"
        assert there.asked[-1].body["model"] == "lm"
        await engine.transport.close()


async def test_the_token_goes_into_one_header_and_nowhere_else() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words("ok")))
        engine = engine_at(there)
        assert await written(engine) == "ok"
        assert there.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
        assert SECRET not in str(there.asked[-1].body) + there.asked[-1].path
        await engine.transport.close()
        other = engine_at(there, token_header="api-key", headers={"x-team": "editors"})
        assert await written(other) == "ok"
        headers = there.asked[-1].headers
        assert (headers["api-key"], headers.get("authorization"), headers["x-team"]) == (SECRET, None, "editors")
        await other.transport.close()


async def test_a_unary_call_is_repeated_once_and_waits_as_asked() -> None:
    async with elsewhere() as there:
        engine = TeiEngine(Transport("tei", there.settings()))
        for first in (hang_up, reply(502, "x"), reply(503, "x", retry_after="0.05")):
            there.on("/embed", first, reply(200, [[3.0, 4.0]]))
            assert await engine.embed(["x"], model="any") == [[0.6, 0.8]]
        assert len(there.to("/embed")) == 6
        for always in (hang_up, reply(503, "x", retry_after="0")):
            there.asked.clear()
            there.on("/embed", always)
            with pytest.raises(InklingError):
                await engine.embed(["x"], model="any")
            assert len(there.to("/embed")) == 2
            engine.transport.patience.answered()
        await engine.transport.close()


async def test_a_pool_that_lost_a_gateway_is_asked_again_and_what_it_says_is_told_in_our_words() -> None:
    """Ray's HAProxy answers for a gateway that died with a plain 500; Inkling itself says why it fails."""
    lost = reply(500, "Internal Server Error", "text/plain")
    async with elsewhere() as there:
        engine = InklingEngine(Transport("pool", there.settings()))
        labels = "/models/m/pipeline/text-classification"
        there.on(labels, lost, reply(200, [[{"label": "A", "score": 1.0}]]))
        there.on("/v1/completions", lost, events(*words("ok")))
        assert (await engine.classify(["a"], model="m"))[0][0].label == "A"
        async with aclosing(engine.generate(REQUEST)) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "ok"
        for answer, reason in ((lost, "remote-unreachable"), (reply(500, {"error": {"reason": "internal",
                               "message": "A defect."}}), "internal")):  # fmt: skip
            there.asked.clear()
            there.on(labels, answer)
            with pytest.raises(InklingError) as caught:
                await engine.classify(["a"], model="m")
            assert caught.value.reason == reason
            assert len(there.to(labels)) == (2 if answer is lost else 1)
            engine.transport.patience.answered()
        await engine.transport.close()


async def test_a_stream_is_repeated_before_its_first_piece_and_never_after_it() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        engine = engine_at(there)
        there.on("/v1/completions", hang_up, events(*words("ok")))
        assert await written(engine) == "ok"
        assert len(there.to("/v1/completions")) == 2
        there.asked.clear()
        there.on("/v1/completions", events(*words("a", finish=None), cut=True), events(*words("never")))
        async with aclosing(engine.generate(REQUEST)) as chunks:
            assert (await anext(chunks)).text == "a"
            with pytest.raises(InklingError, match="broke off"):
                await anext(chunks)
        assert len(there.to("/v1/completions")) == 1
        await engine.transport.close()


async def test_leaving_a_stream_closes_the_connection() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words(*["w "] * 500), pause_s=0.01))
        engine = engine_at(there)
        async with aclosing(engine.generate(GenerateRequest("m", "x", max_tokens=500))) as chunks:
            await anext(chunks)
        await asyncio.wait_for(there.hung_up.wait(), 5)
        await engine.transport.close()


async def test_a_huge_body_and_an_endless_event_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_REPLY", 10_000)
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", reply(200, "[" + "1," * 10_000 + "1]"))
        assert (await refusal(engine_at(there))).reason == "bad-output"

        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ")
            while not writer.is_closing():
                writer.write(b"x" * 65_536)
                await writer.drain()

        there.on("/v1/completions", endless)
        assert (await refusal(engine_at(there))).reason == "bad-output"


async def test_a_remote_that_writes_on_and_on_is_stopped() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words(*["x" * 1000] * 50, finish=None)))
        engine = engine_at(there)
        assert len(await written(engine)) < 7000
        there.on("/v1/completions", events(*words("a = 1", "\nb = 2")))
        assert await written(engine, GenerateRequest("m", "x", stop=("\n",))) == "a = 1"  # it takes no notice of stops
        await engine.transport.close()


async def test_a_deadline_ends_a_slow_stream_in_its_own_words() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words(*["w "] * 100), pause_s=0.05))
        engine = engine_at(there)
        async with aclosing(engine.generate(GenerateRequest("m", "x", max_tokens=99, deadline_s=0.3))) as chunks:
            found = [chunk async for chunk in chunks]
        assert found[-1].finish == "deadline"
        assert 1 < len(found) < 20
        await engine.transport.close()


async def test_one_that_is_down_is_not_asked_at_every_keystroke() -> None:
    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        engine = engine_at(there)
        there.on("/v1/completions", hang_up)
        for _ in range(5):
            with pytest.raises(InklingError, match="closed the connection"):
                await written(engine)
        assert len(there.to("/v1/completions")) == 2
        engine.transport.patience.answered()
        there.on("/v1/completions", reply(429, {}, retry_after="60"))
        there.asked.clear()
        for _ in range(5):
            with pytest.raises(InklingError, match="Try again in 60 s"):
                await written(engine)
        assert len(there.to("/v1/completions")) == 1
        await engine.transport.close()


def test_patience_grows_and_ends() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    error = InklingError("remote-unreachable", "down")
    rests = []
    for _ in range(8):
        patience.unreachable(error)
        began = now
        while True:
            try:
                patience.check()
                break
            except InklingError:
                now += 0.5
        rests.append(now - began)
    assert rests == [1, 2, 4, 8, 16, 30, 30, 30]
    patience.asked_to_wait(error, 10_000)
    now += 121
    patience.check()
    patience.answered()
    assert patience.error is None


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("3", 3, 3),
        ("0.5", 0.5, 0.5),
        ("-1", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00", 0, 0),
    ],
)
def test_retry_after(value: str, low: float, high: float) -> None:
    seconds = retry_after_s({"retry-after": value})
    assert seconds is not None
    assert low <= seconds <= high
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


async def test_a_certificate_that_nobody_signed_is_refused_until_it_is_named(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with elsewhere(context) as there:
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words("ok")))
        error = await refusal(engine_at(there))
        assert error.reason == "remote-certificate"
        assert "self-signed" in str(error)
        assert there.asked == []
        engine = engine_at(there, ca_file=str(certificate[0]))
        assert await written(engine) == "ok"
        await engine.transport.close()
        for path in (certificate[1], certificate[0].with_name("none.pem")):
            broken = engine_at(there, ca_file=str(path))
            with pytest.raises(InklingError, match="ca_file") as caught:
                await written(broken)
            assert caught.value.reason == "remote-settings"


async def test_a_proxy_is_used_where_it_is_named_and_never_for_this_machine_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with elsewhere() as proxy, elsewhere() as there:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        there.on("/v1/models", models("m"))
        there.on("/v1/completions", events(*words("ok")))
        engine = engine_at(there)
        assert await written(engine) == "ok"
        assert proxy.asked == []
        await engine.transport.close()
        away = RemoteSettings(url="http://gpu.example:8000", allow_http=True, timeout_seconds=5)
        for settings in (away, RemoteSettings(**{**_fields(away), "proxy": f"http://127.0.0.1:{proxy.port}"})):
            proxy.asked.clear()
            proxy.on("http://gpu.example:8000/v1/models", models("m"))
            proxy.on("http://gpu.example:8000/v1/completions", events(*words("by proxy")))
            engine = OpenAIEngine(Transport("pool", settings))
            assert await written(engine) == "by proxy"
            assert len(proxy.asked) == 2
            await engine.transport.close()


def _fields(settings: RemoteSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__ if name != "REFUSED"}


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        ({"token_env": "NOT_SET"}, "remote-token", "the environment variable NOT_SET"),
        ({"token_keyring": "inkling"}, "remote-settings", "service/user"),
        ({"url": "http://gpu.example"}, "remote-settings", "without TLS"),
        ({"headers": {"Authorization": "Bearer x"}}, "remote-settings", "may hold a secret"),
    ],
)
async def test_what_must_not_be_sent_is_not_sent(changes: dict[str, Any], reason: str, says: str) -> None:
    async with elsewhere() as there:
        remote = Remote("pool", there.settings(**changes))
        checked = await remote.check()
        assert checked.error is not None
        assert (checked.error.reason, says in str(checked.error)) == (reason, True), checked.error
        assert there.asked == []
        await remote.close()


async def test_a_keyring_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    async with elsewhere() as there:
        there.on("/v1/models", models("m"))
        settings = there.settings(token_keyring="inkling/pool", kind="openai")
        monkeypatch.setitem(sys.modules, "keyring", None)
        checked = await Remote("pool", settings).check()
        assert checked.error is not None and "pip install keyring" in checked.error.hint
        kept = {("inkling", "pool"): SECRET}
        monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=lambda *entry: kept.get(entry)))
        remote = Remote("pool", settings)
        assert (await remote.check()).models == ("m",)
        assert there.asked[-1].headers["authorization"] == f"Bearer {SECRET}"
        await remote.close()
        kept.clear()
        checked = await remote.check()
        assert checked.error is not None and "keyring set inkling pool" in checked.error.hint
