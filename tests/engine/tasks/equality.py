"""`python -m tests.engine.tasks.equality [PAGE]`: how far our scores are from transformers' pipelines, as a table.

On the tests' own checkpoints: tiny, of every architecture, with random weights, so that any slip in tokenizing,
padding, batching or decoding shows. Ours reads all texts in one call, the pipeline each by itself.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from tests.engine.tasks.conftest import TEXTS, checkpoints

from inkling.engine.backend import Stop
from inkling.engine.models.store import create_backend

WITHIN = 1e-4
BOUNDS = (1e-6, 1e-5, WITHIN)
BEGIN, END = "<!-- equality: begin -->", "<!-- equality: end -->"
SENTENCES = [text for text in TEXTS[:-1] if text.strip()]
MASKED = "Ada Lovelace writes {} about engines."
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-ORG", 4: "I-ORG"}
NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}
ENTAILS = {"num_labels": 3, "id2label": NLI, "label2id": {name: index for index, name in NLI.items()}}
CANDIDATES = ["engines", "music", "dogs"]
Scores = list[tuple[str, float]]
Case = tuple[str, str, str, dict[str, Any]]

CASES: tuple[Case, ...] = (
    *[
        ("text-classification", kind, "ForSequenceClassification", {"num_labels": 3})
        for kind in ("bert", "distilbert", "roberta", "albert", "electra", "deberta", "mpnet", "xlm-roberta",
                     "modernbert", "gpt2", "llama", "bart")
    ],
    *[("zero-shot-classification", kind, "ForSequenceClassification", ENTAILS) for kind in ("bert", "roberta")],
    *[
        ("token-classification", kind, "ForTokenClassification", {"num_labels": 5, "id2label": TAGS})
        for kind in ("bert", "distilbert", "roberta")
    ],
    *[("fill-mask", kind, "ForMaskedLM", {}) for kind in ("bert", "distilbert", "roberta")],
    *[("feature-extraction", kind, "Model", {}) for kind in ("bert", "distilbert", "roberta")],
)  # fmt: skip


def ours(case: Case, folder: str) -> Iterator[Scores]:
    """Our scores for each text, named."""
    task, _, _, _ = case
    backend = create_backend(device="cpu", threads=1)
    model = backend.load(folder, task, quantization="none", on_progress=lambda fraction: None)
    given: dict[str, dict[str, Any]] = {
        "zero-shot-classification": {"candidate_labels": CANDIDATES},
        "feature-extraction": {"pooling": "none"},
        "token-classification": {"aggregation_strategy": "none", "ignore_labels": []},
    }
    texts = [MASKED.format("[MASK]")] if task == "fill-mask" else SENTENCES
    for got in model.run(texts, given.get(task, {}), Stop()):
        yield named(task, got)


def theirs(case: Case, folder: str) -> Iterator[Scores]:
    """The pipeline's."""
    task, _, _, _ = case
    options = {"aggregation_strategy": "none", "ignore_labels": []} if task == "token-classification" else {}
    pipe: Any = transformers.pipeline(task, model=folder, device="cpu", **options)
    asked: Callable[[str], Any] = pipe
    if task == "text-classification":
        asked = lambda text: pipe(text, top_k=None)  # noqa: E731
    elif task == "zero-shot-classification":
        asked = lambda text: pipe(text, CANDIDATES)  # noqa: E731
    texts = [MASKED.format(pipe.tokenizer.mask_token)] if task == "fill-mask" else SENTENCES
    for text in texts:
        yield named(task, asked(text))


def named(task: str, got: Any) -> Scores:
    """A result's scores, each with what it is the score of."""
    if task == "zero-shot-classification" and isinstance(got, dict):
        return list(zip(got["labels"], got["scores"], strict=True))
    if task == "feature-extraction":
        rows = got[0] if isinstance(got[0][0], list) else got
        return [(f"{at}", value) for at, value in enumerate(value for row in rows for value in row)]
    if task == "token-classification":
        return [(f"{row['entity']} {row['start']}", row["score"]) for row in got]
    return [(row.get("label") or row["token_str"], row["score"]) for row in got]


def distance(one: Scores, other: Scores) -> float:
    """The greatest difference of scores of the same name; infinite where the names differ."""
    mine, its = dict(one), dict(other)
    if mine.keys() != its.keys():
        return float("inf")
    return max((abs(mine[name] - its[name]) for name in mine), default=0.0)


def table() -> tuple[str, float]:
    """The table in Markdown, and the greatest difference of all."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    rows, worst = ["| task | architecture | texts | greatest difference |", "|---|---|---|---|"], 0.0
    with tempfile.TemporaryDirectory() as root:
        make = checkpoints(lambda kind: Path(tempfile.mkdtemp(prefix=kind, dir=root)))
        for case in CASES:
            task, kind, head, changes = case
            folder = make(kind, head, **changes)
            pairs = list(zip(ours(case, folder), theirs(case, folder), strict=True))
            far = max(distance(*pair) for pair in pairs)
            worst = max(worst, far)
            below = next((f"below {bound:.0e}" for bound in BOUNDS if far < bound), f"{far:.0e}")
            rows.append(f"| {task} | {kind} | {len(pairs)} | {below} |")
    return "\n".join(rows), worst


def main() -> int:
    """Print the table, or put it between a page's marks; status 1 where a difference is too great."""
    rows, worst = table()
    if len(sys.argv) > 1:
        page = Path(sys.argv[1])
        before, rest = page.read_text("utf-8").split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{rows}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    else:
        print(rows)
    return int(worst >= WITHIN)


if __name__ == "__main__":
    sys.exit(main())
