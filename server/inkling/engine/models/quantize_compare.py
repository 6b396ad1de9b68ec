"""What each quantization costs and gains, for one model on one machine and one text."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from inkling.engine.generation.decoder import Decoder
from inkling.engine.generation.vocabulary import Vocabulary
from inkling.engine.models import quantize
from inkling.engine.models.quantize_plan import Machine, Method
from inkling.errors import InklingError

WINDOW = 512
"""Tokens that are predicted from each other."""
PASS = 128
"""Tokens per forward pass; their logits are in memory at once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method's figures. `error` says why it could not be measured; the numbers are 0 then."""

    method: str
    bytes: int = 0
    """Weights in memory, packed copies included."""
    load_s: float = 0.0
    prefill_tokens_per_s: float = 0.0
    decode_tokens_per_s: float = 0.0
    perplexity: float = 0.0
    """exp of the mean negative log-likelihood per token."""
    bits_per_byte: float = 0.0
    error: str = ""


def methods(device: str) -> tuple[Method, ...]:
    """Those that this machine can run, the most exact first."""
    machine = Machine.here(device)
    plain = (Method.FLOAT32, Method.BFLOAT16) if machine.bfloat16 else (Method.FLOAT32,)
    packed = (Method.INT8, *([Method.INT4] if machine.int4 else [])) if machine.packed else ()
    return (*plain, *packed, Method.BNB_INT8, Method.BNB_NF4)


def compare(
    folder: Path,
    text: str,
    *,
    device: str = "cpu",
    chosen: Sequence[Method] = (),
    most_tokens: int = 4096,
    decode_tokens: int = 32,
    on_method: Callable[[Method], None] = lambda _: None,
) -> Iterator[Comparison]:
    """Measure one method after the other on at most `most_tokens` of `text`; each is freed before the next is loaded.

    Give text that the model has not seen, at least a few thousand characters. Raises InklingError `too-short`.
    """
    for method in chosen or methods(device):
        on_method(method)
        try:
            yield _measure(folder, text, method, device, most_tokens, decode_tokens)
        except InklingError as error:
            if error.reason == "too-short":
                raise
            yield Comparison(method, error=error.message)
        gc.collect()


def _measure(folder: Path, text: str, method: Method, device: str, most: int, decode_tokens: int) -> Comparison:
    began = time.perf_counter()
    loaded = quantize.load(folder, quantization=method, device=device)
    load_s = time.perf_counter() - began
    vocabulary, decoder = Vocabulary(loaded.tokenizer), loaded.decoder
    ids, ends = vocabulary.encode_with_ends(text)
    if len(ids) < 64:
        raise InklingError("too-short", f"{len(ids)} tokens are too few to compare by.", "Give a longer text.")
    ids = ids[:most]
    nats = negative_log_likelihood(decoder, vocabulary.begin, ids)
    size = len(text[: ends[len(ids) - 1]].encode())
    prefill, decode = _speed(decoder, ids, decode_tokens)
    return Comparison(
        method,
        decoder.bytes,
        load_s,
        prefill,
        decode,
        perplexity=math.exp(nats / len(ids)),
        bits_per_byte=nats / math.log(2) / size,
    )


def negative_log_likelihood(
    decoder: Decoder, begin: Sequence[int], ids: Sequence[int], *, tokens_per_pass: int = PASS
) -> float:
    """Nats of `ids`, in windows that begin with `begin`; a window's first token is free where there is no `begin`."""
    window = min(WINDOW, decoder.context)
    body = window - len(begin)
    total, counted = 0.0, 0
    for start in range(0, len(ids), body):
        part = [*begin, *ids[start : start + body]]
        cache = decoder.new_cache()
        for at in range(0, len(part) - 1, tokens_per_pass):
            given = part[at : min(at + tokens_per_pass, len(part) - 1)]
            logits = decoder.forward(given, cache, len(given))
            wanted = torch.tensor(part[at + 1 : at + 1 + len(given)], device=logits.device)
            total += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
            counted += len(given)
    return total * len(ids) / counted  # as if the free tokens cost the mean


def _speed(decoder: Decoder, ids: Sequence[int], decode_tokens: int) -> tuple[float, float]:
    """(prefill, decode) in tokens per second, medians of three and of `decode_tokens`."""
    prompt = list(ids[: min(WINDOW, decoder.context - decode_tokens - 1)])
    decoder.forward(prompt[:8], decoder.new_cache(), 1)  # first calls allocate
    times = []
    for _ in range(3):
        cache = decoder.new_cache()
        began = time.perf_counter()
        for at in range(0, len(prompt), 256):
            decoder.forward(prompt[at : at + 256], cache, 1)
        times.append(time.perf_counter() - began)
    steps = []
    for token in (prompt * 2)[:decode_tokens]:
        began = time.perf_counter()
        decoder.forward([token], cache, 1)
        steps.append(time.perf_counter() - began)
    return len(prompt) / median(times), 1 / median(steps)
