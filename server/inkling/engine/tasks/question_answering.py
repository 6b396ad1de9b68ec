"""Extractive question answering: the span of a text that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tokenizers import Encoding
from torch import Tensor

from inkling.engine.backend import Stop
from inkling.engine.models.load import Weights
from inkling.engine.protocol import Task
from inkling.engine.tasks.base import TaskModel, bad_input, complete_prefix, flag, flatten, number
from inkling.engine.tasks.encoding import TextEncoder
from inkling.engine.tasks.forward import Forward

Answer = dict[str, Any]


class QuestionAnswering(TaskModel):
    """Input: `{"question", "context"}`. Result: `[{"answer", "score", "start", "end"}, …]`, best first.

    Arithmetic, per window of the context beside the whole question: softmax of the start logits and of the end logits
    over the context's tokens and the first token (the model's sign for "not here"); a span's score is the product
    of its first token's start and its last token's end probability, for spans of 1 to `max_answer_len` tokens; spans
    are widened to whole words. Of equal spans from several windows the best score counts. With
    `handle_impossible_answer` the empty answer competes too: its score is the least, over the windows, of the first
    token's start × end probability.

    Parameters: `top_k` (1), `max_answer_len` (15 tokens), `max_seq_len` (384), `doc_stride` (128, at most half a
    window), `handle_impossible_answer` (false).
    """

    task = Task.QUESTION_ANSWERING

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self._encoder = TextEncoder(weights)
        self._forward = Forward(weights)

    def run(self, inputs: Sequence[Any], parameters: Mapping[str, Any], stop: Stop) -> list[Any]:
        """One list of answers per input."""
        top_k = number(parameters, "top_k", 1, 1, 100)
        longest = number(parameters, "max_answer_len", 15, 1, 1000)
        window = min(number(parameters, "max_seq_len", 384, 16, 100_000), self._encoder.max_length)
        stride = min(number(parameters, "doc_stride", 128, 0, 100_000), window // 2)
        impossible = flag(parameters, "handle_impossible_answer")
        pairs = [self._pair(item) for item in inputs]
        groups = [self._windows(question, context, stride, window) for question, context in pairs]
        windows, owners = flatten(groups)
        answers: list[list[Answer]] = [[] for _ in pairs]
        nothing: list[list[float]] = [[] for _ in pairs]

        def read(output: Any) -> Tensor:
            return torch.stack((output.start_logits, output.end_logits), dim=-1)

        for index, logits in self._forward(windows, read, stop, per_token=True):
            owner = owners[index]
            found, none = best_spans(windows[index], logits, top_k, longest)
            answers[owner] += [_answer(pairs[owner][1], *span) for span in found]
            nothing[owner].append(none)
        return complete_prefix(
            [
                self._rank(found, min(none) if impossible else None, top_k) if len(none) == len(group) else None
                for found, none, group in zip(answers, nothing, groups, strict=True)
            ]
        )

    def _pair(self, item: Any) -> tuple[str, str]:
        match item:
            case {"question": str() as question, "context": str() as context} if question.strip() and context.strip():
                return question, context
        raise bad_input(self.task, '{"question", "context"}, neither empty')

    def _windows(self, question: str, context: str, stride: int, window: int) -> list[Encoding]:
        return self._encoder.pair_windows(question, context, split=1, stride=stride, max_length=window)

    @staticmethod
    def _rank(found: Sequence[Answer], nothing: float | None, top_k: int) -> list[Answer]:
        best: dict[tuple[int, int], Answer] = {}
        for answer in found:
            key = (answer["start"], answer["end"])
            if key not in best or answer["score"] > best[key]["score"]:
                best[key] = answer
        answers = list(best.values())
        if nothing is not None:
            answers.append({"answer": "", "score": nothing, "start": 0, "end": 0})
        return sorted(answers, key=lambda answer: -float(answer["score"]))[:top_k]


def best_spans(
    window: Encoding, logits: Tensor, count: int, longest: int
) -> tuple[list[tuple[int, int, float]], float]:
    """((start, end, score) of the best spans in code points of the context, score of "not here").

    `logits` is [tokens, 2]: start, end.
    """
    inside = torch.tensor([number == 1 for number in window.sequence_ids])
    allowed = inside.clone()
    allowed[0] = bool(window.special_tokens_mask[0])
    probabilities = logits.masked_fill(~allowed[:, None], float("-inf")).softmax(0)
    nothing = float(probabilities[0, 0] * probabilities[0, 1]) if window.special_tokens_mask[0] else 0.0
    probabilities = probabilities.masked_fill(~inside[:, None], 0.0)
    table = torch.outer(probabilities[:, 0], probabilities[:, 1]).triu().tril(longest - 1)
    # Spans that widen to the same words count once, so more tokens than `count` may have to be looked at.
    spans: dict[tuple[int, int], float] = {}
    ranked = table.flatten().sort(descending=True)
    for score, place in zip(ranked.values, ranked.indices, strict=True):
        if not score > 0 or len(spans) == count:
            break
        spans.setdefault(_whole_words(window, *divmod(int(place), len(window))), float(score))
    return [(start, end, score) for (start, end), score in spans.items()], nothing


def _whole_words(window: Encoding, first: int, last: int) -> tuple[int, int]:
    """Code points of the words that the tokens `first` to `last` belong to."""
    start, end = window.offsets[first][0], window.offsets[last][1]
    words, sequences = window.word_ids, window.sequence_ids
    for token, word in enumerate(words):
        if sequences[token] == 1 and word is not None:
            if word == words[first]:
                start = min(start, window.offsets[token][0])
            if word == words[last]:
                end = max(end, window.offsets[token][1])
    return start, end


def _answer(context: str, start: int, end: int, score: float) -> Answer:
    text = context[start:end]
    start += len(text) - len(text.lstrip())  # byte-level tokens hold the space before them
    return {"answer": text.strip(), "score": score, "start": start, "end": start + len(text.strip())}
