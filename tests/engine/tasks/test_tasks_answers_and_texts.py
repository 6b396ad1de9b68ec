"""Question answering against its documented arithmetic; summaries and translations against `generate`."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inkling.engine.backend import Stop
from inkling.engine.tasks.salience import choose, parts
from inkling.engine.tasks.splitting import pack, sentence_spans
from inkling.errors import InklingError

from .conftest import LONG, WORDS

QUESTION = "who writes notes?"


def reference(folder: str, context: str, longest: int, window: int, stride: int) -> tuple[dict[Any, float], float]:
    """Every span's score by the definition: nested loops over tokens, one window at a time, no batching."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    encoded = tokenizer(
        QUESTION, context, truncation="only_second", max_length=window, stride=stride, return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )  # fmt: skip
    best: dict[Any, float] = {}
    nothing = []
    for number in range(len(encoded["input_ids"])):
        names = [name for name in tokenizer.model_input_names if name in encoded]
        with torch.inference_mode():
            output = model(**{name: torch.tensor([encoded[name][number]]) for name in names})
        sequence, offsets, words = (
            encoded.sequence_ids(number),
            encoded["offset_mapping"][number],
            encoded.word_ids(number),
        )
        allowed = [0, *(token for token, which in enumerate(sequence) if which == 1)]
        start = dict(zip(allowed, output.start_logits[0, allowed].softmax(0).tolist(), strict=True))
        end = dict(zip(allowed, output.end_logits[0, allowed].softmax(0).tolist(), strict=True))
        nothing.append(start[0] * end[0])
        inside = allowed[1:]
        for first in inside:
            for last in inside:
                if first <= last < first + longest:
                    a = min(offsets[token][0] for token in inside if words[token] == words[first])
                    b = max(offsets[token][1] for token in inside if words[token] == words[last])
                    best[a, b] = max(best.get((a, b), 0.0), start[first] * end[last])
    return best, min(nothing)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
@pytest.mark.parametrize("context", [WORDS[:100], LONG[:600]], ids=["short", "long"])
@pytest.mark.parametrize("longest", [1, 4, 15])
def test_question_answering(kind: str, context: str, longest: int, checkpoint: Any, ours: Any) -> None:
    model = checkpoint(kind, "ForQuestionAnswering")
    want, nothing = reference(model, context, longest, window=64, stride=20)
    inputs = [{"question": QUESTION, "context": context}]
    options = {"top_k": 3, "max_answer_len": longest, "doc_stride": 20, "max_seq_len": 64}
    (got,) = ours(model, "question-answering", inputs, **options)
    ranked = sorted(want.values(), reverse=True)
    # Spans that widen to the same words leave fewer than asked for; the best is always among them.
    assert abs(got[0]["score"] - ranked[0]) < 1e-4
    for answer in got:
        assert abs(answer["score"] - want[answer["start"], answer["end"]]) < 1e-4
        assert context[answer["start"] : answer["end"]] == answer["answer"] == answer["answer"].strip() != ""
    (with_nothing,) = ours(
        model, "question-answering", inputs, handle_impossible_answer=True, **{**options, "top_k": 50}
    )
    empty = [answer["score"] for answer in with_nothing if not answer["answer"]]
    assert abs(empty[0] - nothing) < 1e-4 if empty else nothing < with_nothing[-1]["score"] + 1e-4


@pytest.mark.parametrize(
    "item", ["text", {}, {"question": "x"}, {"question": "", "context": "x"}, {"question": "x", "context": " "}, 3]
)
def test_bad_questions(item: Any, checkpoint: Any, load: Any) -> None:
    with pytest.raises(InklingError, match="neither empty"):
        load(checkpoint("bert", "ForQuestionAnswering"), "question-answering").run([item], {}, Stop())


SUMMARIZE = {"task_specific_params": {"summarization": {"prefix": "summarize: "}}}


def generated(folder: str, text: str, **options: Any) -> str:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    inputs = tokenizer(text, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    return str(tokenizer.decode(model.generate(**inputs, **options)[0], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("beams", [1, 3])
def test_summarization(kind: str, beams: int, checkpoint: Any, ours: Any) -> None:
    model = checkpoint(kind, "ForConditionalGeneration", **SUMMARIZE)
    options = {"max_new_tokens": 12, "num_beams": beams}
    texts = [WORDS[:60], "engines that count"]
    found = ours(model, "summarization", [*texts, ""], **options)
    for text, got in zip(texts, found, strict=False):
        assert got == {
            "summary_text": generated(model, "summarize: " + text, **options),
            "kind": "abstractive",
            "spans": [],
        }
    assert found[0]["summary_text"]
    assert found[2]["summary_text"] == ""


def test_a_long_text_is_summarized_in_parts(checkpoint: Any, ours: Any) -> None:
    model = checkpoint("bart", "ForConditionalGeneration")
    (got,) = ours(model, "summarization", [LONG], max_new_tokens=5)
    assert len(got["summary_text"]) < len(LONG) / 2


@pytest.mark.parametrize(
    ("changes", "parameters", "prefix"),
    [
        ({}, {"src_lang": "English", "tgt_lang": "German"}, "translate English to German: "),
        ({}, {}, ""),
        ({"task_specific_params": {"translation_en_to_fr": {"prefix": "to French: "}}}, {}, "to French: "),
    ],
)
def test_translation(changes: Any, parameters: Any, prefix: str, checkpoint: Any, ours: Any) -> None:
    model = checkpoint("t5", "ForConditionalGeneration", **changes)
    text = "  Ada writes\r\n\r\n\tnotes to Charles  \n"
    (got,) = ours(model, "translation", [text], max_new_tokens=6, **parameters)
    lines = [generated(model, prefix + line, max_new_tokens=6) for line in ("Ada writes", "notes to Charles")]
    assert all(lines)
    assert got == {"translation_text": f"  {lines[0]}\r\n\r\n\t{lines[1]}  \n"}


def test_multilingual_models_are_told_the_target(checkpoint: Any, ours: Any, load: Any, tmp_path: Any) -> None:
    import shutil

    model = tmp_path / "many"
    shutil.copytree(checkpoint("bart", "ForConditionalGeneration"), model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({"extra_special_tokens": ["deu_Latn", "eng_Latn"]})
    seq2seq = transformers.AutoModelForSeq2SeqLM.from_pretrained(model)
    seq2seq.resize_token_embeddings(len(tokenizer))
    seq2seq.save_pretrained(model)
    tokenizer.save_pretrained(model)
    (got,) = ours(str(model), "translation", ["Ada writes"], tgt_lang="deu_Latn", max_new_tokens=6)
    target = tokenizer.convert_tokens_to_ids("deu_Latn")
    assert got["translation_text"] == generated(str(model), "Ada writes", max_new_tokens=6, forced_bos_token_id=target)
    with pytest.raises(InklingError, match=r"does not know the language \"xx\".*deu_Latn, eng_Latn"):
        load(str(model), "translation").run(["a"], {"tgt_lang": "xx"}, Stop())


def test_a_stop_ends_the_writing(checkpoint: Any, load: Any) -> None:
    class After(Stop):
        looks = 0

        @property
        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 3

    for task in ("summarization", "translation"):
        stop = After()
        model = load(checkpoint("bart", "ForConditionalGeneration"), task)
        assert model.run([WORDS[:50]] * 5, {"max_new_tokens": 50, "min_new_tokens": 50}, stop) == []
        assert stop.looks < 8, "it went on writing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Ada came, e.g. yesterday. Then rain.", ["Dr. Ada came, e.g. yesterday.", "Then rain."]),
        ("Version 3.11 is out. it says so.", ["Version 3.11 is out. it says so."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        (
            "After `. .venv/Bin. Activate`, run ``a. B\nc. D``. Done.",
            ["After `. .venv/Bin. Activate`, run ``a. B\nc. D``.", "Done."],
        ),
        ("A lone ` here. Then.\n\nAnd ` there. Now.", ["A lone ` here.", "Then.", "And ` there.", "Now."]),
        ("Title\n\nText here", ["Title", "Text here"]),
        ("- one\n- two", ["- one", "- two"]),
        ("一。二！三", ["一。", "二！", "三"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text('aB. !?\n"。', max_size=40), st.integers(1, 9))
def test_splitting_loses_nothing(text: str, limit: int) -> None:
    spans = sentence_spans(text)
    kept = "".join(text[start:end] for start, end in spans)
    assert "".join(kept.split()) == "".join(text.split())
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    pieces = pack(text, lambda part: len(part) <= limit)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= limit for piece in pieces)


def test_key_sentences_are_told_as_such(ours: Any) -> None:
    text = "The engine holds the models.  It computes.\nLunch was good! The engine runs every model that it holds. Bye."
    (got,) = ours("starter:summary", "summarization", [text], max_sentences=2)
    assert got["kind"] == "key-sentences"
    chosen = [" ".join(text[start:end].split()) for start, end in got["spans"]]
    assert got["summary_text"] == " ".join(chosen)
    assert chosen == ["The engine holds the models.", "The engine runs every model that it holds."]
    assert ours("starter:summary", "summarization", [""]) == [
        {"summary_text": "", "kind": "key-sentences", "spans": []}
    ]


def test_of_equal_sentences_the_first_is_chosen() -> None:
    vectors, examples = torch.ones(5, 4) / 2, torch.eye(4)
    assert choose(vectors, ["a"] * 5, None, examples, examples, 2) == [0, 1]
    assert choose(vectors, ["a"] * 5, vectors[0], examples, examples, 9) == [0, 1, 2, 3, 4]
    assert choose(vectors[:0], [], None, examples, examples, 3) == []


@pytest.mark.parametrize(
    ("text", "title", "expected"),
    [
        ("# Kiln\n\nIt fires clay slowly. It cools.", "# Kiln", ["It fires clay slowly."]),
        ("Kiln\n\nIt fires clay slowly.", "Kiln", ["It fires clay slowly."]),
        ("======\nThe scheduler\n======\nRuns the jobs in order.", "", ["Runs the jobs in order."]),
        ("- reads the file\n- 42\n1. ends at last", "", ["reads the file", "ends at last"]),
        ("// ----\n", "", ["// ----"]),
        ("日本語です。英語。", "", ["日本語です。", "英語。"]),
    ],
)  # fmt: skip
def test_banners_headings_and_list_markers_are_no_sentences(text: str, title: str, expected: list[str]) -> None:
    found = parts(text)
    assert (found.title, [text[start:end] for start, end in found.sentences]) == (title, expected)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text('aB. !?\n-#=*1"。é', max_size=60))
def test_parts_are_stretches_of_the_text_in_order(text: str) -> None:
    spans = parts(text).sentences
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    assert bool(spans) == bool(text.strip())


def test_no_more_is_written_than_the_decoder_has_positions_for(checkpoint: Any, ours: Any) -> None:
    model = checkpoint("bart", "ForConditionalGeneration")
    (got,) = ours(
        model, "summarization", ["Ada Lovelace writes notes about engines."], max_new_tokens=500, min_new_tokens=400
    )
    assert isinstance(got["summary_text"], str)
