"""Text, token and zero-shot classification: the same scores as transformers' own pipelines, one text at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inkling.engine.backend import LoadedModel, Stop
from inkling.engine.models.batches import length_batches
from inkling.engine.tasks.token_classification import Span, join, without_overlaps
from inkling.errors import InklingError

from .conftest import LONG, TEXTS

TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-ORG", 4: "I-ORG"}
NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}


def close(a: float, b: float) -> bool:
    return abs(a - b) < 1e-4


def same_labels(got: list[dict[str, Any]], want: list[dict[str, Any]]) -> None:
    """Equal labels and scores; the order of labels whose scores are equal to 1e-4 is nobody's business."""
    assert {row["label"] for row in got} == {row["label"] for row in want}
    scores = {row["label"]: row["score"] for row in want}
    assert all(close(row["score"], scores[row["label"]]) for row in got), (got, want)
    assert [row["score"] for row in got] == sorted((row["score"] for row in got), reverse=True)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "gpt2", "bart"])
@pytest.mark.parametrize(
    "changes",
    [
        {"num_labels": 3},
        {"num_labels": 4, "problem_type": "multi_label_classification"},
        {"num_labels": 1},
        {"num_labels": 4, "problem_type": "regression"},
    ],
    ids=["single", "multi", "one", "regression"],
)
def test_text_classification(kind: str, changes: Any, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "ForSequenceClassification", **changes)
    texts = [text for text in TEXTS[:-1] if text or kind != "gpt2"]  # GPT-2's pipeline fails on an empty text
    theirs = pipeline("text-classification", model)
    for text, got in zip(texts, ours(model, "text-classification", texts), strict=True):
        same_labels(got, theirs(text, top_k=None))


@pytest.mark.parametrize("kind", ["albert", "electra", "deberta", "mpnet", "xlm-roberta", "modernbert", "llama"])
def test_other_architectures(kind: str, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "ForSequenceClassification", num_labels=3)
    texts = [text for text in TEXTS[:-1] if text]
    theirs = pipeline("text-classification", model)
    for text, got in zip(texts, ours(model, "text-classification", texts), strict=True):
        same_labels(got, theirs(text, top_k=None))
    ours(model, "text-classification", [LONG])  # windows stay within the model's positions


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_decoder_that_knows_no_padding(kind: str, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "ForSequenceClassification", num_labels=3, pad_token_id=None)
    texts = [text for text in TEXTS[:-1] if text] * 2
    theirs = pipeline("text-classification", model)
    for text, got in zip(texts, ours(model, "text-classification", texts), strict=True):
        same_labels(got, theirs(text, top_k=None))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 300))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(length_batches(lengths, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= budget


def test_a_long_text_is_not_padded_for_by_many_short_ones() -> None:
    lengths = [14] * 40 + [15, 120, 120, 15]
    batches = list(length_batches(lengths, 2048))
    assert [sorted({lengths[index] for index in batch}) for batch in batches] == [[14], [15], [120]]
    assert len(list(length_batches(lengths, 4096, pass_tokens=10_000))) == 2


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_function_to_apply_and_top_k(function: str, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint("bert", "ForSequenceClassification", num_labels=3)
    theirs = pipeline("text-classification", model)
    (got,) = ours(model, "text-classification", TEXTS[:1], function_to_apply=function, top_k=2)
    same_labels(got, theirs(TEXTS[0], function_to_apply=function, top_k=2))


def test_text_pairs(checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint("bert", "ForSequenceClassification", num_labels=3)
    pair = {"text": TEXTS[0], "text_pair": TEXTS[3]}
    (got,) = ours(model, "text-classification", [pair])
    same_labels(got, pipeline("text-classification", model)(pair, top_k=None))


def test_a_long_text_is_the_weighted_mean_of_its_windows(checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint("bert", "ForSequenceClassification", num_labels=3)
    theirs = pipeline("text-classification", model)
    tokenizer = theirs.tokenizer
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    room, stride = 62, 8
    expected, weight = torch.zeros(3), 0
    for start in range(0, len(ids), room - stride):
        window = [2, *ids[start : start + room], 3]
        with torch.inference_mode():
            logits = theirs.model(input_ids=torch.tensor([window])).logits[0]
        expected += len(window) * logits.softmax(-1)
        weight += len(window)
        if start + room >= len(ids):
            break
    assert weight > 500
    (got,) = ours(model, "text-classification", [LONG])
    scores = {int(row["label"].removeprefix("LABEL_")): row["score"] for row in got}
    assert all(close(scores[index], float(expected[index] / weight)) for index in range(3))


def without_words(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("word", "score")} for row in rows]


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_token_classification(kind: str, strategy: str, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "ForTokenClassification", num_labels=5, id2label=TAGS)
    theirs = pipeline("token-classification", model, aggregation_strategy=strategy)
    texts = TEXTS[:-1]  # theirs cuts a text that is too long
    found = ours(model, "token-classification", texts, aggregation_strategy=strategy)
    assert sum(map(len, found)) > 5
    for text, got in zip(texts, found, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = theirs(text) if text else []
        assert without_words(got) == without_words(want)
        assert all(close(a["score"], float(b["score"])) for a, b in zip(got, want, strict=True))
        assert all(text[row["start"] : row["end"]] == row["word"] for row in got)


@pytest.mark.parametrize("strategy", ["simple", "first"])
@pytest.mark.parametrize("stride", [0, 16])
def test_token_classification_of_long_texts(
    strategy: str, stride: int, checkpoint: Any, ours: Any, pipeline: Any
) -> None:
    model = checkpoint("bert", "ForTokenClassification", num_labels=5, id2label=TAGS)
    theirs = pipeline("token-classification", model, aggregation_strategy=strategy, stride=stride)
    (got,) = ours(model, "token-classification", [LONG], aggregation_strategy=strategy, stride=stride)
    want = theirs(LONG)
    assert len(want) > 50
    assert without_words(got) == without_words(want)
    assert all(close(a["score"], float(b["score"])) for a, b in zip(got, want, strict=True))


def test_every_label_can_be_asked_for(checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint("bert", "ForTokenClassification", num_labels=5, id2label=TAGS)
    (found,) = ours(model, "token-classification", TEXTS[:1], ignore_labels=[], aggregation_strategy="none")
    theirs = pipeline("token-classification", model, aggregation_strategy="none", ignore_labels=[])
    want = theirs(TEXTS[0])
    assert [(item["start"], item["end"]) for item in found] == [(item["start"], item["end"]) for item in want]
    assert found[0]["start"] == 0 and found[-1]["end"] == len(TEXTS[0])


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["B-A", "I-A", "B-A"], ["A", "A"]),
        (["I-A", "I-B"], ["A", "B"]),
        (["A", "A"], ["A"]),
        (["B-A", "I-B", "I-B"], ["A", "B"]),
        ([], []),
    ],
)
def test_join(tags: list[str], expected: list[str]) -> None:
    spans = join([Span(tag, 0.5, place, place + 1) for place, tag in enumerate(tags)])
    assert [span.tag for span in spans] == expected
    assert sum(span.end - span.start for span in spans) == len(tags)


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ([(0, 4, 0.5), (2, 8, 0.4)], [(2, 8)]),
        ([(0, 4, 0.5), (0, 4, 0.6)], [(0, 4)]),
        ([(5, 6, 0.5), (0, 4, 0.6)], [(0, 4), (5, 6)]),
        ([], []),
    ],
)
def test_without_overlaps(spans: list[tuple[int, int, float]], kept: list[tuple[int, int]]) -> None:
    found = without_overlaps([Span("A", score, start, end) for start, end, score in spans])
    assert [(span.start, span.end) for span in found] == kept


@pytest.mark.parametrize("kind", ["bert", "roberta", "bart"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"candidate_labels": ["music", "engines", "dogs"]},
        {"candidate_labels": "music, engines", "multi_label": True},
        {"candidate_labels": ["music"]},
        {"candidate_labels": ["music", "dogs"], "hypothesis_template": "About {}!"},
    ],
    ids=["shared", "alone", "one", "template"],
)
def test_zero_shot_by_entailment(kind: str, parameters: Any, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "ForSequenceClassification", num_labels=3, id2label=NLI,
                       label2id={name: index for index, name in NLI.items()})  # fmt: skip
    texts = [text for text in TEXTS if text and len(text) < 80]
    theirs = pipeline("zero-shot-classification", model)
    for text, got in zip(texts, ours(model, "zero-shot-classification", texts, **parameters), strict=True):
        want = theirs(text, **parameters)
        pairs = zip(want["labels"], want["scores"], strict=True)
        same_labels(got, [{"label": label, "score": score} for label, score in pairs])


def test_zero_shot_by_sentence_vectors(ours: Any) -> None:
    texts = ["The cat sleeps on the sofa.", "Shares fell after the bank's report."]
    labels = ["about animals", "about finance"]
    results = ours("starter:encoder", "zero-shot-classification", texts, candidate_labels=labels)
    assert [rows[0]["label"] for rows in results] == labels
    assert all(close(sum(row["score"] for row in rows), 1) for rows in results)
    vectors = torch.tensor(ours("starter:encoder", "feature-extraction", [*texts, *labels]))
    expected = (20 * vectors[:2] @ vectors[2:].T).softmax(-1)
    assert close(results[0][0]["score"], float(expected[0, 0]))
    (alone,) = ours("starter:encoder", "zero-shot-classification", texts[:1], candidate_labels=labels, multi_label=True)
    assert close(alone[0]["score"], float(1 + vectors[0] @ vectors[2]) / 2)


@pytest.mark.parametrize(
    ("task", "head", "inputs", "parameters", "says"),
    [
        ("text-classification", "ForSequenceClassification", [3], {}, "must be a string or"),
        ("text-classification", "ForSequenceClassification", ["a"], {"top_k": 0}, "top_k"),
        ("text-classification", "ForSequenceClassification", ["a"], {"function_to_apply": "tanh"}, "softmax, sigmoid"),
        ("token-classification", "ForTokenClassification", [{}], {}, "must be a string"),
        ("token-classification", "ForTokenClassification", ["a"], {"aggregation_strategy": "best"}, "none, simple"),
        ("token-classification", "ForTokenClassification", ["a"], {"stride": 64}, "stride"),
        ("token-classification", "ForTokenClassification", ["a"], {"ignore_labels": "O"}, "a list of labels"),
        ("zero-shot-classification", "Model", ["a"], {}, "candidate_labels"),
        ("zero-shot-classification", "Model", ["a"], {"candidate_labels": ["x"] * 101}, "1 to 100"),
        ("zero-shot-classification", "Model", ["a"], {"candidate_labels": ["x", 3]}, "candidate_labels"),
        ("zero-shot-classification", "Model", ["a"], {"candidate_labels": "x", "hypothesis_template": "x"}, "one {}"),
        ("text-classification", "ForSequenceClassification", ["a" * 2_000_001], {}, "2,000,001 characters"),
    ],
)
def test_bad_requests(
    task: str, head: str, inputs: list[Any], parameters: Any, says: str, checkpoint: Any, load: Any
) -> None:
    with pytest.raises(InklingError) as caught:
        load(checkpoint("bert", head), task).run(inputs, parameters, Stop())
    assert caught.value.reason in ("bad-input", "bad-parameter", "too-large")
    assert says in str(caught.value)


class StopAfter(Stop):
    """Set after a number of looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    @property
    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(
    ("task", "head", "parameters"),
    [
        ("text-classification", "ForSequenceClassification", {}),
        ("token-classification", "ForTokenClassification", {}),
        ("zero-shot-classification", "Model", {"candidate_labels": ["x", "y"]}),
        ("feature-extraction", "Model", {}),
    ],
)
def test_a_stop_ends_the_batch_at_the_next_slice(
    task: str, head: str, parameters: Any, checkpoint: Any, load: Callable[[str, str], LoadedModel]
) -> None:
    model = load(checkpoint("bert", head), task)
    inputs = [LONG] * 20  # about 10 forward passes each
    whole = model.run(inputs, parameters, Stop())
    assert len(whole) == 20
    stop = StopAfter(3)
    part = model.run(inputs, parameters, stop)
    assert len(part) < 20
    assert stop.left == -1, "it looked again after it was told to stop"
    late = Stop(deadline_s=0)
    assert model.run(inputs, parameters, late) == []
