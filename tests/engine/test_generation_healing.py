"""Token healing: an unfinished word is finished as the model would, and what was typed is never given twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from inkling.engine.backend import Stop
from inkling.engine.generation.healing import Pieces, Spelling, last_word, split
from inkling.engine.generation.text_generator import TextGenerator
from inkling.engine.protocol import GenerateRequest

PROMPT = "def function_1(value):\n    return value\n\ndef function_2(other):\n    ret"


@pytest.fixture(scope="module")
def folder(tiny_lm: Callable[[str], Path]) -> Path:
    return tiny_lm("llama")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("return self.cou", "cou"),
        ("x = fo", " fo"),
        ("x = ", " "),
        ("def f():\n    ", "\n    "),
        ("print(", "("),
        ("a +=", " +="),
        ("", ""),
        ("naïve", "naïve"),
    ],
)
def test_the_last_word(text: str, word: str) -> None:
    assert text[last_word(text) :] == word


@given(st.text(alphabet="ab_ \n(=é", max_size=40))
@settings(max_examples=200, deadline=None)
def test_split_keeps_whole_tokens_before_the_last_word(tokenizer: Tokenizer, text: str) -> None:
    encoding = tokenizer.encode(text, add_special_tokens=False)
    ends = [end for _, end in encoding.offsets]
    keep = split(text, encoding.ids, ends)
    assert all(end <= last_word(text) for end in ends[:keep])
    assert all(end > last_word(text) for end in ends[keep:])


@pytest.mark.parametrize("text", ["r", "Ġ", "re", "Ġva", "Ċ", "zzzz", "function_12345"])
def test_pieces_that_spell_on_are_found(tokenizer: Tokenizer, text: str) -> None:
    pieces = Pieces(tokenizer)
    assert pieces.enabled
    added = set(tokenizer.get_added_tokens_decoder())
    expected = {
        token
        for piece, token in tokenizer.get_vocab().items()
        if token not in added and (piece.startswith(text) or text.startswith(piece))
    }
    assert set(pieces.beginning(text).tolist()) == expected


def reference(folder: Path, prompt: str, steps: int) -> tuple[str, str]:
    """What was typed of the last word, and greedy decoding held to it by brute force, without a cache."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    encoding = tokenizer(prompt, return_offsets_mapping=True, add_special_tokens=False)
    ids, ends = encoding["input_ids"], [end for _, end in encoding["offset_mapping"]]
    keep = split(prompt, ids, ends)
    rest = "".join(tokenizer.convert_ids_to_tokens(ids[keep:]))
    special = set(tokenizer.all_special_ids)
    vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))  # the model has a few ids more
    context, made = ids[:keep], []
    for _ in range(steps + len(ids) - keep):
        with torch.no_grad():
            logits = model(torch.tensor([context + made])).logits[0, -1]
        fits = [
            token
            for token, piece in enumerate(vocabulary)
            if token not in special and (piece.startswith(rest) or rest.startswith(piece))
        ]
        made.append(max(fits, key=lambda token: float(logits[token])) if rest else int(logits.argmax()))
        rest = rest and rest[len(vocabulary[made[-1]]) :]
    text = tokenizer.decode(context + made)[len(tokenizer.decode(context)) :]
    return prompt[ends[keep - 1] :], text.rstrip("�")


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4, 7, 12, 20])
def test_completes_as_the_reference_does(folder: Path, cut: int) -> None:
    prompt = PROMPT[: len(PROMPT) - cut]
    generator = TextGenerator("tiny", folder, quantization="none")
    request = GenerateRequest("tiny", prompt=prompt, max_tokens=12, heal=True)
    chunks = list(generator.generate(request, Stop()))
    typed, expected = reference(folder, prompt, 12)
    assert expected.startswith(typed)
    assert "".join(chunk.text for chunk in chunks).rstrip("�") == expected[len(typed) :]


def test_a_spelling_ends_where_the_text_does(tokenizer: Tokenizer) -> None:
    pieces = Pieces(tokenizer)
    spelling = Spelling(pieces, "Ġva")
    while spelling.rest:
        logits = spelling.restrict(torch.randn(tokenizer.get_vocab_size()))
        before = spelling.rest
        spelling.take(int(logits.argmax()))
        assert len(spelling.rest) < len(before)
