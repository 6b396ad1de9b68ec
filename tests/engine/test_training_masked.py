"""The masked recipe: a BERT from a config that learns, resumes, loads and fills in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inkling.training.errors import CheckpointError, TrainingError
from inkling.training.masked import MASK, train_from_recipe
from inkling.training.recipe import RecipeError


@pytest.fixture
def recipe_file(tmp_path: Path, small_corpus: Path, small_tokenizer: Path) -> Path:
    path = tmp_path / "masked.toml"
    path.write_text(
        f"corpus = {json.dumps(str(small_corpus))}\ntokenizer = {json.dumps(str(small_tokenizer))}\nout = 'run'\n"
        "device = 'cpu'\nsteps = 6\nbatch = 4\ncontext = 32\nsave_every = 3\nrate = 5e-3\n"
        "[shape]\nlayers = 1\nwidth = 32\nheads = 2\ninner = 64\n"
    )
    return path


def history(run: Path, step: int) -> list[dict[str, float]]:
    state = json.loads((run / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return list(state["log_history"])


def test_the_recipe_ends_in_a_model_that_fills_in(
    recipe_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from inkling.engine.backend import Stop
    from inkling.engine.models.store import create_backend
    from inkling.engine.protocol import Task

    folder = train_from_recipe(recipe_file, tmp_path / "made", {"steps": "120", "save_every": "60"})
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= {p.name for p in folder.iterdir()}
    card = (folder / "README.md").read_text()
    assert 'pipeline_tag: "fill-mask"' in card
    assert "held-out loss" in card
    losses = [entry["loss"] for entry in history(tmp_path / "made", 120) if "loss" in entry]
    assert losses[-1] < losses[0]
    shown = capfd.readouterr()
    assert shown.out == "" and "masked 1/120" in shown.err
    assert "{'" not in shown.err and "it/s" not in shown.err, "Trainer's own lines and bars"
    engine = create_backend(device="cpu", threads=1)
    model = engine.load(str(folder), Task.FILL_MASK, quantization="auto", on_progress=lambda share: None)
    (fills,) = model.run([f"def parse{MASK}(self, values"], {"top_k": 3}, Stop())
    assert len(fills) == 3 and all(0 < fill["score"] < 1 for fill in fills)


def test_a_run_resumes_from_its_checkpoint(recipe_file: Path, tmp_path: Path) -> None:
    train_from_recipe(recipe_file, tmp_path / "run", {"steps": "3"})
    at_three = (tmp_path / "run" / "checkpoints" / "checkpoint-3" / "model.safetensors").read_bytes()
    train_from_recipe(recipe_file, tmp_path / "run", {"steps": "6"})
    assert (tmp_path / "run" / "checkpoints" / "checkpoint-6").is_dir()
    assert (tmp_path / "run" / "checkpoints" / "checkpoint-3" / "model.safetensors").read_bytes() == at_three


def test_a_checkpoint_of_another_shape_is_refused(recipe_file: Path, tmp_path: Path) -> None:
    train_from_recipe(recipe_file, tmp_path / "run", {"steps": "3"})
    with pytest.raises(CheckpointError, match="a checkpoint of another shape: "):
        train_from_recipe(recipe_file, tmp_path / "run", {"shape.inner": "96"})


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"masked_share": "0"}, RecipeError, "masked_share must lie between 0 and 1"),
        ({"shape.heads": "3"}, RecipeError, "shape.width 32 must be a multiple of heads 3"),
        ({"tokenizer": "nowhere"}, TrainingError, "no such tokenizer"),
        ({"corpus": "nowhere"}, TrainingError, "no such corpus file"),
        ({"context": "1000000"}, TrainingError, "fewer than one window"),
    ],
)
def test_bad_input_is_told(recipe_file: Path, setting: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train_from_recipe(recipe_file, None, setting)
