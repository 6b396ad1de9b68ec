"""The classifier recipe: bad data, figures, weak labels, interrupted runs, and a model that the engine loads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tree_sitter_python
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference
from transformers import AutoTokenizer, BertConfig, BertModel, TrainerCallback, pipeline
from tree_sitter import Language, Parser

from inkling.engine.models.encoder import encoder_folder
from inkling.engine.models.encoder_head import load_adapter
from inkling.training import classifier_run
from inkling.training.classifier import train_from_recipe
from inkling.training.classifier_metrics import (
    calibration_chance,
    calibration_error,
    confusion,
    fit_temperature,
    fit_thresholds,
    macro_f1,
    reliability,
    roc_auc,
    softmax,
)
from inkling.training.classifier_recipe import ClassifierRecipe, WeakComments
from inkling.training.classifier_run import fit, swap_entities
from inkling.training.data_comments import comment_blocks, is_prose, strip_marker, weak_examples
from inkling.training.data_labelled import DataError, Example, read_examples
from inkling.training.data_ordinary import ordinary_prose, ordinary_texts
from inkling.training.data_split import deal_kinds, deal_topics
from inkling.training.errors import TrainingError
from inkling.training.recipe import RecipeError, load_recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")

TEXTS = [
    (f"{mood} {thing}, {rest}", label, thing)
    for thing in ("parser", "cache", "queue", "index")
    for mood, rest, label in [
        ("I love this", "it is lovely and fast", "good"),
        ("What a wonderful", "thank you", "good"),
        ("I hate this", "it is awful and slow", "bad"),
        ("What a terrible", "shame on you", "bad"),
    ]
]
ENTITIES = [
    (f"{before}{name}{after}", before, name)
    for name in ("Ada Miller", "Tom Novak", "Eva Rossi")
    for before, after in [("ask ", " about it"), ("thanks to ", "!"), ("# by ", ", 2020"), ("dear ", "")]
]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def recipe_file(tmp_path: Path) -> Callable[..., Path]:
    def make(task: str = "text-classification", **settings: str) -> Path:
        if task == "text-classification":
            rows = [{"text": t, "label": label, "topic": topic} for t, label, topic in TEXTS]
            labels = '["bad", "good"]'
        else:
            rows = [
                {
                    "text": text,
                    "entities": [{"start": len(before), "end": len(before + name), "label": "PERSON"}],
                    "topic": name,
                }
                for text, before, name in ENTITIES
            ]
            labels = '["O", "PERSON"]'
        write_jsonl(tmp_path / "train.jsonl", rows[:-4])
        write_jsonl(tmp_path / "heldout.jsonl", rows[-4:])
        tune = "".join(f"{key} = {value}\n" for key, value in {"epochs": "2", "batch_size": "4", **settings}.items())
        path = tmp_path / "recipe.toml"
        path.write_text(
            f'name = "tiny"\ntask = "{task}"\nlabels = {labels}\ntrain = ["train.jsonl"]\n'
            f'heldout = ["heldout.jsonl"]\nout = "model"\n[tune]\n{tune}max_length = 32\n'
            "[calibration]\nfolds = 2\nruns = 1\n"
        )
        return path

    return make


@pytest.mark.parametrize("method", ["bias-and-norm", "lora"])
def test_an_adapter_loads_and_answers(recipe_file: Callable[..., Path], method: str) -> None:
    folder = train_from_recipe(recipe_file(method=f'"{method}"', rank="2", epochs="4"))
    head = load_adapter(folder)
    assert head.labels == ["bad", "good"]
    scores = head.probabilities(["I love this map", "I hate this map", ""])
    assert scores.sum(1) == pytest.approx(1, abs=1e-5)
    assert scores[0, 1] > scores[1, 1]
    card = (folder / "README.md").read_text("utf-8")
    for part in ("Confusion", "Reliability", "TF-IDF", "temperature", "trained on | bad 6, good 6 |"):
        assert part in card
    for part in ('library_name: "inkling"', "# tiny\n\nTells apart bad, good.", "Inkling alone loads", "`train.jsonl`"):
        assert part in card
    assert not (folder / "run").exists()
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["problem_type"] == "single_label_classification"
    assert set(config["thresholds"]) == {"bad", "good"}


def test_a_token_classifier_gives_spans_in_code_points(recipe_file: Callable[..., Path]) -> None:
    folder = train_from_recipe(recipe_file("token-classification", epochs="10"))
    text = "😀 thanks to Ada Novak!"
    head = load_adapter(folder)
    head.thresholds = {}
    assert [(e.label, text[e.start : e.end]) for e in head.spans([text])[0]] == [("PERSON", "Ada Novak")]
    long = "nothing to see here. " * 12 + "dear Tom Rossi"
    assert [long[e.start : e.end] for e in head.spans([long])[0]][-1] == "Tom Rossi"
    assert "macro-F1 over exact entities" in (folder / "README.md").read_text("utf-8")


def test_a_full_model_is_plain_save_pretrained(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    base = tmp_path / "base"
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder(), local_files_only=True)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=tokenizer.vocab_size, **shape)).save_pretrained(base)
    tokenizer.save_pretrained(base)
    path = recipe_file(method='"full"')
    folder = train_from_recipe(path, overrides={"encoder": str(base)})
    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    (answer,) = classify(["I love this map"])
    assert {row["label"] for row in answer} == {"bad", "good"}
    assert sum(row["score"] for row in answer) == pytest.approx(1, abs=1e-5)
    assert 'library_name: "transformers"' in (folder / "README.md").read_text("utf-8")


class Stopped(BaseException):
    """Stands for a process that ends at once."""


class StopAfterEpoch(TrainerCallback):
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.epoch and state.epoch >= 1:
            raise Stopped


def test_an_interrupted_run_resumes_to_the_same_weights(
    recipe_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(recipe_file(epochs="3"), ClassifierRecipe)
    examples = read_examples(recipe.train, recipe.labels)
    whole = fit(recipe, examples, tmp_path / "whole").state_dict()
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        trainer = classifier_run.Trainer
        patch.setattr(classifier_run, "Trainer", lambda **kw: trainer(**kw, callbacks=[StopAfterEpoch()]))
        fit(recipe, examples, tmp_path / "parts")
    assert any((tmp_path / "parts").glob("checkpoint-*"))
    resumed = fit(recipe, examples, tmp_path / "parts").state_dict()
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_a_run_of_another_recipe_is_not_mixed_in(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe_file()
    (tmp_path / "model" / "run").mkdir(parents=True)
    (tmp_path / "model" / "run" / "recipe.json").write_text('{"fingerprint": "other"}')
    with pytest.raises(TrainingError, match=r"unfinished run of another recipe.*--out"):
        train_from_recipe(path)


GOOD = '{"text": "fine", "label": "good"}\n'
BAD_DATA = {
    "empty": ("", "no examples"),
    "one class": (GOOD + '{"text": "fine too", "label": "good"}\n', "only label good"),
    "unknown label": (
        GOOD + '{"text": "x y", "label": "goood"}\n',
        r"line 2: unknown label 'goood'; did you mean good",
    ),
    "broken": (GOOD + "\n{broken\n", r"line 3: not JSON"),
    "no object": (GOOD + "[1]\n", r"line 2: expected a JSON object, found list"),
    "no text": (GOOD + '{"label": "bad"}\n', "line 2: text is missing"),
    "weight": (GOOD + '{"text": "z", "label": "bad", "weight": "much"}\n', "line 2: weight must be a number"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_named_by_its_line(tmp_path: Path, name: str) -> None:
    content, message = BAD_DATA[name]
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_examples([path], ["good", "bad"])


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ("null", "entities must be a list"),
        ('[{"start": 0, "label": "PERSON"}]', "needs start, end and label"),
        ('[{"start": 0, "end": 9, "label": "PERSON"}]', "lies outside of the text"),
        ('[{"start": 0, "end": 1, "label": "PRESON"}]', "did you mean PERSON"),
    ],
)
def test_bad_entities_are_named_by_their_line(tmp_path: Path, entities: str, message: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "abc", "entities": ' + entities + "}\n")
    with pytest.raises(DataError, match=f"line 1: .*{message}"):
        read_examples([path], ["O", "PERSON"], entities=True)


def test_files_that_are_no_text_or_missing(tmp_path: Path) -> None:
    binary = tmp_path / "data.jsonl"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8 text"):
        read_examples([binary], ["good", "bad"])
    with pytest.raises(DataError, match="no such file"):
        read_examples([tmp_path / "none.jsonl"], ["good", "bad"])


def test_csv_and_line_separators_within_texts(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text('text,label,topic\n"a, b",good,x\n"two\nlines",bad,\n', encoding="utf-8")
    assert read_examples([table], ["good", "bad"]) == [
        Example("a, b", label="good", topic="x"),
        Example("two\nlines", label="bad"),
    ]
    table.write_text("txt,label\na,good\n")
    with pytest.raises(DataError, match="line 1: column text is missing"):
        read_examples([table], ["good", "bad"])
    rows = [{"text": "a\u2028b", "label": "good"}, {"text": "c", "label": "bad"}]
    assert len(read_examples([write_jsonl(tmp_path / "u.jsonl", rows)], ["good", "bad"])) == 2


def test_heldout_text_must_not_be_in_training(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    path = recipe_file()
    (tmp_path / "heldout.jsonl").write_text((tmp_path / "train.jsonl").read_text())
    with pytest.raises(DataError, match="12 of its texts are also in the training data"):
        train_from_recipe(path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"tune.method": "loar"}, "Did you mean 'lora'"),
        ({"tune.epoch": "1"}, "did you mean tune.epochs"),
        ({"labels": '["good"]'}, "at least two"),
        ({"tune.batch_size": "0"}, "must be at least 1"),
        ({"encoder": "elsewhere"}, 'must be "full"'),
        ({"false_alarms": '{label = "worst"}'}, "must be a label of a text classifier, here bad, good"),
        (
            {"false_alarms": '{label = "bad", prose = ["Rich"]}', "weak": '{packages = ["rich"], negative = "good"}'},
            "false_alarms names Rich, which is trained on",
        ),
    ],
)
def test_recipe_mistakes_name_the_key(recipe_file: Callable[..., Path], setting: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        train_from_recipe(recipe_file(), overrides=setting)


LABELS = st.integers(0, 3)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60))
def test_macro_f1_and_confusion_as_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, chosen = np.array(pairs).T
    assert macro_f1(truth, chosen, 4) == pytest.approx(reference.f1_score(truth, chosen, average="macro"))
    expected = reference.confusion_matrix(truth, chosen, labels=range(4))
    assert (confusion(truth, chosen, 4) == expected).all()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=60))
def test_auc_as_scikit_learn(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = np.array([int(t) for t, _ in pairs]), np.array([s / 10 for _, s in pairs])
    if len(set(truth)) == 2:
        assert roc_auc(truth, scores) == pytest.approx(reference.roc_auc_score(truth, scores))
    else:
        assert np.isnan(roc_auc(truth, scores))


def test_temperature_recovers_the_one_that_was_applied() -> None:
    chance = np.random.default_rng(1)
    logits = chance.normal(0, 2, (4000, 3))
    truth = (softmax(logits).cumsum(1) > chance.random((4000, 1))).argmax(1)
    assert fit_temperature(truth, logits * 3) == pytest.approx(3, rel=0.1)
    assert calibration_error(truth, softmax(logits)) < 0.03 < calibration_error(truth, softmax(logits * 3))
    assert sum(b.count for b in reliability(truth, softmax(logits))) == 4000


@pytest.mark.parametrize("texts", [40, 150, 1000])
def test_a_perfect_model_has_a_calibration_error_by_chance(texts: int) -> None:
    draw = np.random.default_rng(2)
    probabilities = softmax(draw.normal(0, 2, (texts, 2)))
    answers = [(draw.random(texts) > probabilities[:, 0]).astype(int) for _ in range(300)]
    mean = np.mean([calibration_error(truth, probabilities) for truth in answers])
    assert calibration_chance(probabilities) == pytest.approx(mean, rel=0.1)


def test_a_threshold_is_where_the_label_is_right_often_enough() -> None:
    scores = np.linspace(0.99, 0.51, 49)
    truth = (scores < 0.75).astype(int)  # label 0 is right from 0.75 up
    thresholds = fit_thresholds(truth, np.stack([scores, 1 - scores], 1), ["a", "b"], 0.9)
    assert (truth[scores >= thresholds["a"]] == 0).mean() >= 0.9
    assert 0.65 < thresholds["a"] < 0.75


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.integers(2, 4))
def test_no_topic_is_in_two_parts(topics: list[str], folds: int) -> None:
    examples = [Example(str(i), topic=topic) for i, topic in enumerate(topics)]
    if len(set(topics)) < folds:
        with pytest.raises(DataError, match="topics cannot be dealt"):
            deal_topics(examples, folds, 1)
        return
    parts = deal_topics(examples, folds, 1)
    assert sorted(i for part in parts for i in part) == list(range(len(topics)))
    assert all(parts)
    assert sum(len({topics[i] for i in part}) for part in parts) == len(set(topics))


@pytest.mark.parametrize(("positive", "labels"), [("debt", {"debt", "none"}), ("", {"none"})])
def test_comments_without_a_label_for_markers_are_ordinary_text(positive: str, labels: set[str]) -> None:
    weak = WeakComments(packages=("pygls",), negative="none", positive=positive, most=7)
    train, heldout = weak_examples(weak, 1)
    assert {example.label for example in train} == labels
    assert {example.topic for example in train} == {"pygls"}
    assert positive or len(train) == 7
    assert heldout == []


@pytest.mark.parametrize(("share", "copies"), [(0.0, 0), (1.0, 1)])
def test_a_share_of_the_comments_is_there_once_more_with_its_marker(share: float, copies: int) -> None:
    weak = WeakComments(packages=("mypy",), negative="none", positive="debt", marked=share)
    texts = [example.text for example in weak_examples(weak, 1)[0] if example.label == "debt"]
    marked = [text for text in texts if re.match("TODO|FIXME|HACK|XXX", text)]
    bare = len(texts) - len(marked)
    assert bare > 50 and len(marked) == copies * bare
    held_out = WeakComments(packages=(), negative="none", positive="debt", marked=share, heldout_packages=("mypy",))
    assert not [e.text for e in weak_examples(held_out, 1)[1] if re.match("TODO|FIXME|HACK|XXX", e.text)]


def test_descriptions_are_ordinary_text_too() -> None:
    weak = WeakComments(packages=(), negative="none", prose=("rich", "attrs"), most=4, weight=0.3)
    found = ordinary_prose(weak, 1)
    assert {(example.label, example.weight) for example in found} == {("none", 0.3)}
    assert [example.topic for example in found] == ["rich, prose"] * 4 + ["attrs, prose"] * 4
    assert all(is_prose(example.text) for example in found)


def test_false_alarms_are_counted_in_ordinary_text(recipe_file: Callable[..., Path]) -> None:
    path = recipe_file(epochs="1")
    alarms = '[false_alarms]\nlabel = "bad"\ncomments = ["pygls"]\nprose = ["rich"]\nmost = 5\nthreshold = 0.0\n'
    path.write_text(path.read_text() + alarms)
    recipe = load_recipe(path, ClassifierRecipe)
    assert recipe.false_alarms
    texts = ordinary_texts(recipe.false_alarms, seed=1)
    assert [(kind, len(set(found))) for kind, found in texts.items()] == [("comments", 5), ("prose", 5)]
    assert all(map(is_prose, [*texts["comments"], *texts["prose"]]))
    card = (train_from_recipe(path) / "README.md").read_text("utf-8")
    for kind in texts:
        assert f"| called bad, from 0 on (5 texts, {kind} of packages not trained on) | 100 % | 100 (TF-IDF" in card


def test_every_part_has_its_share_of_written_and_of_weak_examples() -> None:
    written = [Example(f"w{i}", topic=f"t{i % 6}") for i in range(30)]
    weak = [Example(f"r{i}", topic=f"p{i % 4}", weight=0.3) for i in range(400)]
    parts = deal_kinds([*weak, *written], 3, 1)
    assert sorted(i for part in parts for i in part) == list(range(430))
    assert all(sum(i >= 400 for i in part) == 10 for part in parts)


def test_swapped_entities_keep_their_places_true() -> None:
    examples = [
        Example("ask Ada now", entities=((4, 7, "PERSON"),)),
        Example("Bo and Cy: k1", entities=((0, 2, "PERSON"), (7, 9, "PERSON"), (11, 13, "KEY"))),
        Example("nothing"),
    ]
    swapped = swap_entities(examples, 5, seed=1)
    assert swapped[:3] == examples
    assert len(swapped) == 3 + 2 * 5
    known = {"PERSON": {"Ada", "Bo", "Cy"}, "KEY": {"k1"}}
    assert all(e.text[a:b] in known[label] for e in swapped for a, b, label in e.entities)
    assert len({e.text for e in swapped}) > 3


@pytest.mark.parametrize(
    ("comment", "rest"),
    [
        ("TODO: make this faster", "make this faster"),
        ("TODO(ann): make this faster", "make this faster"),
        ("Sorts the rows. FIXME breaks on an empty list of rows", "breaks on an empty list of rows"),
        ("this is slow, see above. XXX", "this is slow, see above."),
        ("XXX: HACK: works around the old parser", "works around the old parser"),
        ("no marker here", "no marker here"),
    ],
)
def test_markers_are_taken_out(comment: str, rest: str) -> None:
    assert strip_marker(comment) == rest


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("keep the order of the rows", True),
        ("x = compute(y)", False),
        ("import os.path as something", False),
        ("noqa: E501 because of the link", False),
        ("Copyright 2020 by the authors of this", False),
        ("two words", False),
        ("-------------- === --------------", False),
    ],
)
def test_only_prose_is_judged(text: str, prose: bool) -> None:
    assert is_prose(text) is prose


def test_comment_blocks_join_lines_of_one_column() -> None:
    source = b'# one\n# two\nx = 1  # beside\n    # deeper\n# other\ns = "# no comment"\n#\n# last'
    root = Parser(Language(tree_sitter_python.language())).parse(source).root_node
    assert list(comment_blocks(root)) == ["one two", "beside", "deeper", "other", "last"]
