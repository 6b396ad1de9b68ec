"""Completion from a causal LM: decode, prefill, warm keystrokes, cancelling, and the cost of the loop itself.

Two threads throughout. The peer is llama.cpp where llama-cpp-python is installed (see `llama_cpp_peer`), else
`generate()` of the same transformers model in the faster float type here; each row names its own.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench import completion_model, completion_quality, completion_typing, llama_cpp_peer
from bench.row import Row, row
from inkling.engine.backend import Stop
from inkling.engine.generation.text_generator import TextGenerator
from inkling.engine.models import quantize, quantize_compare
from inkling.engine.models.catalog import STARTER_FOLDER
from inkling.engine.models.quantize_plan import Machine
from inkling.engine.protocol import GenerateRequest

THREADS = 2
TYPED = "value"


def rows(quick: bool = False) -> list[Row]:
    """All of completion's figures."""
    torch.set_num_threads(THREADS)
    folder = completion_model.folder()
    steps = 12 if quick else 32
    contexts = (512, 2048)
    found: list[Row] = []
    peers, warm_s = _peers(folder, contexts, steps)
    limit = _read_gb_per_s()
    repeats = 1 if quick else 2
    speeds: dict[tuple[str, int], Speed] = {}
    for method, bits in (("int8", 8), ("int4", 4)):
        generator = TextGenerator("bench", folder, quantization=method)
        kernel = generator.quantization  # where int4 would be slower it is int8, which has been measured
        for context in contexts:
            if (kernel, context) not in speeds:
                speeds[kernel, context] = _forward(generator, context, steps, repeats)
            found += _speed(method, context, speeds[kernel, context], *peers[bits, context])
        if method == kernel:
            found += _bandwidth(generator, method, speeds[kernel, contexts[0]], limit)
        if bits == 8:
            for context in warm_s:
                found += _warm(generator, context, warm_s[context])
            found += _keystrokes(generator, steps)
            found += _cancelling(generator)
        generator.close()
    found += _starter(quick)
    found += completion_typing.rows()
    return found + completion_quality.rows(quick)


def _ids(count: int) -> list[int]:
    return [(7919 * n) % 150_000 + 1 for n in range(count)]


Peers = dict[tuple[int, int], tuple[str, float, float]]
"""By bits and context: the peer's name, its prefill and its decode in tokens per second."""


def _peers(folder: Path, contexts: Sequence[int], steps: int) -> tuple[Peers, dict[int, float]]:
    """The peers, and llama.cpp's seconds for 5 tokens on a warm prefix at 8 bits, by context."""
    found: Peers = {}
    warm_s: dict[int, float] = {}
    if llama_cpp_peer.available():
        try:
            _llama_cpp(contexts, steps, found, warm_s)
        except llama_cpp_peer.PeerFailed as error:
            print(f"llama.cpp: {error}; generate() is the peer where it gave no figure", file=sys.stderr)
    else:
        print("llama.cpp is not installed (bench/install_llama_cpp.sh): generate() is the peer", file=sys.stderr)
    wanted = [(bits, context) for bits in (8, 4) for context in contexts]
    if all(key in found for key in wanted):
        return found, warm_s
    from transformers import AutoModelForCausalLM

    fast = Machine.here("cpu").bfloat16
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if fast else torch.float32).eval()
    for context in contexts:
        if (8, context) in found and (4, context) in found:
            continue
        prefill, decode = _generate_speed(model, _ids(context), steps)
        for bits in (8, 4):
            found.setdefault((bits, context), ("generate() bf16" if fast else "generate() fp32", prefill, decode))
    return found, warm_s


def _llama_cpp(contexts: Sequence[int], steps: int, found: Peers, warm_s: dict[int, float]) -> None:
    """Fill `found` and `warm_s` as far as it goes. Raises PeerFailed."""
    with tempfile.TemporaryDirectory() as place:
        for bits, kind in ((8, "Q8_0"), (4, "Q4_0")):
            path = Path(place) / f"{kind}.gguf"
            llama_cpp_peer.make_gguf(kind, path)
            for context in contexts:
                figures = llama_cpp_peer.measure(path, threads=THREADS, context=context, steps=steps)
                found[bits, context] = f"llama.cpp {kind}", figures["prefill"], figures["decode"]
                if bits == 8:
                    warm_s[context] = figures["warm_s"]


def _generate_speed(model: Any, ids: list[int], steps: int) -> tuple[float, float]:
    """Transformers' own (prefill, decode) in tokens per second; decode is what more new tokens cost more."""

    def seconds(new: int) -> float:
        began = time.perf_counter()
        model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
            min_new_tokens=new, max_new_tokens=new, pad_token_id=0,
        )  # fmt: skip
        return time.perf_counter() - began

    with torch.inference_mode():
        seconds(1)
        first = min(seconds(1) for _ in range(2))
        return len(ids) / first, steps / max(1e-9, seconds(1 + steps) - first)


Speed = tuple[float, float]
"""Prefill in tokens per second, and the seconds of a decode step."""


def _speed(method: str, context: int, ours: Speed, peer: str, prefill: float, decode: float) -> list[Row]:
    ours_prefill, step = ours
    unit = {"unit": "tokens/s", "better": "more", "peer": peer}
    return [
        row(f"completion/prefill {method}, {context} tokens", ours_prefill, peer_value=prefill, **unit),
        row(f"completion/decode {method} at {context}", 1 / step, peer_value=decode, **unit),
    ]


def _forward(generator: TextGenerator, context: int, steps: int, repeats: int = 1) -> Speed:
    """The best prefill of `repeats`, the median step."""
    decoder, ids = generator.decoder, _ids(context)
    decoder.forward(ids[:16], decoder.new_cache(), 1)
    prefills = []
    for _ in range(repeats):
        cache = decoder.new_cache()
        began = time.perf_counter()
        for at in range(0, context, 256):
            decoder.forward(ids[at : at + 256], cache, 1)
        prefills.append(time.perf_counter() - began)
    times = []
    for token in ids[:steps]:
        began = time.perf_counter()
        int(decoder.forward([token], cache, 1).argmax())
        times.append(time.perf_counter() - began)
    return context / min(prefills), median(times)


def _read_gb_per_s() -> float:
    """How fast all threads together read memory, in GB/s: what decoding cannot pass."""
    block = torch.ones(1 << 27)  # 512 MB
    times = []
    for _ in range(5):
        began = time.perf_counter()
        block.sum()
        times.append(time.perf_counter() - began)
    return block.nelement() * 4 / min(times) / 1e9


def _bandwidth(generator: TextGenerator, method: str, speed: Speed, limit: float) -> list[Row]:
    """What share of the memory's read speed decoding reaches: each token reads every weight once."""
    embedding = completion_model.SHAPE["vocab_size"] * completion_model.SHAPE["hidden_size"]
    once = generator.decoder.bytes - embedding  # looked up, not read
    if method == "int4":  # kept twice: for one token and for many
        once = embedding + (once - embedding) // 2
    read = once / speed[1] / 1e9
    title = f"completion/decode {method}, weights read"
    return [row(title, read, "GB/s", better="more", peer="reading memory", peer_value=limit)]


def _warm(generator: TextGenerator, context: int, peer_s: float) -> list[Row]:
    """Five tokens on a prefix that is in the cache, as a keystroke brings them."""
    decoder, cache = generator.decoder, generator.decoder.new_cache()
    for at in range(0, context, 256):
        decoder.forward(_ids(context)[at : at + 256], cache, 1)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        int(decoder.forward(_ids(5), cache, 1).argmax())
        times.append(time.perf_counter() - began)
        cache.crop(context)
    title = f"completion/warm 5 tokens int8 at {context}"
    return [row(title, median(times) * 1e3, "ms", better="less", peer="llama.cpp Q8_0", peer_value=peer_s * 1e3)]


def _text(generator: TextGenerator, tokens: int) -> str:
    """Text of about so many tokens."""
    source = Path(quantize.__file__).read_text("utf-8")
    ids = generator.vocabulary.encode(source * (1 + tokens // 500))[:tokens]
    return str(generator.vocabulary.backend.decode(ids))


def _first(generator: TextGenerator, prompt: str, key: str) -> float:
    """Seconds to the first token."""
    began = time.perf_counter()
    for chunk in generator.generate(GenerateRequest("bench", prompt=prompt, max_tokens=1, cache_key=key), Stop()):
        if chunk.tokens:
            return time.perf_counter() - began
    raise AssertionError("no token came")


def _keystrokes(generator: TextGenerator, steps: int) -> list[Row]:
    """A keystroke that adds a few tokens to a prompt of 1,500 that was seen before."""
    prompt = _text(generator, 1500)
    cold = _first(generator, prompt, "warm")
    warm = []
    for n in range(max(3, steps // 4)):
        prompt += f"\n{TYPED}_{n} = "
        warm.append(_first(generator, prompt, "warm"))
    step = _forward(generator, 1500, steps)[1]
    unit = {"unit": "ms", "better": "less"}
    return [
        row(
            "completion/warm keystroke at 1,500",
            median(warm) * 1e3,
            peer="one decode step",
            peer_value=step * 1e3,
            **unit,
        ),
        row(
            "completion/cold first token at 1,500",
            cold * 1e3,
            peer="warm keystroke",
            peer_value=median(warm) * 1e3,
            **unit,
        ),
    ]


def _cancelling(generator: TextGenerator) -> list[Row]:
    """Stop in the middle of a long prefill; and a burst of keystrokes of which only the last is wanted."""
    prompt = _text(generator, 1800)
    late = []
    for n in range(5):
        stop, asked = Stop(), [0.0]

        def ask(stop: Stop = stop, asked: list[float] = asked) -> None:
            asked[0] = time.perf_counter()
            stop.set()

        timer = threading.Timer(0.15 + 0.07 * n, ask)
        timer.start()
        for _ in generator.generate(
            GenerateRequest("bench", prompt=f"{n}\n{prompt}", max_tokens=1, cache_key=f"c{n}"), stop
        ):
            pass
        late.append(time.perf_counter() - asked[0] if asked[0] else 0.0)
        timer.cancel()
    base = _text(generator, 600)

    def burst(cancelled: int, key: str) -> float:
        """Each keystroke cancels the one before as soon as the model has begun with it."""
        _first(generator, base, key)
        began = time.perf_counter()
        for n in range(cancelled):
            stop = Stop()
            request = GenerateRequest("bench", prompt=f"{base}\n{TYPED[: n + 1]}", max_tokens=24, cache_key=key)
            stream = generator.generate(request, stop)
            stop.set()
            for _ in stream:
                pass
        request = GenerateRequest("bench", prompt=f"{base}\n{TYPED}_", max_tokens=24, cache_key=key)
        for _ in generator.generate(request, Stop()):
            pass
        return time.perf_counter() - began

    pairs = [(burst(5, f"b{n}"), burst(0, f"a{n}")) for n in range(3)]
    unit = {"unit": "ms", "better": "less", "peer": "target", "peer_value": 100.0}
    return [
        row("completion/cancel in a long prefill", max(late) * 1e3, **unit),
        row(
            "completion/5 cancelled keystrokes and one",
            median(a for a, _ in pairs) * 1e3,
            "ms",
            better="less",
            peer="that one alone",
            peer_value=median(b for _, b in pairs) * 1e3,
        ),
    ]


def _starter(quick: bool) -> list[Row]:
    """The starter model: the loop's own cost, its speed beside generate(), drafting, and what int8 costs in quality."""
    from transformers import AutoModelForCausalLM

    folder = STARTER_FOLDER / "code"
    generator = TextGenerator("starter:code", folder)
    text = _text(generator, 300)
    new = 100
    spent = [0.0]
    forward = generator.decoder.forward

    def timed(*args: Any) -> torch.Tensor:
        began = time.thread_time()
        logits = forward(*args)
        spent[0] += time.thread_time() - began
        return logits

    def run(temperature: float) -> float:
        began = time.perf_counter()
        count = 0
        request = GenerateRequest("starter", prompt=text, max_tokens=new, temperature=temperature, top_p=1.0, seed=1)
        for chunk in generator.generate(request, Stop()):
            count += chunk.tokens
        return (time.perf_counter() - began) / max(count, 1)

    run(0.0)
    generator._loop.draft = (
        False  # one token a pass, on this thread alone: its processor time tells, whatever else runs
    )
    setattr(generator.decoder, "forward", timed)  # noqa: B010 - a protocol's method, measured from outside
    shares = []
    for _ in range(3 if quick else 7):
        spent[0], began = 0.0, time.thread_time()
        run(0.0)
        shares.append((time.thread_time() - began - spent[0]) / spent[0])
    setattr(generator.decoder, "forward", forward)  # noqa: B010
    generator._loop.draft = True
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = generator.vocabulary.encode(text)
    _, peer = _generate_speed(model, ids, new)
    ours = median(1 / run(0.0) for _ in range(3 if quick else 7))
    key = [_first(generator, f"{text}\n{TYPED[: n % 5 + 1]}", "keys") for n in range(20)]
    held = Path(threading.__file__).read_text("utf-8")
    quality = {
        figures.method: figures.perplexity
        for figures in quantize_compare.compare(
            folder, held, chosen=[quantize.Method.FLOAT32, quantize.Method.INT8], most_tokens=1024 if quick else 4096
        )
    }
    exact = quality[quantize.Method.FLOAT32]
    less = {"better": "less"}
    return [
        row(
            "completion/starter, loop above forward", median(shares) * 100, "%", peer="target", peer_value=10.0, **less
        ),
        row("completion/starter, decode", ours, "tokens/s", better="more", peer="generate() fp32", peer_value=peer),
        row("completion/starter, keystroke to token", median(key) * 1e3, "ms", peer="target", peer_value=100.0, **less),
        row(
            "completion/starter, perplexity int8",
            quality[quantize.Method.INT8],
            "",
            peer="fp32",
            peer_value=exact,
            **less,
        ),
    ]
