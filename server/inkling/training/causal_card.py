"""The causal model's card: its run, its figures beside the baselines', and completions that nobody chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from inkling.training.baselines import NGram, ngram_bits_per_byte, xz_bits_per_byte
from inkling.training.card import ModelCard, Result
from inkling.training.causal_recipe import CausalRecipe
from inkling.training.complete import GreedyCompleter
from inkling.training.corpus import build as corpus
from inkling.training.corpus.build import Document
from inkling.training.evaluate import bits_per_byte
from inkling.training.loop import Position
from inkling.training.next_line import Case, draw_cases, judge
from inkling.training.progress import say
from inkling.training.tokenizer import control_id
from inkling.training.tokenizer_recipe import END

HELD_OUT_BYTES = 400_000
"""How much held-out text the card is measured on: a fixed draw over all held-out packages."""
CASES = 100
LIMITS = (
    "A very small model after a short training. It knows Python's syntax, common idioms and how a file goes on; it "
    "does not understand programs, invents names, and knows next to nothing of other languages or prose. Show what it "
    "says with a threshold on its confidence, and beside a copy source. It does not chat."
)
_XZ_CONTEXT = 2_000_000
_XZ_FILES = 25


def write_card(recipe: CausalRecipe, model: Any, tokenizer: Any, position: Position, folder: Path) -> Path:
    """Measure the model on held-out text and write its card into ``folder``."""
    raw: Tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    raw.encode_special_tokens = True
    held = list(corpus.read(recipe.corpus / "held-out.jsonl")) if _has_held_out(recipe) else []
    context = position.context
    model = model.to("cpu").float()
    results: list[Result] = []
    sections: dict[str, str] = {}
    if held:
        say(f"Measuring for the card: bits per byte of {HELD_OUT_BYTES:,} held-out bytes, beside a 5-gram and xz")
        texts = sample_texts(held, HELD_OUT_BYTES)
        results += language_figures(recipe, model, raw, texts, context)
        completer = GreedyCompleter(model, raw, window=context - 64)
        results += next_line_figures(completer, held, suffix_first=recipe.fim.order != "usual")
        sections["Ten completions that nobody chose"] = ten_completions(completer, held)
    shape = recipe.shape
    parameters = sum(p.numel() for p in model.parameters())
    left = recipe.loop.steps - position.step
    unfinished = f", stopped {left:,} steps before its end" if left > 0 else ""
    card = ModelCard(
        name=f"Code model, {parameters / 1e6:.1f} million parameters, Python",
        task="text-generation",
        summary=(
            f"A Llama-style language model for Python, trained {_from(recipe)} on permissively licensed source code. "
            "It completes the rest of a line from what stands before it"
            + ("." if recipe.fim.order == "none" else ", or between two texts by fill-in-the-middle.")
        ),
        limits=LIMITS,
        languages=("code",),
        tags=("code", "python"),
        training={
            "parameters": f"{parameters:,} ({recipe.shape.width * len(tokenizer):,} in the shared embeddings)",
            "shape": f"{shape.layers} layers of {shape.width}, {shape.heads} heads, {shape.kv_heads} key-value heads",
            "training tokens": f"{position.tokens:,} in {position.step:,} steps{_in_this_run(recipe)}{unfinished}",
            "time in steps": f"{position.seconds / 60:.0f} minutes",
            "training loss, mean of the last 50 steps": _last_loss(recipe.out),
            "context": f"{recipe.loop.context} tokens, {context} at the end",
            "fill-in-the-middle": f"{recipe.fim.rate:.0%} of windows"
            + f", {recipe.fim.spm:.0%} of them suffix first; order for editors: {recipe.fim.order}",
            "optimizer": f"{recipe.optimizer.kind}, rate {recipe.optimizer.rate}, warm-up, stable, decay",
            "seed": recipe.seed,
            "notes": recipe.notes or "–",
            "data": "see models/data/code-corpus.md in the project; held out by whole package",
        },
        results=results,
        sections=sections,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return card.write(folder)


def sample_texts(documents: Sequence[Document], size: int) -> list[str]:
    """Whole documents in an order drawn once for all, until ``size`` bytes."""
    order = np.random.default_rng(11).permutation(len(documents))
    texts: list[str] = []
    for i in order:
        if sum(len(text) for text in texts) >= size:
            break
        texts.append(documents[i].text)
    return texts


def language_figures(
    recipe: CausalRecipe, model: Any, raw: Tokenizer, texts: Sequence[str], context: int
) -> list[Result]:
    """Bits per byte of the model, a 5-gram over the same tokens and xz, on the same texts."""
    tokens = np.load(recipe.out / "train.tokens.npy", mmap_mode="r")
    ngram = NGram(tokens, raw.get_vocab_size())
    start = control_id(raw, END)
    encoded = [([start, *raw.encode(text, add_special_tokens=False).ids], len(text.encode())) for text in texts]
    before = "".join(sample_texts(list(corpus.read(recipe.corpus / "train.jsonl")), _XZ_CONTEXT))
    ours = bits_per_byte(model, raw, texts, context=context)
    name = f"bits per byte, held-out packages ({sum(size for _, size in encoded):,} bytes), less is better"
    return [
        Result(name, ours, "", "5-gram", ngram_bits_per_byte(ngram, encoded)),
        Result(
            "the same",
            ours,
            "",
            f"xz, {min(_XZ_FILES, len(texts))} of these files, each after 2 MB of the corpus",
            xz_bits_per_byte(before, texts[:_XZ_FILES]),
        ),
    ]


def next_line_figures(completer: GreedyCompleter, held: Sequence[Document], *, suffix_first: bool) -> list[Result]:
    """Exact match and edit similarity at held-out cursors, without and with the text after the cursor."""

    def filled(case: Case) -> str:
        return completer.filled(case.before, "\n" + case.after, suffix_first=suffix_first).text

    results = []
    for kind, told in (("rest", "rest of the line"), ("line", "whole next line")):
        cases = draw_cases(held, kind, CASES)
        say(f"The {told}, at {len(cases)} held-out cursors, each with and without the text behind it")
        plain = judge(lambda case: completer.line(case.before).text, cases)
        fim = judge(filled, cases)
        beside = "with fill-in-the-middle"
        results += [
            Result(f"{told}, exact match ({plain.cases} cursors)", plain.exact, "", beside, fim.exact),
            Result(f"{told}, edit similarity", plain.similarity, "", beside, fim.similarity),
        ]
    return results


def ten_completions(completer: GreedyCompleter, held: Sequence[Document]) -> str:
    """Ten cursors by a fixed draw: the lines before, what the author wrote, what the model says."""
    cases = draw_cases(held, "rest", 10, seed=2)
    return "\n".join(_shown(case, completer.line(case.before).text) for case in cases)


def _shown(case: Case, said: str) -> str:
    before = "\n".join(case.before.split("\n")[-4:])
    return (
        f"`{case.document.package}/{case.document.path}`\n\n```text\n{before}▮\n```\n\n"
        f"author: `{case.wanted.strip() or ' '}`  \nmodel: `{said.strip() or ' '}`\n"
    )


def _from(recipe: CausalRecipe) -> str:
    return "from nothing" if recipe.init is None else "further, from another model's weights,"


def _in_this_run(recipe: CausalRecipe) -> str:
    return "" if recipe.init is None else ", in this run"


def _has_held_out(recipe: CausalRecipe) -> bool:
    path = recipe.corpus / "held-out.jsonl"
    return path.is_file() and path.stat().st_size > 0


def _last_loss(out: Path) -> str:
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()[-50:]
    losses = [json.loads(line)["loss"] for line in lines if '"loss"' in line]
    return f"{sum(losses) / max(1, len(losses)):.3f} nats per token"
