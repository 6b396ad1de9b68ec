"""`inkling models …`: what it prints, what it refuses, and downloads from a hub on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inkling.cli import main
from inkling.engine.models import catalog, pull, recommend, starters
from inkling.engine.models.recommend import CANDIDATES, Machine
from inkling.engine.models.seal import describe, seal
from inkling.engine.protocol import Task

from .hub import COMMIT, Hub, classifier, serve

GOOD = {
    **classifier(100_000),
    "pytorch_model.bin": b"never wanted",
    "modeling_evil.py": b"never wanted",
    "onnx/model.onnx": b"never wanted",
}
WEIGHTS = GOOD["model.safetensors"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with some models, an empty cache, no saved token in the way."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("INKLING_CONFIG", str(tmp_path / "user" / "inkling.toml"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.chdir(tmp_path)
    code = {**GOOD, "config.json": b'{"auto_map": {"AutoModel": "modeling_evil.Evil"}}'}
    pickle = {name: content for name, content in GOOD.items() if name != "model.safetensors"}
    gguf = {"model.gguf": b"GGUF"}
    repositories = {"org/good": GOOD, "org/code": code, "org/pickle": pickle, "org/gguf": gguf, "org/gated": GOOD}
    with serve(Hub(repositories, gated={"org/gated"})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """(status, standard output, standard error) of `inkling models …`."""
    status = main(["models", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_pull_takes_what_is_safe_and_verifies_it(hub: Hub, capsys: Any) -> None:
    status, out, _ = run(capsys, "pull", "org/good", "--yes", "--json")
    assert status == 0
    assert json.loads(out)["tasks"] == ["text-classification"]
    snapshot = catalog.resolve("org/good").path
    assert {str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()} == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "README.md"
    }  # fmt: skip
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS
    assert not any("never" in request or ".py" in request or ".bin" in request for request in hub.requests)
    assert hub.tokens == {""}, "the user's token was sent without being asked for"
    status, out, _ = run(capsys, "list", "--json")
    assert "org/good" in [entry["id"] for entry in json.loads(out)]
    assert run(capsys, "verify", "org/good")[:2] == (0, "ok  org/good  0.1 MB, sha256 of 1 files\n")


def test_pulling_again_fetches_nothing(hub: Hub, capsys: Any) -> None:
    assert run(capsys, "pull", "org/good@main", "--yes")[0] == 0
    before = hub.fetched("model.safetensors")
    assert run(capsys, "pull", f"org/good@{COMMIT}")[0] == 0  # nothing to ask about either
    assert hub.fetched("model.safetensors") == before == 1
    assert run(capsys, "pull", "org/good", "--force", "--yes")[0] == 0
    assert hub.fetched("model.safetensors") == 2


@pytest.mark.parametrize("model", ["org/good", "org/good@main"])
def test_what_was_consented_to_is_fetched_though_the_branch_moved(model: str, hub: Hub) -> None:
    planned = pull.plan(model)
    hub.commit = "f" * 40
    pull.fetch(planned, quiet=True)
    assert planned.commit == COMMIT
    assert catalog.resolve(model).path.name == COMMIT


def test_an_interrupted_download_goes_on(hub: Hub, capsys: Any) -> None:
    hub.cut.add("model.safetensors")
    first = run(capsys, "pull", "org/good", "--yes")
    if first[0] != 0:  # the hub's library may go on by itself
        assert "pull again" in first[2]
        assert run(capsys, "pull", "org/good", "--yes")[0] == 0
    assert catalog.verify("org/good").bytes == len(WEIGHTS)
    assert hub.fetched("model.safetensors") == 2


def test_damage_on_the_way_is_found(hub: Hub, capsys: Any) -> None:
    hub.damaged.add("model.safetensors")
    status, _, err = run(capsys, "pull", "org/good", "--yes")
    assert status == 1
    assert "model.safetensors" in err and "--force" in err
    hub.damaged.clear()
    assert run(capsys, "pull", "org/good", "--force", "--yes")[0] == 0


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("org/none", "has no public model org/none"),
        ("org/good@v9", "no such revision"),
        ("org/gated", "accepted its terms"),
        ("org/pickle", "pytorch_model.bin only"),
        ("org/code", "never runs"),
        ("org/gguf", "no model.safetensors"),
        ("../x", "is not a hub id"),
        ("starter:tone", "is not a hub id"),
    ],
)
def test_pull_refuses(model: str, says: str, hub: Hub, capsys: Any) -> None:
    status, out, err = run(capsys, "pull", model, "--yes")
    assert (status, out) == (1, "")
    assert says in err and err.count("\n") == 1
    assert hub.fetched("model.safetensors") == 0


def test_nothing_is_downloaded_without_consent(hub: Hub, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __init__(self, reply: str) -> None:
            self.reply = reply

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.reply

    status, _, err = run(capsys, "pull", "org/good")
    assert (status, hub.fetched("model.safetensors")) == (1, 0)
    assert "--yes" in err
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    status, _, err = run(capsys, "pull", "org/good")
    assert (status, hub.fetched("model.safetensors")) == (1, 0)
    assert "Download 0.1 MB in 5 files" in err and "licence: apache-2.0" in err
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run(capsys, "pull", "org/good")[0] == 0


def test_offline_is_said(hub: Hub, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    status, _, err = run(capsys, "pull", "org/good", "--yes", "--endpoint", address)
    assert status == 1
    assert f"{address} cannot be reached" in err
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in run(capsys, "pull", "org/good", "--yes")[2]
    assert hub.requests == []
    for address in ("http://example.org", "ftp://x", "file:///etc", "http://localhost.example.org"):
        assert "not a safe address" in run(capsys, "pull", "org/good", "--endpoint", address)[2]


def test_a_full_disk_is_told_before_the_download(hub: Hub, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "disk_free", lambda _: 50_000)
    status, _, err = run(capsys, "pull", "org/good", "--yes")
    assert status == 1
    assert "needs 0 MB" in err and "HF_HOME" in err
    assert hub.fetched("model.safetensors") == 0


def test_use_writes_the_users_settings(hub: Hub, capsys: Any, tmp_path: Path) -> None:
    run(capsys, "pull", "org/good", "--yes")
    for word in ("text-classification", "classify", "classify.model"):
        assert run(capsys, "use", word, "org/good")[0] == 0
        assert (tmp_path / "user" / "inkling.toml").read_text() == '[classify]\nmodel = "org/good"\n'
        (tmp_path / "user" / "inkling.toml").unlink()
    assert run(capsys, "use", "search.model", "starter:encoder", "--workspace")[0] == 0
    assert (tmp_path / "inkling.toml").read_text() == '[search]\nmodel = "starter:encoder"\n'


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["summarization", "org/good"], "cannot do summarization"),
        (["summarize", "org/absent"], "inkling models pull org/absent"),
        (["fill-mask", "starter:encoder"], "No bundled feature does fill-mask"),
        (["nonsense", "starter:encoder"], "neither a task nor a setting"),
    ],
)
def test_use_refuses(words: list[str], says: str, hub: Hub, capsys: Any, tmp_path: Path) -> None:
    run(capsys, "pull", "org/good", "--yes")
    status, _, err = run(capsys, "use", *words)
    assert status == 1
    assert says in err
    assert not (tmp_path / "user").exists()


def test_show_and_list(hub: Hub, capsys: Any) -> None:
    status, out, _ = run(capsys, "show", "starter:encoder", "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["parameters"], facts["context_window"]) == (22_713_728, 512)
    status, out, _ = run(capsys, "show", "starter:encoder")
    assert "22.7 M" in out and "chat template" not in out
    out = run(capsys, "show", "starter:tone")[1]
    assert "31,875" in out and "chat template" not in out
    assert "chat template" in run(capsys, "show", "starter:code")[1]
    assert run(capsys, "show", "org/absent")[0] == 1
    status, out, _ = run(capsys, "list", "--task", "feature-extraction")
    assert "starter:encoder" in out and "starter:summary" not in out
    assert "No models for translation here" in run(capsys, "list", "--task", "translation")[1]


def test_unusable_models_are_listed_with_the_reason(hub: Hub, capsys: Any, tmp_path: Path) -> None:
    run(capsys, "pull", "org/good", "--yes")
    (catalog.resolve("org/good").path / "model.safetensors").unlink()
    _, out, _ = run(capsys, "list", "--json")
    (entry,) = [entry for entry in json.loads(out) if entry["id"] == "org/good"]
    assert (entry["usable"], entry["reason"]) == (False, "weights-missing")
    assert "cannot be used" in run(capsys, "list")[1]


def test_verify_is_the_exit_status(capsys: Any) -> None:
    status, out, _ = run(capsys, "verify", "starter:encoder", "starter:nonesuch")
    assert status == 1
    assert out.startswith("ok  starter:encoder") and "BAD starter:nonesuch" in out


GB = 1_000_000_000


@pytest.mark.parametrize(
    ("machine", "model", "verdict", "quantization"),
    [
        (Machine(16 * GB, 8, 100 * GB), "Qwen/Qwen2.5-Coder-0.5B", "good", "int8"),
        (Machine(16 * GB, 2, 100 * GB), "Qwen/Qwen2.5-Coder-7B", "slow", "int8"),
        (Machine(9 * GB, 2, 100 * GB), "Qwen/Qwen2.5-Coder-7B", "slow", "nf4"),
        (Machine(4 * GB, 8, 100 * GB), "Qwen/Qwen2.5-Coder-7B", "needs-memory", "nf4"),
        (Machine(16 * GB, 8, GB), "Qwen/Qwen2.5-Coder-1.5B", "needs-disk", "int8"),
        (Machine(16 * GB, 2, 100 * GB, "GPU", 24 * GB), "Qwen/Qwen2.5-Coder-7B", "good", "nf4"),
        (Machine(16 * GB, 2, 100 * GB, "GPU", 80 * GB), "Qwen/Qwen2.5-Coder-7B", "good", "none"),
        (Machine(4 * GB, 2, 100 * GB), "BAAI/bge-small-en-v1.5", "good", "none"),
    ],
)
def test_recommend(machine: Machine, model: str, verdict: str, quantization: str) -> None:
    advice = {one.candidate.id: one for one in recommend.recommend(machine)}
    assert len(advice) == len(CANDIDATES)
    assert (advice[model].verdict, advice[model].quantization) == (verdict, quantization)


def test_recommend_prints_each_task(hub: Hub, capsys: Any) -> None:
    status, out, _ = run(capsys, "recommend", "--json")
    report = json.loads(out)
    assert status == 0
    assert {row["task"] for row in report["models"]} == set(Task)
    for row in report["models"]:
        assert row["licence"] and row["download_mb"] and row["needs"]
    assert "Qwen/Qwen2.5-Coder-0.5B" in run(capsys, "recommend", "text-generation")[1]
    assert run(capsys, "recommend", "nonsense")[0] == 1
    assert hub.requests == []


def test_every_candidate_is_a_valid_hub_id() -> None:
    assert all(catalog.hub_cache.parse_hub_id(candidate.id) for candidate in CANDIDATES)
    assert len({candidate.id for candidate in CANDIDATES}) == len(CANDIDATES)


def test_seal_writes_what_verify_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "mood"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "inkling-encoder-head", "task": "text-classification"}')
    (model / "adapter.safetensors").write_bytes(WEIGHTS)
    (model / "README.md").write_text(
        '---\nlicense: "mit"\nlanguage: ["en"]\n---\n\n# Mood\n\nTells *moods*\napart. More.\n'
    )
    facts = seal(tmp_path)
    assert facts["mood"]["description"] == "Tells moods apart."
    assert describe(tmp_path) == facts == json.loads((tmp_path / "catalog.json").read_text())
    monkeypatch.setattr(starters, "STARTER_FOLDER", tmp_path)
    assert catalog.verify("starter:mood").licence == "mit"
