"""The code model: bits per byte and next lines on packages it has not seen, beside what needs no model.

Held-out packages are taken from this environment; the baselines are trained on the same corpus as the model (built
under models/runs/ when it isn't there, which takes a minute).
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from bench.row import Row, row
from inkling.engine.backend import Stop
from inkling.engine.generation.text_generator import TextGenerator
from inkling.engine.models.catalog import STARTER_FOLDER
from inkling.engine.protocol import GenerateRequest
from inkling.training.baselines import NGram, ngram_bits_per_byte, xz_bits_per_byte
from inkling.training.causal import plain_text_tokenizer
from inkling.training.causal_card import sample_texts
from inkling.training.complete import Said
from inkling.training.corpus import build as corpus
from inkling.training.corpus.build import Document
from inkling.training.evaluate import bits_per_byte
from inkling.training.next_line import Case, Score, draw_cases, judge
from inkling.training.packing import TokenFile, content_key
from inkling.training.recipe import load_recipe
from inkling.training.tokenizer import control_id
from inkling.training.tokenizer_recipe import END, TokenizerRecipe
from inkling_plugins.completion.copy_source import Copy, find_copy
from inkling_plugins.completion.line_index import FileLines, LineIndex
from inkling_plugins.completion.settings import CompleteSettings

ROOT = Path(__file__).parents[1]
MODEL = STARTER_FOLDER / "code"
CONTEXT = 1024
PROMPT = 3000
"""Characters before the cursor that the model is asked with."""
LINE_TOKENS = 48
COPY_ALONE = CompleteSettings().copy_alone


def rows(quick: bool = False) -> list[Row]:
    """All figures; ``quick`` measures on a fifth of the text."""
    torch.set_num_threads(2)
    folder = corpus_folder()
    held = list(corpus.read(folder / "held-out.jsonl"))
    raw = plain_text_tokenizer(MODEL)
    ngram = _ngram(folder, raw)
    model = _model()
    engine = Served()
    texts = sample_texts(held, 80_000 if quick else 400_000)
    found = _language(model, raw, ngram, folder, texts)
    for kind, name in (("rest", "rest of line"), ("line", "whole line")):
        cases = draw_cases(held, kind, 60 if quick else 300)
        found += _next_line(name, cases, held, engine, ngram, raw)
    return found + _first_keystroke(held, engine, 20 if quick else 60)


def _language(model: torch.nn.Module, raw: Tokenizer, ngram: NGram, folder: Path, texts: Sequence[str]) -> list[Row]:
    start = control_id(raw, END)
    encoded = [([start, *raw.encode(text, add_special_tokens=False).ids], len(text.encode())) for text in texts]
    before = "".join(sample_texts(list(corpus.read(folder / "train.jsonl")), 2_000_000))
    ours = bits_per_byte(model, raw, texts, context=CONTEXT)
    peers = {
        "5-gram, same corpus": ngram_bits_per_byte(ngram, encoded),
        "xz, each file after 2 MB of the corpus": xz_bits_per_byte(before, texts[:25]),
    }
    return [
        row(f"starters/bits per byte, against {peer.partition(',')[0].split()[0]}", ours, "bit/B", better="less",
            peer=peer, peer_value=value)
        for peer, value in peers.items()
    ]  # fmt: skip


def _next_line(
    name: str, cases: Sequence[Case], held: Sequence[Document], engine: Served, ngram: NGram, raw: Tokenizer
) -> list[Row]:
    workspace = Workspace(held)
    said = {case: engine.line(case.before) for case in cases}
    copies = {case: workspace.copy(case) for case in cases}

    scores = {
        "lm": judge(lambda case: said[case].text, cases),
        "copy": judge(lambda case: _text(copies[case]), cases),
        "both": judge(lambda case: both(case, copies[case], said[case]), cases),
    }
    peers = {
        "same-prefix line": judge(same_prefix, cases),
        "5-gram": judge(lambda case: _by_ngram(ngram, raw, case.before), cases),
    }
    found = []
    for measure, unit in (("exact", "exact"), ("similarity", "edit similarity")):
        value: Callable[[Score], float] = lambda score, key=measure: float(getattr(score, key))  # noqa: E731
        best = max(peers, key=lambda peer: value(peers[peer]))
        for who, score in scores.items():
            peer, peer_value = ("copy", value(scores["copy"])) if who == "both" else (best, value(peers[best]))
            title = f"starters/next-line {who}, {name}, {unit}"
            found.append(row(title, value(score), "share", better="more", peer=peer, peer_value=peer_value))
    alone, opened = scores["copy"].exact, judge(lambda case: _text(workspace.copy_of_open(case)), cases).exact
    title = f"starters/next-line copy, {name}, exact with the workspace"
    found.append(row(title, alone, "share", better="more", peer="3 open files", peer_value=opened))
    sure = sorted(cases, key=lambda case: -said[case].logprob)[: max(1, len(cases) // 5)]
    exact = judge(lambda case: said[case].text, sure).exact
    title = f"starters/next-line lm, {name}, exact among the surest fifth"
    return [*found, row(title, exact, "share", better="more", peer="all", peer_value=scores["lm"].exact)]


def both(case: Case, copy: Copy | None, said: Said) -> str:
    """What an editor is answered, however unsure both are: docs/completion.md, steps 5 and 7."""
    begun = case.kind == "rest"
    if copy is None:
        return said.text
    if copy.stands_alone(begun, COPY_ALONE) or copy.chance_beside(said.text, begun) > math.exp(said.logprob):
        return _text(copy)
    return said.text


class Served:
    """The starter as the engine serves it to an editor: a word that has been begun is completed."""

    def __init__(self) -> None:
        self._generator = TextGenerator("starter:code", MODEL, threads=2)

    def line(self, before: str) -> Said:
        """What it says after ``before``, to the end of the line."""
        text, scores, tokens = "", [], 0
        for chunk in self._generator.generate(self._request(before, LINE_TOKENS), Stop()):
            scores.append((len(text), chunk.logprob))
            text += chunk.text
            tokens += chunk.tokens
        return Said(text, sum(logprob for at, logprob in scores if at < len(text)), tokens)

    def first_text_ms(self, before: str, cache_key: str) -> float:
        """Milliseconds from a request to the first text."""
        begun = time.perf_counter()
        stream = self._generator.generate(self._request(before, 16, cache_key), Stop())
        next((chunk for chunk in stream if chunk.text), None)
        waited = 1000 * (time.perf_counter() - begun)
        stream.close()  # type: ignore[attr-defined]
        return waited

    def _request(self, before: str, tokens: int, cache_key: str = "") -> GenerateRequest:
        return GenerateRequest(
            model="starter:code",
            prompt=before[-PROMPT:],
            max_tokens=tokens,
            stop=("\n",),
            cache_key=cache_key,
            heal=True,
        )


class Workspace:
    """The other files of a case's package, as an editor's workspace would hold them."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._by_package: dict[str, list[Document]] = {}
        for document in documents:
            self._by_package.setdefault(document.package, []).append(document)
        self._lines = {
            package: LineIndex([FileLines(document.path, document.text) for document in found])
            for package, found in self._by_package.items()
        }

    def copy(self, case: Case) -> Copy | None:
        """The copy source's suggestion: this file and two more are open, the package's others are in the index."""
        texts, opened = self._open(case)
        return find_copy(case.before, texts, indexed=self._lines[case.document.package].places(case.before, opened))

    def copy_of_open(self, case: Case) -> Copy | None:
        """The same without the index."""
        return find_copy(case.before, self._open(case)[0])

    def _open(self, case: Case) -> tuple[list[str], set[str]]:
        """The texts of two files near by, after the cursor's own; and the paths of all three."""
        near = case.document.path.rpartition("/")[0]
        others = [d for d in self._by_package[case.document.package] if d.path != case.document.path]
        others.sort(key=lambda d: d.path.rpartition("/")[0] != near)
        return [case.after, *(d.text for d in others[:2])], {case.document.path, *(d.path for d in others[:2])}


def same_prefix(case: Case) -> str:
    """The rest of the nearest earlier line that begins as the current one does."""
    earlier, _, typed = case.before.rpartition("\n")
    for line in reversed(earlier.split("\n")):
        if line.startswith(typed) and line.strip():
            return line[len(typed) :]
    return ""


def _by_ngram(ngram: NGram, raw: Tokenizer, before: str) -> str:
    ids: list[int] = raw.encode(before[-400:], add_special_tokens=False).ids[-8:]
    said: list[int] = []
    while len(said) < 40 and (token := ngram.best(ids + said)) is not None:
        said.append(token)
        if "\n" in raw.decode([token], skip_special_tokens=False):
            break
    text: str = raw.decode(said)
    return text.split("\n")[0]


def _first_keystroke(held: Sequence[Document], engine: Served, count: int) -> list[Row]:
    """From a request about a document the engine has not seen to the first text."""
    cases = draw_cases(held, "rest", count + 3, seed=3)
    times = [engine.first_text_ms(case.before, f"document {number}") for number, case in enumerate(cases)]
    p50 = statistics.median(times[3:])
    return [row("starters/code model, first text in a new document p50", p50, "ms", better="less",
                peer="the aim", peer_value=100.0)]  # fmt: skip


def corpus_folder() -> Path:
    """The corpus of the tokenizer recipe, without packages that this environment lacks."""
    recipe = load_recipe(ROOT / "models/recipes/tokenizer.toml", TokenizerRecipe)
    if (recipe.corpus_out / "report.json").is_file():
        return recipe.corpus_out
    here = {(dist.name or "").lower() for dist in importlib.metadata.distributions()}
    present = dataclasses.replace(
        recipe.corpus,
        packages=tuple(name for name in recipe.corpus.packages if name.lower() in here),
        held_out=tuple(name for name in recipe.corpus.held_out if name.lower() in here),
    )
    folder = ROOT / "models/runs/bench/corpus"
    corpus.build_once(present, folder)
    return folder


def _ngram(folder: Path, raw: Tokenizer) -> NGram:
    texts = (document.text for document in corpus.read(folder / "train.jsonl"))
    key = content_key(folder / "train.jsonl", MODEL / "tokenizer.json")
    tokens = TokenFile.prepare(texts, raw, ROOT / "models/runs/bench/train.tokens.npy", key).tokens
    return NGram(np.asarray(tokens), raw.get_vocab_size())


def _model() -> torch.nn.Module:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, use_safetensors=True).eval()


def _text(copy: Copy | None) -> str:
    return "" if copy is None else copy.text.split("\n")[0]
