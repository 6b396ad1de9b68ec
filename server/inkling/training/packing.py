"""From documents to training windows: tokenized once, cut anew each epoch, some turned into fill-in-the-middle.

Tokens are kept as unsigned 16-bit integers on disk and mapped, so a corpus larger than memory works. An epoch is
an array of ``[windows, context]``; it depends on nothing but the tokens, the seed and the epoch's number, which
is what lets an interrupted run continue with the very windows it would have seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from inkling.training.causal_recipe import FimRecipe
from inkling.training.errors import TrainingError
from inkling.training.progress import say
from inkling.training.tokenizer import control_id
from inkling.training.tokenizer_recipe import END, FIM_MIDDLE, FIM_PREFIX, FIM_SUFFIX

Tokens = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


class TokenFile:
    """The documents of a corpus as tokens on disk: ``<name>.tokens.npy`` and the ends of its documents."""

    def __init__(self, tokens: Tokens, ends: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> None:
        self.tokens = tokens
        self.ends = ends
        self.bytes = size

    @classmethod
    def prepare(cls, texts: Iterable[str], tokenizer: Tokenizer, path: Path, source: str) -> TokenFile:
        """Tokenize ``texts`` into ``path``, or open it when it was made from the same ``source`` before.

        ``source`` names corpus and tokenizer by content (see ``content_key``).
        Raises TrainingError when there is no text or the vocabulary does not fit in 16 bits.
        """
        note = path.with_suffix(".json")
        if note.is_file() and (told := json.loads(note.read_text("utf-8"))).get("source") == source:
            return cls(np.load(path, mmap_mode="r"), np.array(told["ends"], dtype=np.int64), told["bytes"])
        if tokenizer.get_vocab_size() > 65536:
            raise TrainingError("the tokenizer has more than 65,536 tokens; packed corpora hold 16-bit tokens.")
        say("Tokenizing the corpus")
        end = control_id(tokenizer, END)
        parts: list[Tokens] = []
        ends: list[int] = []
        size = total = 0
        for batch in _batches(texts, 64):
            size += sum(len(text.encode()) for text in batch)
            for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
                parts.append(np.array([*encoding.ids, end], dtype=np.uint16))
                ends.append(total := total + len(parts[-1]))
        if not parts:
            raise TrainingError(f"{path.parent}: the corpus is empty, there is nothing to train on.")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.concatenate(parts))
        note.write_text(json.dumps({"source": source, "bytes": size, "ends": ends}), "utf-8")
        return cls(np.load(path, mmap_mode="r"), np.array(ends, dtype=np.int64), size)

    def epoch(self, number: int, context: int, seed: int, fim: FimRecipe, tokenizer: Tokenizer) -> Tokens:
        """The windows of one epoch, shuffled: ``[windows, context]``.

        Documents are joined in a new order and cut at a new offset each epoch.
        Raises TrainingError when the corpus is shorter than one window.
        """
        rng = np.random.default_rng((seed, context, number))
        starts = np.concatenate([[0], self.ends[:-1]])
        order = rng.permutation(len(self.ends))
        joined = np.concatenate([self.tokens[starts[i] : self.ends[i]] for i in order])
        count = len(joined) // context
        if not count:
            raise TrainingError(
                f"the corpus has {len(joined)} tokens, fewer than one window of {context}. "
                "Add text, or set a smaller context."
            )
        offset = int(rng.integers(0, len(joined) - count * context + 1))
        windows = joined[offset : offset + count * context].reshape(count, context)
        middle = Middle(tokenizer, fim)
        draw = rng.random(count)
        for i in np.flatnonzero(draw < fim.rate + (1 - fim.rate) * fim.cut):
            windows[i] = middle.turn(windows[i], rng) if draw[i] < fim.rate else middle.cut(windows[i], rng)
        return windows[rng.permutation(count)]


class Middle:
    """Turns a window of plain text into fill-in-the-middle order of the same length."""

    def __init__(self, tokenizer: Tokenizer, fim: FimRecipe) -> None:
        self.tokenizer = tokenizer
        self.fim = fim
        names = (END, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE, "<|fim_pad|>")
        self.end, self.prefix, self.suffix, self.middle, self.pad = (control_id(tokenizer, name) for name in names)

    def turn(self, window: Tokens, rng: np.random.Generator) -> Tokens:
        """The window in PSM or SPM order, or unchanged where it spans documents or cuts a character."""
        if (window == self.end).any():
            return window
        text = self.tokenizer.decode(window.tolist(), skip_special_tokens=False)
        if "\ufffd" in text or len(text) < 16:
            return window
        start, stop = self._span(text, rng)
        before, inside, after = (self._encode(part) for part in (text[:start], text[start:stop], text[stop:]))
        room = len(window) - 4 - len(inside) - len(after)
        if room < 0:
            after, room = after[: max(0, len(after) + room)], 0
        before = before[len(before) - room :] if len(before) > room else before
        if rng.random() < self.fim.spm:
            ids = [self.prefix, self.suffix, *after, self.middle, *before, *inside, self.end]
        else:
            ids = [self.prefix, *before, self.suffix, *after, self.middle, *inside, self.end]
        if len(ids) > len(window):
            return window
        return np.array(ids + [self.pad] * (len(window) - len(ids)), dtype=np.uint16)

    def cut(self, window: Tokens, rng: np.random.Generator) -> Tokens:
        """The window's text tokenized in pieces, so that some words are split where a cursor might stand."""
        if (window == self.end).any():
            return window
        text = self.tokenizer.decode(window.tolist(), skip_special_tokens=False)
        if "\ufffd" in text:
            return window
        at = [0, *sorted(int(i) for i in rng.integers(0, len(text) + 1, self.fim.cuts)), len(text)]
        ids = [i for start, stop in pairwise(at) if start < stop for i in self._encode(text[start:stop])]
        ids = ids[: len(window)]
        return np.array(ids + [self.pad] * (len(window) - len(ids)), dtype=np.uint16)

    def _span(self, text: str, rng: np.random.Generator) -> tuple[int, int]:
        if rng.random() >= self.fim.lines:
            start, stop = sorted(int(at) for at in rng.integers(0, len(text) + 1, 2))
            return start, stop
        start = stop = int(rng.integers(len(text) // 4, len(text)))
        for _ in range(1 if rng.random() < 0.6 else int(rng.integers(2, 6))):
            found = text.find("\n", stop + 1)
            stop = found if found >= 0 else len(text)
        return start, stop

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def content_key(*paths: Path) -> str:
    """A hash over the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
