"""Token classification: labelled spans of a text (names, e-mails, keys)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import (
    TaskModel,
    bad_parameter,
    choice,
    complete_prefix,
    flatten,
    number,
    text_of,
)
from inkling.engine.tasks.encoding import TextEncoder
from inkling.engine.tasks.forward import Forward

STRATEGIES = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring tokens under one tag; offsets in code points. `index` is the token's place, for single tokens."""

    tag: str
    score: float
    start: int
    end: int
    index: int = -1


class TokenClassification(TaskModel):
    """Input: a string. Result: `[{"entity_group", "score", "word", "start", "end"}, …]` in reading order.

    Parameters: `aggregation_strategy`: `first` (default), `average` or `max` label a word as a whole, by its first
    token, by the mean of its tokens' scores or by its surest token; `simple` labels each token; these four then join
    neighbours of one label (a `B-` tag begins anew). `none` gives single tokens as `{"entity", "index", …}`.
    `ignore_labels` (`["O"]`), `stride` (a quarter of the window). `word` is the text of the span as it stands.

    A long text is read in windows that share `stride` tokens; of spans that overlap the longer counts, then the surer.
    """

    task = Task.TOKEN_CLASSIFICATION

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._encoder = TextEncoder(weights)
        self._forward = Forward(weights)
        config: Any = weights.model.config
        self.labels = [str(config.id2label[index]) for index in range(config.num_labels)]
        model: Any = self._encoder.tokenizer.model
        self._marks_subwords = bool(getattr(model, "continuing_subword_prefix", None))
        self._unknown = weights.tokenizer.unk_token_id

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One list of spans per input."""
        strategy = choice(parameters, "aggregation_strategy", "first", STRATEGIES)
        longest = self._encoder.max_length
        stride = number(parameters, "stride", longest // 4, 0, max(0, longest - self._encoder.added - 1))
        ignored = parameters.get("ignore_labels", ["O"])
        if not isinstance(ignored, list | tuple):
            raise bad_parameter("ignore_labels", "a list of labels")
        texts = [text_of(self.task, item) for item in inputs]
        groups = [self._encoder.windows(text, stride) for text in texts]
        windows, owners = flatten(groups)
        found: list[dict[int, list[Span]]] = [{} for _ in texts]
        for index, logits in self._forward(windows, lambda output: output.logits, stop, per_token=True):
            owner = owners[index]
            spans = self._spans(texts[owner], windows[index], logits.softmax(-1).numpy(), strategy)
            found[owner][index] = [span for span in spans if span.tag not in ignored]
        return complete_prefix(
            [
                self._format(text, spans, strategy) if len(spans) == len(group) else None
                for text, spans, group in zip(texts, found, groups, strict=True)
            ]
        )

    def _spans(self, text: str, window: Encoding, scores: NDArray[np.float32], strategy: str) -> list[Span]:
        tokens = [token for token, special in enumerate(window.special_tokens_mask) if not special]
        if strategy in ("none", "simple"):
            parts = [self._label([token], scores, window, "first") for token in tokens]
        else:
            parts = [self._label(word, scores, window, strategy) for word in self._words(text, window, tokens)]
        return parts if strategy == "none" else join(parts)

    def _words(self, text: str, window: Encoding, tokens: Sequence[int]) -> list[list[int]]:
        words: list[list[int]] = []
        for token in tokens:
            if words and self._continues(text, window, token):
                words[-1].append(token)
            else:
                words.append([token])
        return words

    def _continues(self, text: str, window: Encoding, token: int) -> bool:
        """Whether a token goes on with the word before it.

        A tokenizer that marks continuations (`##ing`) shows it by a piece longer than its characters; for others, a
        token does when no space stands at its beginning.
        """
        if window.ids[token] == self._unknown:
            return False
        start, end = window.offsets[token]
        if self._marks_subwords:
            return len(window.tokens[token]) != end - start
        return start > 0 and " " not in text[start - 1 : start + 1]

    def _label(self, word: Sequence[int], scores: NDArray[np.float32], window: Encoding, strategy: str) -> Span:
        if strategy == "average":
            row = scores[list(word)].mean(0)
        elif strategy == "max":
            row = scores[max(word, key=lambda token: float(scores[token].max()))]
        else:
            row = scores[word[0]]
        best = int(row.argmax())
        start, end = window.offsets[word[0]][0], window.offsets[word[-1]][1]
        return Span(self.labels[best], float(row[best]), start, end, word[0])

    def _format(self, text: str, found: Mapping[int, list[Span]], strategy: str) -> list[dict[str, Any]]:
        spans = [span for _, part in sorted(found.items()) for span in part]
        if len(found) > 1:
            spans = without_overlaps(spans)
        results: list[dict[str, Any]] = []
        for span in spans:
            place = {"word": text[span.start : span.end], "start": span.start, "end": span.end}
            if strategy == "none":
                results.append({"entity": span.tag, "score": span.score, "index": span.index, **place})
            else:
                results.append({"entity_group": span.tag, "score": span.score, **place})
        return results


def join(parts: Sequence[Span]) -> list[Span]:
    """Join neighbours of one label into one span, scored by their mean; a `B-` tag begins anew."""
    groups: list[list[Span]] = []
    for part in parts:
        begins, label = _split(part.tag)
        if groups and not begins and _split(groups[-1][-1].tag)[1] == label:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [
        Span(
            group[0].tag.split("-", 1)[-1],
            float(np.mean([part.score for part in group])),
            group[0].start,
            group[-1].end,
        )
        for group in groups
    ]


def _split(tag: str) -> tuple[bool, str]:
    """(begins a new span, label without its B- or I-)."""
    return (tag.startswith("B-"), tag[2:] if tag.startswith(("B-", "I-")) else tag)


def without_overlaps(spans: Sequence[Span]) -> list[Span]:
    """Of spans that overlap keep the longer, then the surer; sorted by start."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if kept and kept[-1].start <= span.start < kept[-1].end:
            last = kept[-1]
            if (span.end - span.start, span.score) > (last.end - last.start, last.score):
                kept[-1] = span
        else:
            kept.append(span)
    return kept
