"""Fill-mask and feature extraction: equal to transformers' own pipelines; sequences keep the user's text."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from inkling.engine.backend import Stop
from inkling.errors import InklingError

from .conftest import LONG, TEXTS


def close(a: Any, b: Any) -> bool:
    return bool(torch.allclose(torch.tensor(a), torch.tensor(b), atol=1e-4))


@pytest.mark.parametrize(("kind", "mask"), [("bert", "[MASK]"), ("distilbert", "[MASK]"), ("roberta", "<mask>")])
@pytest.mark.parametrize("parameters", [{}, {"top_k": 9}, {"targets": ["fox", "dog", "lazy"]}])
def test_fill_mask(kind: str, mask: str, parameters: Any, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "ForMaskedLM")
    texts = [f"the quick {mask} jumps", f"{mask}", f"Ada {mask}, schön and 4567", "a {} b " * 3]
    texts[3] = texts[3].format("x", mask, "y")
    theirs = pipeline("fill-mask", model)
    for text, got in zip(texts, ours(model, "fill-mask", texts, **parameters), strict=True):
        want = theirs(text, **parameters)
        assert [row["token"] for row in got] == [row["token"] for row in want]
        assert [row["token_str"] for row in got] == [row["token_str"] for row in want]
        assert close([row["score"] for row in got], [row["score"] for row in want])


def test_every_model_understands_the_common_mask(checkpoint: Any, ours: Any) -> None:
    model = checkpoint("roberta", "ForMaskedLM")
    own, common = ours(model, "fill-mask", ["the <mask> dog", "the [MASK] dog"])
    assert own == common


def test_the_sequence_keeps_case_and_white_space(checkpoint: Any, ours: Any) -> None:
    text = "  The   QUICK [MASK]\tdog\n"
    (rows,) = ours(checkpoint("bert", "ForMaskedLM"), "fill-mask", [text], top_k=100)
    starts = {row["token_str"].startswith("##") for row in rows}
    assert starts == {True, False}
    for row in rows:
        word = row["token_str"]
        before = "  The   QUICK" if word.startswith("##") else "  The   QUICK "
        assert row["sequence"] == before + word.removeprefix("##") + "\tdog\n"


@pytest.mark.parametrize("where", [0, 1, 60, 150, -1])
def test_a_long_text_is_read_around_the_mask(where: int, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    words = LONG.split()
    words.insert(where if where >= 0 else len(words), "[MASK]")
    text = " ".join(words)
    model = checkpoint("bert", "ForMaskedLM")
    (rows,) = ours(model, "fill-mask", [text])
    theirs = pipeline("fill-mask", model)
    ids = theirs.tokenizer(text, add_special_tokens=False)["input_ids"]
    place = ids.index(4)
    first = max(0, min(place - 31, len(ids) - 62))
    with torch.inference_mode():
        logits = theirs.model(input_ids=torch.tensor([[2, *ids[first : first + 62], 3]])).logits[0, place - first + 1]
    best = logits.softmax(-1).topk(5)
    assert [row["token"] for row in rows] == best.indices.tolist()
    assert close([row["score"] for row in rows], best.values.tolist())
    assert all(row["sequence"].endswith(" ".join(words).partition("[MASK]")[2]) for row in rows)


@pytest.mark.parametrize(
    ("text", "parameters", "says"),
    [
        ("no gap", {}, "has 0 masks"),
        ("[MASK] and [MASK]", {}, "has 2 masks"),
        ("[MASK]", {"targets": 3}, "targets"),
        ("[MASK]", {"targets": [""]}, "at least one word"),
        ("[MASK]", {"top_k": "5"}, "top_k"),
    ],
)
def test_bad_requests(text: str, parameters: Any, says: str, checkpoint: Any, load: Any) -> None:
    with pytest.raises(InklingError) as caught:
        load(checkpoint("bert", "ForMaskedLM"), "fill-mask").run([text], parameters, Stop())
    assert says in str(caught.value)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "gpt2"])
def test_token_features(kind: str, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint(kind, "Model")
    texts = [text for text in TEXTS[:-1] if text]
    theirs = pipeline("feature-extraction", model)
    for text, got in zip(texts, ours(model, "feature-extraction", texts, pooling="none"), strict=True):
        assert close(got, theirs(text)[0])


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_pooling(pooling: str, checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint("bert", "Model")
    theirs = pipeline("feature-extraction", model)
    texts = TEXTS[:-1]
    for text, got in zip(
        texts, ours(model, "feature-extraction", texts, pooling=pooling, normalize=False), strict=True
    ):
        hidden = torch.tensor(theirs(text)[0])
        rows = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values, "last": hidden[-1]}
        assert close(got, rows[pooling].tolist())


def test_vectors_have_unit_length_and_the_models_own_pooling(checkpoint: Any, ours: Any, tmp_path: Any) -> None:
    import shutil

    model = checkpoint("bert", "Model")
    copy = tmp_path / "sentence-model"
    shutil.copytree(model, copy)
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (vector,) = ours(model, "feature-extraction", TEXTS[:1])
    assert close(torch.tensor(vector).norm().item(), 1.0)
    assert close(
        ours(str(copy), "feature-extraction", TEXTS[:1]), ours(model, "feature-extraction", TEXTS[:1], pooling="cls")
    )


def test_a_long_text_is_the_weighted_mean_of_its_windows(checkpoint: Any, ours: Any, pipeline: Any) -> None:
    model = checkpoint("bert", "Model")
    theirs = pipeline("feature-extraction", model)
    ids = theirs.tokenizer(LONG, add_special_tokens=False)["input_ids"]
    total = torch.zeros(32)
    for start in range(0, len(ids), 62):
        window = [2, *ids[start : start + 62], 3]
        with torch.inference_mode():
            total += theirs.model(input_ids=torch.tensor([window])).last_hidden_state[0].sum(0)
    (got,) = ours(model, "feature-extraction", [LONG])
    assert close(got, nn.functional.normalize(total, dim=0).tolist())
    with pytest.raises(InklingError, match="64 tokens"):
        ours(model, "feature-extraction", [LONG], pooling="none")


def test_the_starter_encoder_gives_its_publishers_vectors(ours: Any) -> None:
    from inkling.engine.models.encoder import embed

    texts = ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]
    got = torch.tensor(ours("starter:encoder", "feature-extraction", texts))
    assert close(got.tolist(), embed(texts).tolist())
    assert close(float(got[0] @ got[1]), 0.7553)  # as its publisher's example prints it
