"""The baseline beside each classifier: TF-IDF features and logistic regression, on the same examples.

scikit-learn is a tool for development, not a dependency: without it there is no baseline, and the card says none.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from inkling.training.data_labelled import Example


def available() -> bool:
    """Whether scikit-learn is installed."""
    return importlib.util.find_spec("sklearn") is not None


class TextBaseline:
    """Words and word pairs, fitted once and asked about any number of texts."""

    def __init__(self, train: Sequence[Example], labels: Sequence[str]) -> None:
        self._baseline = _Baseline(
            [example.text for example in train],
            [labels.index(example.label) for example in train],
            len(labels),
            weights=[example.weight for example in train],
            ngram_range=(1, 2),
        )

    def scores(self, heldout: Sequence[Example]) -> NDArray[np.float64]:
        """Probabilities [n, labels]."""
        return self._baseline.scores([example.text for example in heldout])


def token_baseline(
    train: Sequence[tuple[str, Encoding, Sequence[int]]],
    heldout: Sequence[tuple[str, Encoding, Sequence[int]]],
    labels: int,
) -> NDArray[np.float64]:
    """Probabilities [tokens, labels] of all labelled tokens of `heldout`, in order.

    Items are (text, encoding, label per token, negative where there is none). A token's features are the
    character n-grams of the word around it, its neighbours, and the word's shape.
    """
    known = [list(_token_features(*item)) for item in train]
    baseline = _Baseline(
        [features for item in known for features, _ in item],
        [label for item in known for _, label in item],
        labels,
        analyzer=list,
    )
    return baseline.scores([features for item in heldout for features, _ in _token_features(*item)])


def _token_features(text: str, encoding: Encoding, labels: Sequence[int]) -> Iterator[tuple[list[str], int]]:
    words = [match.span() for match in re.finditer(r"\S+", text)]
    position = 0
    for (start, end), label in zip(encoding.offsets, labels, strict=True):
        if label < 0:
            continue
        while position + 1 < len(words) and words[position + 1][0] <= start:
            position += 1
        around = [text[slice(*words[i])] if 0 <= i < len(words) else "" for i in range(position - 2, position + 3)]
        word = around[2]
        features = [f"{place}={neighbour.lower()}" for place, neighbour in enumerate(around)]
        features += [word[i : i + n].lower() for n in (2, 3, 4) for i in range(len(word) - n + 1)]
        features += ["piece=" + text[start:end].lower(), "shape=" + _shape(word), "before=" + _shape(around[1])]
        yield features, label


def _shape(word: str) -> str:
    """`Ada-99` to `Aa-9`: runs of a kind of character become one."""
    kinds = re.sub(r"[^\W\d_]", lambda match: "A" if match[0].isupper() else "a", word)
    return re.sub(r"(.)\1+", r"\1", re.sub(r"\d", "9", kinds))


class _Baseline:
    def __init__(
        self,
        train: Sequence[Any],
        truth: Sequence[int],
        labels: int,
        weights: Sequence[float] | None = None,
        **vectorizing: Any,
    ) -> None:
        features = importlib.import_module("sklearn.feature_extraction.text")
        linear = importlib.import_module("sklearn.linear_model")
        self._vectorizer = features.TfidfVectorizer(sublinear_tf=True, **vectorizing)
        self._model = linear.LogisticRegression(max_iter=1000, C=10, class_weight="balanced")
        self._model.fit(self._vectorizer.fit_transform(train), truth, sample_weight=weights)
        self._labels = labels

    def scores(self, heldout: Sequence[Any]) -> NDArray[np.float64]:
        result = np.zeros((len(heldout), self._labels))  # a column also for labels that training never saw
        result[:, self._model.classes_] = self._model.predict_proba(self._vectorizer.transform(heldout))
        return result
