"""The causal recipe: data order, schedule, interrupted runs, bad input, and a model that loads and answers."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from inkling.engine.models.catalog import STARTER_FOLDER
from inkling.training import checkpoint as checkpoints
from inkling.training.causal import new_model, pretrain, run, save, train_from_recipe
from inkling.training.causal_recipe import CausalRecipe, FimRecipe, LoopRecipe, OptimizerRecipe, ShapeRecipe
from inkling.training.checkpoint import Checkpoints
from inkling.training.errors import CheckpointError, Stopped, TrainingError
from inkling.training.muon import Muon
from inkling.training.optim import schedule
from inkling.training.packing import Middle, TokenFile
from inkling.training.recipe import RecipeError, load_recipe
from inkling.training.tokenizer_recipe import END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX

REPOSITORY = Path(__file__).parents[2]
SHAPE = ShapeRecipe(layers=2, width=32, heads=2, kv_heads=1, inner=64)


@pytest.fixture
def recipe_file(tmp_path: Path, small_corpus: Path, small_tokenizer: Path) -> Path:
    path = tmp_path / "causal.toml"
    path.write_text(
        f"corpus = {json.dumps(str(small_corpus))}\ntokenizer = {json.dumps(str(small_tokenizer))}\nout = 'run'\n"
        "device = 'cpu'\n[shape]\nlayers = 2\nwidth = 32\nheads = 2\nkv_heads = 1\ninner = 64\n"
        "[loop]\nsteps = 4\nbatch = 4\ncontext = 128\n"
    )
    return path


@pytest.fixture
def recipe(tmp_path: Path, small_corpus: Path, small_tokenizer: Path) -> Callable[..., CausalRecipe]:
    def make(out: str = "run", shape: ShapeRecipe = SHAPE, **loop: Any) -> CausalRecipe:
        return CausalRecipe(
            corpus=small_corpus,
            tokenizer=small_tokenizer,
            out=tmp_path / out,
            device="cpu",
            shape=shape,
            loop=LoopRecipe(**{"steps": 8, "batch": 4, "context": 64, "evaluate_every": 4, "decay_steps": 3, **loop}),
            optimizer=OptimizerRecipe(warmup_steps=2),
        )

    return make


class Killed(BaseException):
    """Stands for a process that ends at once."""


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_stopped_run_resumes_to_the_same_weights(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = pretrain(recipe("whole"))

    def stop(*_: Any, **__: Any) -> float:
        signal.raise_signal(signal.SIGTERM)
        return 1.0

    with monkeypatch.context() as patch:
        patch.setattr("inkling.training.causal.bits_per_byte", stop)
        patch.setattr("inkling.training.causal.write_card", lambda *_: None)
        with pytest.raises(Stopped, match=r"stopped at step 4 of 8\. The same command goes on .* The model so far"):
            run(recipe("stopped"))
    assert (recipe("stopped").out / "model" / "model.safetensors").is_file()
    resumed, _, position = pretrain(recipe("stopped"))
    assert position.step == 8
    assert_same(weights(whole), weights(resumed))


def test_a_run_that_is_further_already_is_left_as_it_is(recipe: Any) -> None:
    pretrain(recipe("far"))
    with pytest.raises(CheckpointError, match="is at step 8 already"):
        pretrain(recipe("far", steps=6))


def test_a_killed_run_loses_only_what_came_after_its_checkpoint(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, _ = pretrain(recipe("whole", checkpoint_minutes=0.0))

    def kill(*_: Any, **__: Any) -> float:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("inkling.training.causal.bits_per_byte", kill)
        with pytest.raises(Killed):
            pretrain(recipe("killed", checkpoint_minutes=0.0))
    found = Checkpoints(recipe("killed").out / "checkpoints").latest()
    assert found is not None
    assert found.step == 3  # the fourth step was being measured
    resumed, _, _ = pretrain(recipe("killed"))
    assert_same(weights(whole), weights(resumed))


def test_processes_share_a_batch(recipe: Any) -> None:
    alone, _, _ = pretrain(recipe("alone"))
    shared, _, _ = pretrain(recipe("shared", processes=2))
    for name, value in weights(alone).items():
        torch.testing.assert_close(weights(shared)[name], value, atol=2e-3, rtol=0.1)


def test_a_run_can_be_made_longer(recipe: Any) -> None:
    _, _, first = pretrain(recipe())
    _, _, second = pretrain(recipe(steps=12))
    assert (first.step, second.step) == (8, 12)
    assert second.tokens == 12 * 4 * 64


def test_training_learns(recipe: Any) -> None:
    made = recipe(steps=60, batch=8, evaluate_every=20)
    pretrain(made)
    lines = [json.loads(line) for line in (made.out / "metrics.jsonl").read_text().splitlines()]
    held_out = [line["held_out_bits_per_byte"] for line in lines if "held_out_bits_per_byte" in line]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert held_out[-1] < held_out[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": ShapeRecipe(layers=2, width=64, heads=2, kv_heads=1, inner=64)}, "another recipe"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused(recipe: Any, change: dict[str, Any], message: str) -> None:
    pretrain(recipe(steps=1))
    with pytest.raises(CheckpointError, match=message):
        pretrain(recipe(steps=2, **change))


def test_a_checkpoint_of_another_shape_names_the_tensor(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 4)
    with pytest.raises(CheckpointError, match=r"weight is \(4, 2\), the model's is \(4, 3\)"):
        checkpoints.restore_module(model, torch.nn.Linear(2, 4).state_dict(), tmp_path)


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Checkpoints(tmp_path)
    store.save(1, {"a": torch.ones(3)}, {})

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(CheckpointError, match=r"the disk is full; .* step-00000001"):
        store.save(2, {"a": torch.zeros(3)}, {})
    found = store.latest()
    assert found is not None
    assert found.step == 1
    assert torch.equal(found.tensors["a"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    folder = store.save(1, {"a": torch.ones(3)}, {})
    (folder / "tensors.safetensors").write_bytes(b"\x08")
    with pytest.raises(CheckpointError, match="step-00000001: this checkpoint is damaged"):
        store.latest()


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        store.save(step, {"a": torch.full((2,), float(step))}, {"note": step})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    found = store.latest()
    assert found is not None
    assert found.state == {"note": 3, "step": 3}


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (80, 1.0), (90, 0.5), (99, 0.05), (100, 0.0)]
)
def test_schedule_warms_up_stays_and_decays(step: int, factor: float) -> None:
    assert schedule(step, 100, 10, 20) == pytest.approx(factor)


def test_epochs_repeat_and_differ(tmp_path: Path, raw_tokenizer: Any) -> None:
    texts = [f"def f{i}(x):\n    return x + {i}\n" * 9 for i in range(40)]
    tokens = TokenFile.prepare(texts, raw_tokenizer, tmp_path / "t.npy", "key")
    again = TokenFile.prepare([], raw_tokenizer, tmp_path / "t.npy", "key")  # from the disk: the texts aren't read
    one = tokens.epoch(0, 64, 1, FimRecipe(), raw_tokenizer)
    assert np.array_equal(one, again.epoch(0, 64, 1, FimRecipe(), raw_tokenizer))
    assert not np.array_equal(one, tokens.epoch(1, 64, 1, FimRecipe(), raw_tokenizer))
    assert tokens.bytes == sum(len(text) for text in texts)


def test_plain_windows_hold_the_corpus(tmp_path: Path, raw_tokenizer: Any) -> None:
    texts = [f"value_{i} = {i}\n" * 12 for i in range(30)]
    tokens = TokenFile.prepare(texts, raw_tokenizer, tmp_path / "t.npy", "key")
    windows = tokens.epoch(3, 32, 1, FimRecipe(rate=0, cut=0), raw_tokenizer)
    assert len(tokens.tokens) - 32 < windows.size <= len(tokens.tokens)
    counts = np.bincount(tokens.tokens) - np.bincount(windows.ravel(), minlength=tokens.tokens.max() + 1)
    assert counts.min() >= 0  # every window's token is the corpus's
    assert counts.sum() < 32  # and less than a window is left over


@pytest.mark.parametrize("spm", [0.0, 1.0])
def test_fim_windows_hold_the_text_in_order(raw_tokenizer: Any, spm: float) -> None:
    text = "".join(f"def name_{i}(self):\n    return self.value_{i}\n\n" for i in range(40))
    ids = np.array(raw_tokenizer.encode(text).ids[:96], dtype=np.uint16)
    whole = raw_tokenizer.decode(ids.tolist())
    end, prefix, suffix, middle = (raw_tokenizer.token_to_id(t) for t in (END, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE))
    turned = 0
    for seed in range(30):
        window = Middle(raw_tokenizer, FimRecipe(spm=spm)).turn(ids, np.random.default_rng(seed)).tolist()
        assert len(window) == 96
        if window == ids.tolist():
            continue
        turned += 1
        body = window[1 : window.index(end)]
        assert window[0] == prefix
        at, then = body.index(suffix), body.index(middle)
        if spm:
            assert at == 0
            after, rest = body[1:then], body[then + 1 :]
            parts = (rest, after)
        else:
            parts = (body[:at], body[then + 1 :], body[at + 1 : then])
        joined = "".join(raw_tokenizer.decode(part) for part in parts)
        assert joined in whole  # an end or two may be trimmed for the markers' sake, nothing is moved
        assert len(joined) > 0.8 * len(whole)
    assert turned > 20


def test_cut_windows_hold_the_text(raw_tokenizer: Any) -> None:
    text = "".join(f"def name_{i}(self):\n    return self.value_{i}\n\n" for i in range(40))
    ids = np.array(raw_tokenizer.encode(text).ids[:96], dtype=np.uint16)
    window = Middle(raw_tokenizer, FimRecipe()).cut(ids, np.random.default_rng(0))
    assert not np.array_equal(window, ids)
    assert raw_tokenizer.decode(ids.tolist()).startswith(raw_tokenizer.decode(window.tolist()))


def test_text_that_spells_a_special_token_is_text(tmp_path: Path, small_tokenizer: Path) -> None:
    from inkling.training.causal import plain_text_tokenizer

    raw = plain_text_tokenizer(small_tokenizer)
    tokens = TokenFile.prepare([f"a = '{END}'\n" * 8], raw, tmp_path / "t.npy", "key")
    assert (tokens.tokens == raw.token_to_id(END)).sum() == 1  # the document's own end


def bad(tmp_path: Path, recipe: CausalRecipe, what: str) -> CausalRecipe:
    empty = tmp_path / "empty"
    empty.mkdir(exist_ok=True)
    (empty / "train.jsonl").write_text("")
    broken = tmp_path / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "train.jsonl").write_text('{"package": "a", "path": "b", "text": "c"}\n{"package"\n')
    changes: dict[str, dict[str, Any]] = {
        "empty": {"corpus": empty},
        "absent": {"corpus": tmp_path / "nowhere"},
        "broken": {"corpus": broken},
        "tokenizer": {"tokenizer": tmp_path},
        "device": {"device": "warp"},
        "short": {"loop": LoopRecipe(steps=1, context=10**6)},
    }
    return dataclasses.replace(recipe, **changes[what])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("empty", "the corpus is empty"),
        ("absent", "nowhere/train.jsonl: no such corpus file"),
        ("broken", "line 2 is not a document"),
        ("tokenizer", "no such tokenizer"),
        ("device", "device 'warp' cannot be used here"),
        ("short", "fewer than one window"),
    ],
)
def test_bad_input_is_told(recipe: Any, tmp_path: Path, what: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        pretrain(bad(tmp_path, recipe(), what))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"loop.stpes": "3"}, "unknown key loop.stpes; did you mean loop.steps"),
        ({"shape.width": "33"}, "shape.width 33 must be a multiple of heads"),
        ({"loop.steps": "many"}, "loop.steps must be a whole number, not 'many'"),
        ({"fim.rate": "2"}, "fim.rate must lie between 0 and 1"),
        ({"optimizer.kind": "sgd"}, "optimizer.kind must be"),
    ],
)
def test_a_bad_recipe_names_its_key(setting: dict[str, str], message: str, recipe_file: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        train_from_recipe(recipe_file, None, setting)


@pytest.mark.parametrize("order", ["usual", "suffix-first", "none"])
def test_the_recipe_ends_in_a_model_that_loads_and_answers(
    recipe_file: Path, tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkling.engine.backend import Stop
    from inkling.engine.generation.text_generator import TextGenerator
    from inkling.engine.protocol import GenerateRequest

    monkeypatch.setattr("inkling.training.causal_card.CASES", 4)
    folder = train_from_recipe(recipe_file, tmp_path / "made", {"loop.steps": "40", "fim.order": order})
    assert load_file(folder / "model.safetensors")["model.norm.weight"].dtype == torch.bfloat16
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: ")
    for told in ("5-gram", "xz", "training tokens", "author:", "bits per byte"):
        assert told in card
    generator = TextGenerator("made", folder)
    assert json.loads((folder / "config.json").read_text()).get("inkling_fim", "usual") == order
    request = GenerateRequest(model="made", prompt="def compute_0(", max_tokens=8)
    assert "".join(chunk.text for chunk in generator.generate(request, Stop(None)))


@pytest.mark.parametrize(("name", "millions"), [("causal", 6.5), ("causal-gpu", 51.4)])
def test_a_shipped_recipe_has_its_size_and_runs(
    name: str,
    millions: float,
    tmp_path: Path,
    small_corpus: Path,
    small_tokenizer: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = REPOSITORY / "models" / "recipes" / f"{name}.toml"
    with torch.device("meta"):
        model = new_model(
            load_recipe(path, CausalRecipe).shape, AutoTokenizer.from_pretrained(STARTER_FOLDER / "code"), 1
        )
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    monkeypatch.setattr("inkling.training.causal.write_card", lambda *_: None)  # tested above, and half a minute here
    reduced = {"corpus": str(small_corpus), "tokenizer": str(small_tokenizer), "device": "cpu"}
    reduced |= {f"shape.{key}": str(value) for key, value in dataclasses.asdict(SHAPE).items()}
    reduced |= {f"loop.{key}": "1" for key in ("steps", "batch", "decay_batch", "processes")}
    reduced |= {"loop.context": "64", "loop.decay_context": "64", "loop.compile": "false"}
    assert (train_from_recipe(path, tmp_path / "made", reduced) / "model.safetensors").is_file()


def test_our_muon_steps_as_torch_does() -> None:
    """Torch computes in bf16, whose rounding is all that may differ."""
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((24, 16), (16, 40), (16, 40))]
    ours, theirs = ([torch.nn.Parameter(w.clone()) for w in start] for _ in range(2))
    steppers = (
        Muon(ours, lr=0.02, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for weights_, stepper in zip((ours, theirs), steppers, strict=True):
            for number, weight in enumerate(weights_):
                torch.manual_seed(number)
                weight.grad = torch.randn(weight.shape) * weight.detach().sign()
            stepper.step()
    for mine, torchs, before in zip(ours, theirs, start, strict=True):
        moved = (torchs - before).norm()
        assert (mine - torchs).norm() < 0.02 * moved


def test_a_run_goes_on_from_a_models_weights(recipe: Any, small_tokenizer: Path) -> None:
    first = recipe("first", steps=40)
    model, tokenizer, position = pretrain(first)
    save(model, tokenizer, first.out / "model", context=position.context, fim_order="usual")
    fresh, further = recipe("fresh", steps=1), dataclasses.replace(recipe("further", steps=1), init=first.out / "model")
    pretrain(fresh)
    pretrain(further)

    def loss(made: CausalRecipe) -> float:
        return float(json.loads((made.out / "metrics.jsonl").read_text().splitlines()[0])["loss"])

    assert loss(further) < 0.9 * loss(fresh)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no weights"), "cannot be read"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json cannot be read"),
        (lambda folder: shutil.copy(STARTER_FOLDER / "code/tokenizer.json", folder), "another vocabulary"),
        (lambda folder: shutil.copy(STARTER_FOLDER / "code/model.safetensors", folder), "another shape"),
    ],
)
def test_weights_that_cannot_be_gone_on_from(recipe: Any, spoil: Callable[[Path], object], message: str) -> None:
    first = recipe("first", steps=1)
    model, tokenizer, position = pretrain(first)
    save(model, tokenizer, first.out / "model", context=position.context, fim_order="usual")
    spoil(first.out / "model")
    with pytest.raises(TrainingError, match=message):
        pretrain(dataclasses.replace(recipe("further"), init=first.out / "model"))
