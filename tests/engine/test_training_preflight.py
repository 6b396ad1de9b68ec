"""What is wrong with a run is told in one line by `inkling train`, before torch is loaded and anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inkling.training import preflight
from inkling.training.corpus.build import build_once
from inkling.training.errors import TrainingError

LINES = [f'{{"text": "{label} {n}", "label": "{label}", "topic": "t{n}"}}' for n in range(6) for label in ("a", "b")]
TOKENIZER = '[corpus]\nfolders = ["texts"]\n'
MODEL = 'corpus = "corpus"\ntokenizer = "tokenizer"\nout = "out"\n'
CLASSIFIER = 'name = "c"\nlabels = ["a", "b"]\ntrain = ["train.jsonl"]\nout = "out"\n'
RECIPES = {
    "tokenizer": f'corpus_out = "corpus"\nout = "out"\n{TOKENIZER}',
    "causal": MODEL,
    "masked": MODEL,
    "classifier": CLASSIFIER,
}


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    """A change of the folder: one file written."""

    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def remove(name: str) -> Callable[[Path], None]:
    """A change of the folder: one file less."""
    return lambda folder: (folder / name).unlink()


def train(*lines: str) -> Callable[[Path], None]:
    """A change of the classifier's data."""
    return write("train.jsonl", "\n".join(lines))


CASES: dict[str, tuple[str, Callable[[Path], None], list[str], str]] = {
    "no recipe": ("masked", remove("recipe.toml"), [], "recipe.toml: no such recipe"),
    "no TOML": ("masked", write("recipe.toml", "steps = \n"), [], "not valid TOML"),
    "unknown key": ("causal", write("recipe.toml", MODEL + "sed = 1\n"), [], "unknown key sed; did you mean seed?"),
    "bad value": ("classifier", train(*LINES), ["tune.epochs=0"], "must be at least 1"),
    "several mistakes": (
        "classifier",
        write("recipe.toml", CLASSIFIER.replace("train = ", "trian = ") + "seed = 1.5\n[tune]\nmethod = 'lorra'\n"),
        [],
        "recipe.toml: 4 mistakes.\n  unknown key trian; did you mean train?\n  seed must be a whole number, not 1.5.\n"
        "  tune.method must be one of 'bias-and-norm', 'lora', 'full', not 'lorra'. Did you mean 'lora'?\n"
        "  train is missing (a list of paths).\n",
    ),
    "a missing file": ("classifier", remove("train.jsonl"), [], "train.jsonl: no such file"),
    "no examples": ("classifier", train(), [], "no examples"),
    "one class": ("classifier", train(*LINES[::2]), [], "only label a has examples"),
    "a broken line": ("classifier", train(*LINES, "{oops"), [], "train.jsonl, line 13: not JSON"),
    "an unknown label": ("classifier", train(*LINES, LINES[0].replace('"a"', '"aa"')), [], "unknown label 'aa'"),
    "no text": ("classifier", write("train.jsonl", b"\xff\xfe"), [], "train.jsonl: not UTF-8 text"),
    "held out and trained on": ("classifier", train(*LINES), ['heldout=["train.jsonl"]'], "12 of its texts are also"),
    "few topics": ("classifier", train(*LINES), ["calibration.folds=9"], "6 topics cannot be dealt into 9 parts"),
    "few topics of one weight": (
        "classifier",
        train(*LINES, LINES[0].replace("a 0", "another").replace("}", ', "weight": 0.5}')),
        [],
        "1 topics cannot be dealt into 5 parts",
    ),
    "no package": (
        "classifier",
        train(*LINES),
        ['false_alarms={label="a", comments=["no-such-package"]}'],
        "not installed: no-such-package",
    ),
    "an unfinished run": (
        "classifier",
        write("out/run/recipe.json", '{"fingerprint": "other"}'),
        [],
        "an unfinished run of another recipe",
    ),
    "a corpus file that is no text": ("tokenizer", write("texts/b.py", b"a\0b"), [], "b.py: not a text file"),
    "no folder": ("tokenizer", train(), ['corpus.folders=["nowhere"]'], "nowhere: no such folder"),
    "no tokenizer": ("masked", remove("tokenizer/tokenizer.json"), [], "no such tokenizer"),
    "no corpus": ("causal", remove("corpus/train.jsonl"), [], "no such corpus file"),
    "an empty corpus": ("masked", write("corpus/train.jsonl", ""), [], "the corpus is empty"),
    "a damaged corpus": ("causal", write("corpus/train.jsonl", "{oops\n"), [], "line 1 is not a document"),
    "another run's checkpoint": (
        "causal",
        write("out/checkpoints/step-00000007/state.json", '{"recipe": "other-1"}'),
        [],
        "step-00000007: made by another recipe",
    ),
    "a file in the way": ("causal", write("out", "here"), [], "is a file. Give another --out"),
    "a full disk": ("tokenizer", write("full", ""), [], "no room, 1 MB are free"),
    "a locked folder": ("tokenizer", write("locked", ""), [], "cannot be looked at: Permission denied"),
}
"""By name: the kind of recipe, what is changed in a folder that is good, settings, what is told."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """(status, standard error) of each case, all in one process, and whether torch was loaded by the end."""
    root = tmp_path_factory.mktemp("bad")
    runs = []
    for name, (kind, change, settings, _) in CASES.items():
        folder = root / name
        good = {
            "recipe.toml": RECIPES[kind],
            "train.jsonl": "\n".join(LINES),
            "texts/a.py": "x = 1\n",
            "tokenizer/tokenizer.json": "{}",
            "corpus/train.jsonl": json.dumps({"package": "p", "path": "a.py", "text": "x = 1\n"}) + "\n",
        }
        for file, content in good.items():
            write(file, content)(folder)
        change(folder)
        words = [word for setting in settings for word in ("--set", setting)]
        runs.append([name, ["train", kind, str(folder / "recipe.toml"), *words]])
    script = root / "all.py"
    script.write_text(
        "import contextlib, io, json, shutil, sys\n"
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from inkling.cli import main\n"
        "real, exists, told = shutil.disk_usage, Path.exists, {}\n"
        "def locked(path):\n"
        "    raise PermissionError(13, 'Permission denied')\n"
        f"for name, words in {runs!r}:\n"
        "    full = name == 'a full disk'\n"
        "    shutil.disk_usage = (lambda path: SimpleNamespace(free=1_000_000)) if full else real\n"
        "    Path.exists = locked if name == 'a locked folder' else exists\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as errors:\n"
        "        told[name] = (main(words), errors.getvalue())\n"
        "told['torch'] = (int('torch' in sys.modules or 'transformers' in sys.modules), '')\n"
        "print(json.dumps(told))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    answers: dict[str, tuple[int, str]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("name", CASES)
def test_it_is_told_in_a_line_each(told: dict[str, tuple[int, str]], name: str) -> None:
    status, message = told[name]
    assert status == 1
    assert message.startswith("inkling train: ") and CASES[name][3] in message
    assert message.count("\n") == max(1, CASES[name][3].count("\n"))


def test_and_before_torch_is_loaded(told: dict[str, tuple[int, str]]) -> None:
    assert told["torch"][0] == 0


def test_a_corpus_that_is_there_needs_its_sources_no_more(tmp_path: Path) -> None:
    write("recipe.toml", RECIPES["tokenizer"])(tmp_path)
    write("texts/a.py", "x = 1\n" * 40)(tmp_path)
    recipe = preflight.tokenizer(tmp_path / "recipe.toml", None, {})
    build_once(recipe.corpus, recipe.corpus_out)
    (tmp_path / "texts" / "a.py").unlink()
    (tmp_path / "texts").rmdir()
    assert preflight.tokenizer(tmp_path / "recipe.toml", None, {}) == recipe
    with pytest.raises(TrainingError, match="no such folder"):
        preflight.tokenizer(tmp_path / "recipe.toml", None, {"corpus.near_copies": "1.0"})
