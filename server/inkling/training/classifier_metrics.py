"""How good a classifier is, and how far its probabilities can be believed. Pure numpy, no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

BINS = 10
MINIMUM_SHOWN = 10
"""A threshold needs this many examples above it, or its precision is an accident."""
UNSURE = 0.9
"""The highest threshold; also that of a label which is not right often enough at any, or too rare to tell."""


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax of [n, labels]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def confusion(truth: Ints, predicted: Ints, labels: int) -> NDArray[np.int64]:
    """Counts [labels, labels]: rows are the truth, columns the prediction."""
    table = np.zeros((labels, labels), dtype=np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def macro_f1(truth: Ints, predicted: Ints, labels: int) -> float:
    """The mean over labels of 2·TP / (2·TP + FP + FN); labels that neither side has are left out."""
    table = confusion(truth, predicted, labels)
    sizes = table.sum(0) + table.sum(1)
    present = sizes > 0
    return float((2 * table.diagonal()[present] / sizes[present]).mean())


def roc_auc(truth: Ints, scores: Floats) -> float:
    """The chance that a positive (truth 1) scores above a negative (truth 0); ties count half."""
    order = np.argsort(scores, kind="stable")
    _, inverse, counts = np.unique(scores[order], return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = np.empty(len(scores))
    ranks[order] = (ends - (counts - 1) / 2)[inverse]
    positive = truth == 1
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


@dataclass(frozen=True)
class Bin:
    """Predictions whose confidence lies in [low, high): how many, how sure, how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(truth: Ints, probabilities: Floats, bins: int = BINS) -> list[Bin]:
    """Equal-width confidence bins of the chosen label, without empty ones."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        Bin(k / bins, (k + 1) / bins, int(chosen.sum()), float(confidence[chosen].mean()), float(right[chosen].mean()))
        for k in range(bins)
        if (chosen := index == k).any()
    ]


def calibration_error(truth: Ints, probabilities: Floats) -> float:
    """Expected calibration error: |confidence − accuracy| over the bins, weighted by their counts."""
    bins = reliability(truth, probabilities)
    return sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / len(truth)


def calibration_chance(probabilities: Floats, draws: int = 2_000) -> float:
    """The calibration error that a model with these probabilities has on average when all of them are right.

    The error counts every chance deviation of a bin, so it is above 0 for the best of models: with a hundred texts 0.03
    to 0.07, the more the less sure it is. An error near this says nothing against a model, one below it nothing for it.
    """
    generator = np.random.default_rng(0)
    bins = reliability(np.zeros(len(probabilities), np.int64), probabilities)
    off = [np.abs(generator.binomial(b.count, b.confidence, draws) - b.count * b.confidence) for b in bins]
    return float(np.sum(off, axis=0).mean() / len(probabilities))


def fit_temperature(truth: Ints, logits: Floats, weights: Floats | None = None) -> float:
    """The divisor of the logits with the least negative log-likelihood, by golden-section search on its log."""
    counted = np.ones(len(truth)) if weights is None else weights

    def loss(log_temperature: float) -> float:
        chosen = softmax(logits / np.exp(log_temperature))[np.arange(len(truth)), truth]
        return float(-(counted * np.log(np.maximum(chosen, 1e-12))).sum() / counted.sum())

    low, high, ratio = np.log(0.2), np.log(10.0), (5**0.5 - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def fit_thresholds(truth: Ints, probabilities: Floats, labels: Sequence[str], precision: float) -> dict[str, float]:
    """For each label the lowest probability from which on it is right `precision` of the time.

    A label that never gets there has `UNSURE`.
    """
    thresholds: dict[str, float] = {}
    chosen = probabilities.argmax(1)
    for index, label in enumerate(labels):
        scores = probabilities[chosen == index, index]
        order = np.argsort(-scores)
        right = np.cumsum((truth[chosen == index] == index)[order])
        shown = np.arange(1, len(order) + 1)
        enough = (shown >= MINIMUM_SHOWN) & (right / shown >= precision)
        last = np.flatnonzero(enough)
        thresholds[label] = min(UNSURE, round(float(scores[order][last[-1]]), 3)) if len(last) else UNSURE
    return thresholds


def confusion_markdown(table: NDArray[np.int64], labels: Sequence[str]) -> str:
    """The confusion table with recall per row and precision per column."""
    lines = [f"| truth \\ predicted | {' | '.join(labels)} | recall |", "|---" * (len(labels) + 2) + "|"]
    for label, row in zip(labels, table, strict=True):
        recall = row[labels.index(label)] / max(1, row.sum())
        lines.append(f"| **{label}** | {' | '.join(map(str, row))} | {recall:.2f} |")
    precision = table.diagonal() / np.maximum(1, table.sum(0))
    lines.append(f"| precision | {' | '.join(f'{value:.2f}' for value in precision)} | |")
    return "\n".join(lines)


def reliability_markdown(bins: Sequence[Bin]) -> str:
    """The reliability plot as a table with bars: a calibrated model is right as often as it is sure."""
    lines = ["| confidence | n | mean confidence | right | |", "|---|---|---|---|---|"]
    for b in bins:
        bar = "█" * round(b.accuracy * 20)
        lines.append(f"| {b.low:.1f}–{b.high:.1f} | {b.count} | {b.confidence:.2f} | {b.accuracy:.2f} | `{bar:<20}` |")
    return "\n".join(lines)
