"""Judge a classifier on held-out text beside a TF-IDF baseline, and write its model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkling.engine.models.encoder import ENCODER_SHA256
from inkling.engine.models.encoder_head import decode_spans
from inkling.training.card import ModelCard, Result
from inkling.training.classifier_metrics import (
    calibration_chance,
    calibration_error,
    confusion,
    confusion_markdown,
    macro_f1,
    reliability,
    reliability_markdown,
    roc_auc,
    softmax,
)
from inkling.training.classifier_model import IGNORED, Scorer
from inkling.training.classifier_recipe import ClassifierRecipe, FalseAlarms
from inkling.training.classifier_run import EncodedExamples, predict
from inkling.training.data_baseline import TextBaseline, available, token_baseline
from inkling.training.data_labelled import Example, label_counts

BASELINE = "TF-IDF + logistic"
LOADING = {
    True: "Inkling alone loads this folder: name it as a `model` in `inkling.toml`. It holds what was added to the "
    'shared encoder, without the encoder and its tokenizer. A recipe with `tune.method = "full"` makes a folder that '
    "transformers loads by itself.",
    False: "A `save_pretrained` folder: transformers loads it, and Inkling as a `model` in `inkling.toml`.",
}
"""By whether the folder is a delta on the shared encoder."""


@dataclass(frozen=True)
class Judgement:
    """Figures on one held-out set, and the tables behind them."""

    results: list[Result]
    tables: dict[str, str] = field(default_factory=dict)


def judge(
    recipe: ClassifierRecipe,
    body: Scorer,
    heldout: Mapping[str, Sequence[Example]],
    train: Sequence[Example],
    temperature: float = 1.0,
    ordinary: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Judgement]:
    """Measure on each held-out set that has examples, then the false alarms in each kind of `ordinary` text.

    The baseline is fitted once, on the same `train`, where scikit-learn is installed.
    """
    baseline = TextBaseline(train, recipe.labels) if available() and not recipe.entities else None
    result: dict[str, Judgement] = {}
    for name, examples in heldout.items():
        if not examples:
            continue
        pairs = predict(body, examples, recipe)
        probabilities = softmax(np.concatenate([logits for logits, _ in pairs]) / temperature)
        truth = np.concatenate([truth for _, truth in pairs])
        if recipe.entities:
            result[name] = _judge_entities(recipe, body, examples, train, probabilities, truth)
        else:
            other = baseline.scores(examples) if baseline else None
            result[name] = judge_texts(recipe.labels, truth, probabilities, other)
    for kind, texts in (ordinary or {}).items():
        if texts and recipe.false_alarms:
            name = f"{len(texts)} texts, {kind} of packages not trained on"
            result[name] = _judge_ordinary(recipe, recipe.false_alarms, body, texts, temperature, baseline)
    return result


def _judge_ordinary(
    recipe: ClassifierRecipe,
    alarms: FalseAlarms,
    body: Scorer,
    texts: Sequence[str],
    temperature: float,
    baseline: TextBaseline | None,
) -> Judgement:
    label = recipe.labels.index(alarms.label)
    examples = [Example(text, label=recipe.labels[label - 1]) for text in texts]  # any other: no figure reads it

    def share(probabilities: NDArray[np.floating]) -> float:
        return 100 * float((probabilities[:, label] >= alarms.threshold).mean())

    logits = np.concatenate([logits for logits, _ in predict(body, examples, recipe)])
    other = share(baseline.scores(examples)) if baseline else None
    name = f"called {alarms.label}, from {alarms.threshold:g} on"
    return Judgement([Result(name, share(softmax(logits / temperature)), "%", BASELINE, other)])


def judge_texts(
    labels: Sequence[str],
    truth: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    baseline: NDArray[np.floating] | None = None,
) -> Judgement:
    """Figures of a text classifier from its probabilities [n, labels] and the truth [n]."""
    measures: dict[str, Callable[[NDArray[np.floating]], float]] = {
        "macro-F1": lambda scores: macro_f1(truth, scores.argmax(1), len(labels)),
        "accuracy": lambda scores: float((scores.argmax(1) == truth).mean()),
        "calibration error": lambda scores: calibration_error(truth, scores),
    }
    if len(labels) == 2:  # the first label is the one that a user is warned of
        measures["ROC AUC"] = lambda scores: roc_auc((truth == 0).astype(int), scores[:, 0])
    results = [
        Result(name, measure(probabilities), "", BASELINE, None if baseline is None else measure(baseline))
        for name, measure in measures.items()
    ]
    chance = Result("calibration error of a perfect model, by chance", calibration_chance(probabilities))
    results.insert(list(measures).index("calibration error") + 1, chance)
    tables = {
        "Confusion": confusion_markdown(confusion(truth, probabilities.argmax(1), len(labels)), labels),
        "Reliability": reliability_markdown(reliability(truth, probabilities)),
    }
    return Judgement(results, tables)


def _judge_entities(
    recipe: ClassifierRecipe,
    body: Scorer,
    heldout: Sequence[Example],
    train: Sequence[Example],
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
) -> Judgement:
    data = EncodedExamples(heldout, body, recipe)
    ends = np.cumsum([len(encoding) for encoding in data.encodings])[:-1]
    found = [
        {(e.start, e.end, e.label) for e in decode_spans(example.text, encoding, scores, recipe.labels)}
        for example, encoding, scores in zip(heldout, data.encodings, np.split(probabilities, ends), strict=True)
    ]
    table, exact = entity_table([set(example.entities) for example in heldout], found, recipe.labels[1:])
    known = truth != IGNORED
    truth, probabilities = truth[known], probabilities[known]
    other = None
    if available():
        known_tokens = EncodedExamples(train, body, recipe).tokens()
        scores = token_baseline(known_tokens, data.tokens(), len(recipe.labels))
        other = macro_f1(truth, scores.argmax(1), len(recipe.labels))
    results = [
        Result(
            "macro-F1 over tokens",
            macro_f1(truth, probabilities.argmax(1), len(recipe.labels)),
            "",
            BASELINE,
            other,
        ),
        Result("macro-F1 over exact entities", exact),
        Result("calibration error over tokens", calibration_error(truth, probabilities)),
    ]
    tables = {"Entities": table, "Reliability": reliability_markdown(reliability(truth, probabilities))}
    return Judgement(results, tables)


def entity_table(
    truth: Sequence[set[tuple[int, int, str]]], found: Sequence[set[tuple[int, int, str]]], labels: Sequence[str]
) -> tuple[str, float]:
    """(Markdown with precision, recall and F1 per label over exact spans, their macro-F1)."""
    lines = ["| entity | in the text | found | right | precision | recall | F1 |", "|---|---|---|---|---|---|---|"]
    scores = []
    for label in labels:
        want = sum(span[2] == label for spans in truth for span in spans)
        got = sum(span[2] == label for spans in found for span in spans)
        right = sum(span[2] == label for expected, spans in zip(truth, found, strict=True) for span in expected & spans)
        if want + got:
            scores.append(2 * right / (want + got))
            figures = f"{right / max(1, got):.2f} | {right / max(1, want):.2f} | {scores[-1]:.2f}"
            lines.append(f"| {label} | {want} | {got} | {right} | {figures} |")
    return "\n".join(lines), float(np.mean(scores)) if scores else 0.0


def write(
    recipe: ClassifierRecipe,
    folder: Path,
    judged: Mapping[str, Judgement],
    train: Sequence[Example],
    temperature: float,
    thresholds: Mapping[str, float],
) -> Path:
    """Write `README.md` in the model's folder."""
    results, sections = [], {}
    for name, judgement in judged.items():
        results += [replace(result, name=f"{result.name} ({name})") for result in judgement.results]
        for title, table in judgement.tables.items():
            sections[f"{title} ({name})"] = table
    counts = label_counts(train, entities=recipe.entities)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    tune, delta = recipe.tune, recipe.tune.method != "full"
    files = ", ".join(f"`{path.name}`" for path in recipe.train)
    return ModelCard(
        name=recipe.card.title or recipe.name,
        task=recipe.task,
        summary=recipe.card.summary or f"Tells apart {', '.join(label for label in recipe.labels if label != 'O')}.",
        limits=recipe.card.limits,
        license=recipe.card.licence,
        library="inkling" if delta else "transformers",
        languages=recipe.card.languages,
        tags=["classifier", tune.method],
        base_model="sentence-transformers/all-MiniLM-L6-v2" if delta else None,
        training={
            "encoder sha256": f"`{ENCODER_SHA256[:16]}…`" if delta else recipe.encoder,
            "trained": tune.method + (f", rank {tune.rank}" if tune.method == "lora" else ""),
            **({"started from": recipe.start.name} if recipe.start else {}),
            "file": f"{size / 1000:.0f} kB",
            "epochs, batch": f"{tune.epochs}, {tune.batch_size}",
            "learning rate (head)": f"{tune.learning_rate:g} ({tune.head_learning_rate:g})",
            "seed": recipe.seed,
            "examples trained on": ", ".join(f"{label} {counts[label]}" for label in recipe.labels if counts[label]),
            "temperature": f"{temperature:.3f}",
            f"thresholds (right {recipe.calibration.precision:.0%} of the time on unseen topics)": ", ".join(
                f"{label} {value:.2f}" for label, value in thresholds.items()
            ),
        },
        results=results,
        sections={"Loading": LOADING[delta], **sections, "Data": recipe.card.data or f"Read from {files}."},
    ).write(folder)
