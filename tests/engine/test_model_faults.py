"""Every way a model can be bad ends in one message that names the thing and the way out; good models load after it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from inkling.engine.backend import Stop
from inkling.engine.models import quantize, quantize_cache
from inkling.engine.models.device import pick_device
from inkling.engine.models.store import create_backend
from inkling.engine.protocol import GenerateRequest
from inkling.errors import InklingError

TASK = "text-classification"
SHAPE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}


@pytest.fixture(scope="session")
def backend() -> Any:
    return create_backend(device="cpu", threads=2)


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "model", "text"]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=32, num_labels=3, **SHAPE)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer = transformers.BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    (folder / "vocab.txt").unlink()
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(good_folder: Path, tmp_path: Path) -> Path:
    """A copy of a good model to damage."""
    return Path(shutil.copytree(good_folder, tmp_path / "model"))


def load(backend: Any, model: str, task: str = TASK, quantization: str = "auto") -> Any:
    return backend.load(model, task, quantization=quantization, on_progress=lambda fraction: None)


def refused(backend: Any, model: str, task: str = TASK) -> InklingError:
    """The error of loading, which says what to do; estimating agrees or is content with the headers."""
    with pytest.raises(InklingError) as caught:
        load(backend, model, task)
    assert caught.value.hint
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return caught.value


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def rename_tensor(path: Path, old: str, new: str) -> None:
    tensors = load_file(path)
    tensors[new] = tensors.pop(old)
    save_file(tensors, path, metadata={"format": "pt"})


def to_pickle(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def config_says(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / "config.json", **changes)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "weights-missing", "no model.safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "weights-missing", "no config.json"),
    "empty weights": (lambda f: cut(f / "model.safetensors", 0), "weights-corrupt", "it is empty"),
    "cut header": (lambda f: cut(f / "model.safetensors", 100), "weights-corrupt", "cut short"),
    "cut data": (lambda f: cut(f / "model.safetensors", -10), "weights-corrupt", "cut short"),
    "noise": (lambda f: (f / "model.safetensors").write_bytes(b"\xaa" * 5000), "weights-corrupt", "model.safetensors"),
    "other shape": (config_says(intermediate_size=64), "weights-corrupt", "cannot be loaded"),
    "no head": (
        lambda f: rename_tensor(f / "model.safetensors", "classifier.weight", "other.weight"),
        "weights-corrupt",
        "lacks 1 of its tensors, classifier.weight",
    ),
    "nonsense config": (config_says(hidden_size="wide"), "weights-corrupt", "cannot be loaded"),
    "config cut": (lambda f: cut(f / "config.json", 50), "weights-corrupt", "config.json"),
    "unheard of": (config_says(model_type="xyzzy"), "unknown-architecture", "'xyzzy'"),
    "no tokenizer": (lambda f: [p.unlink() for p in f.glob("*token*")], "no-tokenizer", "has no tokenizer"),
    "bad tokenizer": (lambda f: cut(f / "tokenizer.json", 60), "no-tokenizer", "cannot be loaded"),
    "pickle": (to_pickle, "pickle-only", "pytorch_model.bin"),
    "code": (config_says(auto_map={"AutoConfig": "evil.Config"}), "remote-code", "never runs"),
    "tokenizer code": (
        lambda f: change_json(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}),
        "remote-code",
        "never runs",
    ),
    "no known head": (config_says(architectures=["Bert"]), "wrong-task", "no known head"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_models(damage: str, folder: Path, good_folder: Path, backend: Any) -> None:
    break_it, reason, says = DAMAGES[damage]
    break_it(folder)
    error = refused(backend, str(folder))
    assert (error.reason, says in error.message) == (reason, True), str(error)
    assert str(folder) in error.message
    (labels,) = load(backend, str(good_folder)).run(["a good text"], {}, Stop())
    assert len(labels) == 3


def test_no_code_of_a_model_runs(folder: Path, backend: Any, tmp_path: Path) -> None:
    """Remote code, a pickle with a payload under either name, and a module beside the weights: none leaves a trace."""
    trace = tmp_path / "trace"

    class Payload:
        def __reduce__(self) -> Any:
            return (trace.write_text, ("ran",))

    evil = f"from pathlib import Path\nPath({str(trace)!r}).write_text('ran')\nclass Config: ...\n"
    for name in ("evil.py", "configuration_bert.py", "modeling_bert.py", "tokenization_bert.py"):
        (folder / name).write_text(evil)
    load(backend, str(folder)).close()
    change_json(folder / "config.json", auto_map={"AutoConfig": "evil.Config"}, model_type="evil")
    assert refused(backend, str(folder)).reason == "remote-code"
    assert refused(backend, str(folder), "text-generation").reason in ("remote-code", "wrong-task")
    change_json(folder / "config.json", auto_map=None, model_type="bert")
    torch.save({"payload": Payload()}, folder / "model.safetensors")
    assert refused(backend, str(folder)).reason == "weights-corrupt"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refused(backend, str(folder)).reason == "pickle-only"
    assert not trace.exists()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("org/never-downloaded", "model-not-found"),
        ("starter:nonesuch", "model-not-found"),
        ("/no/such/folder", "model-not-found"),
        ("../../etc", "bad-model-id"),
        ("./model", "bad-model-id"),
        ("org/../../x", "bad-model-id"),
        ("a\0b", "bad-model-id"),
        ("/etc\0/passwd", "bad-model-id"),
        ("", "bad-model-id"),
        ("https://example.org/model", "bad-model-id"),
    ],
)
@pytest.mark.parametrize("task", [TASK, "text-generation"])
def test_unknown_and_hostile_ids(model: str, reason: str, task: str, backend: Any) -> None:
    assert refused(backend, model, task).reason == reason
    with pytest.raises(InklingError):
        backend.estimate_bytes(model, task, quantization="auto")


def test_a_model_for_another_task(folder: Path, backend: Any) -> None:
    error = refused(backend, str(folder), "feature-extraction")
    assert error.reason == "wrong-task"
    assert "it is for text-classification" in error.message
    assert "starter:encoder" in error.hint


def test_a_bad_device_is_named() -> None:
    for name in ("cuda:77", "gpu", "cuda:x", "../cpu"):
        with pytest.raises(InklingError) as caught:
            pick_device(name)
        assert caught.value.reason == "bad-device"
        assert name in caught.value.message


def test_the_estimate_is_near_what_is_used(good_folder: Path, backend: Any) -> None:
    for model, task in ((str(good_folder), TASK), ("starter:encoder", "feature-extraction")):
        estimate = backend.estimate_bytes(model, task, quantization="auto")
        loaded = load(backend, model, task)
        assert loaded.bytes <= estimate <= loaded.bytes + (40 << 20)


def no_space(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["mkdtemp", "rename", "full"])
def test_a_full_disk_costs_the_cache_not_the_model(
    where: str, tiny_lm: Callable[[str], Path], backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(quantize, "WORTH_CACHING_BYTES", 0)
    monkeypatch.setattr(quantize_cache, "root", lambda: tmp_path / "cache")
    if where == "mkdtemp":
        monkeypatch.setattr("tempfile.mkdtemp", no_space)
    elif where == "rename":
        monkeypatch.setattr(Path, "rename", no_space)
    else:
        monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
    model = load(backend, str(tiny_lm("llama")), "text-generation", "int8")
    request = GenerateRequest(model=model.id, prompt="def function", max_tokens=3)
    chunks = list(model.generate(request, Stop()))
    assert sum(chunk.tokens for chunk in chunks) == 3
    assert "quantized-cache-unavailable" in [notice for chunk in chunks for notice in chunk.notices]
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
