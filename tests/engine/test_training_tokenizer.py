"""The tokenizer recipe, the recipes' common loader, and `inkling train`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.cli import main
from inkling.training.card import ModelCard, Result
from inkling.training.errors import TrainingError
from inkling.training.recipe import RecipeError, fingerprint, load_recipe, parse_override
from inkling.training.tokenizer import (
    train_from,
    train_from_recipe,
    train_from_scratch,
    wrap,
)
from inkling.training.tokenizer_recipe import SPECIAL_TOKENS

SOURCE = "def add(self, value):\n    if value:\n        return self.total + value\n\n    return None\n"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return wrap(train_from_scratch([SOURCE] * 20, 400), context=128)


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    ids = TINY.encode(text, add_special_tokens=False).ids
    assert TINY.decode(ids, skip_special_tokens=False) == text


TINY = train_from_scratch([SOURCE], 300)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("if x:\n    return", ["if", "Ġx", ":", "ĊĠĠĠĠ", "return"]),
        ("a\n\n\n  b", ["a", "ĊĊĊĠĠ", "b"]),
        ("self._name", ["self", "._", "name"]),
        ("x  y", ["x", "ĠĠ", "y"]),
        ("12345", ["123", "45"]),
        (" == ", ["Ġ==", "Ġ"]),
    ],
)
def test_pieces_suit_code(text: str, pieces: list[str]) -> None:
    assert [piece for piece, _ in TINY.pre_tokenizer.pre_tokenize_str(text)] == pieces


def test_special_tokens_are_single_and_named(tokenizer: Any) -> None:
    for token in SPECIAL_TOKENS:
        assert len(tokenizer.encode(token, add_special_tokens=False)) == 1
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<|fim_pad|>")
    assert tokenizer.model_max_length == 128


def test_chat_template_renders(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "hello"}]
    told = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert told == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"


def test_retrained_from_an_iterator_keeps_its_kind(tokenizer: Any) -> None:
    other = train_from(tokenizer, (f"while count < {i}:\n    count += 1\n" for i in range(50)), 380)
    assert len(other) <= 380
    assert "while" in other.get_vocab()
    assert other.tokenize("x:\n    y")[-2:] == ["ĊĠĠĠĠ", "y"]
    assert set(SPECIAL_TOKENS) <= set(other.all_special_tokens)


def test_no_text_is_an_error() -> None:
    with pytest.raises(TrainingError, match="the corpus is empty"):
        train_from_scratch(iter([]), 300)


def recipe_text(sources: Path, **keys: Any) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(
        ["out = 'tokenizer'", "corpus_out = 'corpus'", *lines, "[corpus]", f"folders = [{json.dumps(str(sources))}]"]
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    for i in range(12):
        (folder / f"m{i}.py").write_text("".join(f"def f_{i}_{j}(x):\n    return x * {i + j}\n" for j in range(i + 4)))
    return folder


@pytest.mark.parametrize(
    ("held_out", "share", "measured_on"), [(["other"], 0.0, "held-out"), ([], 0.9, "held-out"), ([], 0.0, "training")]
)
def test_recipe_ends_in_a_tokenizer_with_a_card(
    tmp_path: Path, sources: Path, capsys: Any, held_out: list[str], share: float, measured_on: str
) -> None:
    from transformers import AutoTokenizer

    path = tmp_path / "tokenizer.toml"
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.py").write_text("def other(first, second):\n    return first - second\n" * 4)
    recipe = recipe_text(sources, vocabulary=300).replace("folders = [", f"folders = [{json.dumps(str(other))}, ")
    path.write_text(f"{recipe}\nheld_out = {json.dumps(held_out)}\nheld_out_share = {share}\n")
    assert main(["train", "tokenizer", str(path), "--set", "corpus.near_copies=1"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert 256 + len(SPECIAL_TOKENS) < AutoTokenizer.from_pretrained(folder).vocab_size <= 300
    card = (folder / "README.md").read_text()
    assert f"bytes per token, {measured_on} text" in card
    assert (tmp_path / "corpus" / "train.jsonl").is_file()


@pytest.mark.parametrize(
    ("keys", "overrides", "message"),
    [
        ({"vocabulary": 20}, {}, "vocabulary must be at least"),
        ({"vocabluary": 300}, {}, "unknown key vocabluary; did you mean vocabulary"),
        ({"vocabulary": "big"}, {}, "vocabulary must be a whole number, not 'big'"),
        ({}, {"corpus.patterns": '["*.rs"]'}, r"no file matches \*.rs"),
        ({}, {"corpus.folders": '["nowhere"]'}, "nowhere: no such folder"),
        ({}, {"corpus.folders": "[]"}, "a corpus needs folders"),
    ],
)
def test_bad_recipes_say_why(
    tmp_path: Path, sources: Path, keys: dict[str, Any], overrides: Mapping[str, str], message: str
) -> None:
    path = tmp_path / "tokenizer.toml"
    path.write_text(recipe_text(sources, **keys))
    with pytest.raises(TrainingError, match=message):
        train_from_recipe(path, None, overrides)


def test_the_command_line_tells_errors_in_one_line(tmp_path: Path, capsys: Any) -> None:
    assert main(["train", "causal", str(tmp_path / "none.toml"), "--steps", "3"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("inkling train: ")
    assert "no such recipe" in told
    assert told.count("\n") == 1


@dataclass(frozen=True)
class Part:
    size: int = 1


@dataclass(frozen=True)
class Sample:
    name: str
    share: float = 0.5
    kind: Literal["small", "large"] = "small"
    place: Path | None = None
    words: tuple[str, ...] = ()
    part: Part = field(default_factory=Part)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("name = 'a'", {}, Sample("a")),
        ("name = 'a'\nshare = 1", {}, Sample("a", share=1.0)),
        ("name = 'a'\nwords = ['x', 'y']", {"part.size": "3"}, Sample("a", words=("x", "y"), part=Part(3))),
        ("name = 'a'", {"name": "plain words"}, Sample("plain words")),
        ("name = 'a'\nkind = 'large'", {}, Sample("a", kind="large")),
    ],
)
def test_recipes_become_dataclasses(tmp_path: Path, text: str, overrides: Mapping[str, str], expected: Sample) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    assert load_recipe(path, Sample, overrides) == expected


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("name = 'a'\nplace = 'data'")
    assert load_recipe(path, Sample).place == tmp_path / "data"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name is missing \\(a string\\)"),
        ("name = 3", "name must be a string, not 3"),
        ("name = 'a'\nshare = true", "share must be a number, not True"),
        ("name = 'a'\nkind = 'larg'", "kind must be one of 'small', 'large', not 'larg'. Did you mean 'large'"),
        ("name = 'a'\n[part]\nsiez = 1", "unknown key part.siez; did you mean part.size"),
        ("name = 'a'\npart = 3", "part must be a table, not 3"),
        ("name = 'a'\nwords = [1]", r"words\[0\] must be a string, not 1"),
        ("name = ", "not valid TOML"),
    ],
)
def test_bad_recipes_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path, Sample)
    assert str(path) in str(caught.value)


def test_a_recipe_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match="not UTF-8 text"):
        load_recipe(path, Sample)


@pytest.mark.parametrize(("text", "pair"), [("a=1", ("a", "1")), (" a.b = x=y", ("a.b", "x=y"))])
def test_overrides_are_split(text: str, pair: tuple[str, str]) -> None:
    assert parse_override(text) == pair


@pytest.mark.parametrize("text", ["steps", "=3", ""])
def test_overrides_need_a_key_and_a_value(text: str) -> None:
    with pytest.raises(RecipeError, match="expected key=value"):
        parse_override(text)


def test_fingerprint_follows_values_and_ignores_what_may_change() -> None:
    assert fingerprint(Sample("a")) == fingerprint(Sample("a"))
    assert fingerprint(Sample("a")) != fingerprint(Sample("b"))
    assert fingerprint(Sample("a"), ignore=("name",)) == fingerprint(Sample("b"), ignore=("name",))


def test_a_card_is_markdown_with_the_hubs_header() -> None:
    import yaml

    card = ModelCard(
        name="A: model",
        task="text-generation",
        summary="What it is.",
        limits="What it is not.",
        results=[Result("bits per byte", 1.25, "", "5-gram", 1.5)],
        training={"steps": 3},
    ).render()
    _, header, body = card.split("---\n", 2)
    assert yaml.safe_load(header)["pipeline_tag"] == "text-generation"
    assert "| bits per byte | 1.25 | 1.5 (5-gram) |" in body
    assert "| steps | 3 |" in body
