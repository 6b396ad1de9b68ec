"""The corpus: licences, secrets, copies, held-out packages, and text that is not text."""

from __future__ import annotations

import json
import math
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from inkling.training.baselines import NGram, xz_bits_per_byte
from inkling.training.corpus import sources
from inkling.training.corpus.build import CorpusRecipe, Document, build, build_once, read
from inkling.training.corpus.dedup import Seen, signature
from inkling.training.corpus.licences import is_permissive, licence_of
from inkling.training.corpus.scrub import scrub
from inkling.training.corpus.sources import CorpusError, why_unfit
from inkling.training.evaluate import bits_per_byte
from inkling.training.next_line import Case, draw_cases, edit_similarity, judge


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-2-Clause", True),
        ("MPL-2.0 OR MIT", True),
        ("MPL-2.0 AND MIT", False),
        ("Apache-2.0 WITH LLVM-exception AND MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", True),
        ("(MIT AND ISC)", True),
        ("GPL-3.0-or-later", False),
        ("", False),
        ("Proprietary", False),
        ("MIT OR (GPL-2.0 AND MIT)", False),
    ],
)
def test_permissive_licences(expression: str, expected: bool) -> None:
    assert is_permissive(expression) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License-Expression": "MIT", "License": "GPL"}, "MIT"),
        ({"License": "Apache 2.0 License"}, "Apache-2.0"),
        ({"License": "Copyright\nby many"}, ""),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"},
         "Mozilla Public License 2.0 (MPL 2.0)"),
        ({}, ""),
    ],
)  # fmt: skip
def test_declared_licences(fields: dict[str, str], expected: str) -> None:
    metadata = Message()
    for key, value in fields.items():
        metadata[key] = value
    assert licence_of(metadata) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key = 'AKIAIOSFODNN7EXAMPLE'", "key = '<secret>'"),
        ("token ghp_" + "a1" * 18 + " end", "token <secret> end"),
        ("hf_" + "Ab" * 17, "<secret>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "<secret>"),
        ("password = 'hunter2hunter2'", "password = '<secret>'"),
        ('API_KEY: "abcdefgh12"', 'API_KEY: "<secret>"'),
        ("https://me:pass@host/x", "https://user:<secret>@host/x"),
        ("by someone@company.io", "by user@example.com"),
        ("mail a@example.com", "mail a@example.com"),
        ("sha = " + "0f" * 20, "sha = <secret>"),
        ("token = get_token()", "token = get_token()"),
        ("password: str = ''", "password: str = ''"),
        ("@decorator\nx = a @ b", "@decorator\nx = a @ b"),
    ],
)
def test_secrets_go(text: str, expected: str) -> None:
    scrubbed, count = scrub(text)
    assert scrubbed == expected
    assert (count > 0) is (text != expected)


def words(first: int, last: int) -> str:
    return " ".join(f"word{i}" for i in range(first, last))


@pytest.mark.parametrize(
    ("other", "copy_of"),
    [
        (words(0, 400), "one"),
        ("  ".join(words(0, 400).split(" ")), "one"),  # blanks don't matter
        (words(0, 390) + " and an end", "one"),
        (words(200, 600), None),
        (words(1000, 1400), None),
        ("", None),
    ],
)
def test_copies_are_seen(other: str, copy_of: str | None) -> None:
    seen = Seen()
    assert seen.add("one", words(0, 400)) is None
    assert seen.add("two", other) == copy_of


def test_signatures_estimate_similarity() -> None:
    one, other = (set(range(a, b)) for a, b in ((0, 1000), (500, 1500)))
    truth = len(one & other) / len(one | other)
    estimate = (signature(words(0, 1000)) == signature(words(500, 1500))).mean()
    assert estimate == pytest.approx(truth, abs=0.15)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = other\n" * 40, None),
        ("x = 1\n", "too small"),
        ("# This file was automatically generated from m.py\n" + "name = other\n" * 40, "generated"),
        ("# DO NOT EDIT\n" + "name = other\n" * 40, "generated"),
        ("table = [" + "1234567890, " * 200 + "]\n", "data"),
        ("0x12, 0x34, 0x99, 0x87,\n" * 50, "data"),
    ],
)
def test_unfit_files(text: str, reason: str | None) -> None:
    assert why_unfit(text) == reason


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_held_out_packages_share_nothing_with_training(tmp_path: Path) -> None:
    shared = "def shared():\n    return 'the same in both'\n" * 9
    one = write(tmp_path / "one", {"a.py": "x = 1\n" * 50, "copied.py": shared})
    two = write(tmp_path / "two", {"b.py": "y = other\n" * 50, "mine.py": shared})
    report = build(CorpusRecipe(folders=(one, two), held_out=("two",)), tmp_path / "out")
    train, held = (sorted(d.path for d in read(tmp_path / "out" / f"{n}.jsonl")) for n in ("train", "held-out"))
    assert (train, held) == (["a.py"], ["b.py", "mine.py"])
    assert report.packages["one"]["dropped"] == {"near copy": 1}


def test_line_ends_and_marks_are_normal(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.py": b"\xef\xbb\xbfa = 1\r\nb = 2\rc = 3\n"})
    build(CorpusRecipe(folders=(folder,), held_out=("none",)), tmp_path / "out")
    assert [d.text for d in read(tmp_path / "out" / "train.jsonl")] == ["a = 1\nb = 2\nc = 3\n"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.py": b"\xff\xfe\x00"}, "a.py: not a text file"),
        ({"a.py": b"caf\xe9 = 1"}, r"a.py: not UTF-8 text \(byte 3\)"),
        ({"a.txt": "x"}, r"no file matches \*.py"),
    ],
)
def test_bad_folders_are_told(tmp_path: Path, files: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        build(CorpusRecipe(folders=(write(tmp_path / "in", files),)), tmp_path / "out")


def test_a_corpus_with_all_held_out_is_empty(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.py": "x = 1\n"})
    with pytest.raises(CorpusError, match="the corpus is empty: no file is left"):
        build(CorpusRecipe(folders=(folder,), held_out=("in",)), tmp_path / "out")


def test_a_corpus_is_built_again_only_when_its_recipe_changes(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.py": "x = 1\n" * 50})
    recipe = CorpusRecipe(folders=(folder,), held_out=("none",))
    build_once(recipe, tmp_path / "out")
    write(folder, {"b.py": "y = 2\n" * 50})
    build_once(recipe, tmp_path / "out")
    assert [d.path for d in read(tmp_path / "out" / "train.jsonl")] == ["a.py"]
    build_once(CorpusRecipe(folders=(folder,), held_out=("none", "neither")), tmp_path / "out")
    assert {d.path for d in read(tmp_path / "out" / "train.jsonl")} == {"a.py", "b.py"}


def test_a_missing_package_is_named() -> None:
    with pytest.raises(CorpusError, match="not installed: no-such-package"):
        sources.installed(("pytest", "no-such-package"))


def test_installed_packages_come_with_version_and_licence() -> None:
    (package,), refused = sources.installed(("starlette",))
    assert (package.licence, refused) == ("BSD-3-Clause", {})
    assert any(name.endswith("starlette/routing.py") for name, _ in package.files)
    (none, refused) = sources.installed(("hypothesis",))
    assert none == []
    assert refused == {"hypothesis": "licence MPL-2.0"}


def test_the_standard_library_comes_without_its_tests() -> None:
    names = [name for name, _ in sources.standard_library().files]
    assert "argparse.py" in names
    assert not [name for name in names if "test" in Path(name).parts or "site-packages" in name]


def kneser_ney(train: list[int], test: list[int], order: int, vocabulary: int) -> list[float]:
    """The textbook's formula, counted in dictionaries."""
    from collections import Counter

    levels = []
    for n in range(1, order + 1):
        if n == order:
            counts = Counter(tuple(train[i : i + n]) for i in range(len(train) - n + 1))
        else:
            counts = Counter(gram[1:] for gram in {tuple(train[i : i + n + 1]) for i in range(len(train) - n)})
        ones, twos = (sum(count == k for count in counts.values()) for k in (1, 2))
        totals: Counter[tuple[int, ...]] = Counter()
        for gram, count in counts.items():
            totals[gram[:-1]] += count
        levels.append((counts, ones / max(1, ones + 2 * twos), totals, Counter(gram[:-1] for gram in counts)))
    chances = []
    for at in range(len(test)):
        chance = 1 / vocabulary
        for n, (counts, discount, totals, kinds) in enumerate(levels, 1):
            gram = tuple(test[max(0, at - n + 1) : at + 1])
            if len(gram) == n and totals[gram[:-1]]:
                chance = (max(counts[gram] - discount, 0) + discount * kinds[gram[:-1]] * chance) / totals[gram[:-1]]
        chances.append(chance)
    return chances


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_ngram_baseline_follows_kneser_ney(order: int) -> None:
    rng = np.random.default_rng(order)
    train, test = rng.integers(0, 6, 500).tolist(), rng.integers(0, 7, 60).tolist()
    ours = NGram(train, 7, order).probabilities(test)
    assert ours == pytest.approx(kneser_ney(train, test, order, 7))


def test_the_ngram_baseline_goes_on_as_it_was_told() -> None:
    model = NGram([1, 2, 3, 4, 5] * 20, 8)
    assert [model.best([1, 2, 3]), model.best([5]), model.best([7, 7])] == [4, 1, model.best([])]


def test_xz_profits_from_its_context() -> None:
    rng = np.random.default_rng(0)
    text = "".join(chr(c) for c in rng.integers(97, 123, 5000))
    assert xz_bits_per_byte(text, [text]) < 0.5 < 4 < xz_bits_per_byte("", [text])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "", 1.0), ("abc", "abc", 1.0), ("abc", "", 0.0), ("kitten", "sitting", 1 - 3 / 7), ("ab", "ba", 0.0)],
)
def test_edit_similarity(one: str, other: str, expected: float) -> None:
    assert edit_similarity(one, other) == pytest.approx(expected)


DOCUMENTS = [
    Document(package, f"m{i}.py", "".join(f"    value_{i}_{j} = compute({j})\n" for j in range(20)))
    for package in ("one", "two")
    for i in range(3)
]


@pytest.mark.parametrize("kind", ["rest", "line"])
def test_cursors_stand_where_told(kind: str) -> None:
    cases = draw_cases(DOCUMENTS, kind, 21)
    assert cases == draw_cases(DOCUMENTS, kind, 21)
    assert [sum(c.document.package == name for c in cases) for name in ("one", "two")] == [11, 10]
    for case in cases:
        assert f"{case.before}{case.wanted}\n{case.after}" == case.document.text
        typed = case.before.rpartition("\n")[2]
        assert (typed.strip() == "") is (kind == "line")
        assert case.wanted.strip()


def test_judging_counts_exact_lines() -> None:
    cases = draw_cases(DOCUMENTS, "line", 4)

    def half(case: Case) -> str:
        return case.wanted + "  \nmore" if cases.index(case) % 2 else "wrong"

    score = judge(half, cases)
    assert (score.exact, score.cases) == (0.5, 4)
    assert 0.5 < score.similarity < 1
    assert judge(lambda case: case.wanted, cases).exact == 1.0


def test_documents_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    document = Document("p", "q", "line\u2028 with\nodd \U0001f600 ends")
    path.write_text(json.dumps(vars(document), ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(read(path)) == [document]


@pytest.mark.parametrize("length", [1, 5, 16, 17, 24, 40, 63])
def test_bits_per_byte_count_each_token_once(length: int, raw_tokenizer: Any) -> None:
    """A model for which all tokens are equally likely needs log2(vocabulary) bits for each, at any length."""

    vocabulary = raw_tokenizer.get_vocab_size()

    class Indifferent(torch.nn.Embedding):
        def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
            return SimpleNamespace(logits=torch.zeros(*input_ids.shape, vocabulary))

    text = "(~" * length
    tokens = len(raw_tokenizer.encode(text, add_special_tokens=False).ids)
    measured = bits_per_byte(Indifferent(1, 1), raw_tokenizer, [text], context=16)
    assert measured == pytest.approx(tokens * math.log2(vocabulary) / len(text))
