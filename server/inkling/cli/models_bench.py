"""`inkling models bench` and `inkling models quantize`: speed, size and quality on this machine, in this process."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inkling.cli.model_name import model_name
from inkling.engine.backend import LoadedModel, Stop
from inkling.engine.protocol import GenerateRequest, Task
from inkling.errors import InklingError

SENTENCES = (
    "Short.",
    "A sentence of ordinary length, as people write them in comments.",
    "This one goes on for a while, with a clause here and another there, so that the batch is not all of one length, "
    "which is what makes padding cost something.",
)
PROMPT = "def area(width, height):\n    '''The area of a rectangle.'''\n    return width * height\n\n\n"
PROMPT_REPEATS, NEW_TOKENS, ITEMS = 20, 64, 96


def add_actions(action: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Describe the arguments."""
    timing = action("bench", "how fast a model is on this machine")
    comparing = action("quantize", "a text generator in each precision: size, speed, and what it costs in quality")
    for parser in (timing, comparing):
        parser.add_argument("model", metavar="ID", type=model_name, help="a model's id, or its folder")
        parser.add_argument("--device", default="auto", help="cpu, cuda, mps (default: the best there is)")
        parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: as the engine)")
    comparing.add_argument("--text", nargs="+", default=[], metavar="FILE", help="text that the model has not seen")
    comparing.add_argument("--tokens", type=int, default=4096, help="tokens to measure on, at most (default: 4096)")
    timing.add_argument("--task", choices=[str(task) for task in Task], help="default: the model's own")
    timing.add_argument("--quantization", default="auto", help="auto, none, int8, int4 or nf4")


def run_bench(args: argparse.Namespace) -> int:
    """Load, warm up, time."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the engine; read when torch is imported
    from inkling.engine.models.catalog import resolve
    from inkling.engine.models.store import create_backend

    task = args.task or str(resolve(args.model).task)
    if not task:
        raise InklingError("wrong-task", f"{args.model} names no known head.", "Say what it is for with --task.")
    backend = create_backend(device=args.device, threads=args.threads)
    started = time.perf_counter()
    model = backend.load(args.model, task, quantization=args.quantization, on_progress=lambda fraction: None)
    figures: dict[str, Any] = {
        "model": args.model,
        "task": task,
        "device": model.device,
        "quantization": f"{model.quantization} ({model.quantization_why})",
        "load_s": round(time.perf_counter() - started, 2),
        "memory_mb": round(model.bytes / 1e6, 1),
        **(_generation(model) if task == Task.TEXT_GENERATION else _batches(model, task)),
    }
    model.close()
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name.replace('_', ' '):<22} {value}")
    return 0


def _generation(model: LoadedModel) -> dict[str, float]:
    """Prompt and decoding speed; the prompt is new each time, so that nothing is reused."""

    def once(number: int) -> tuple[int, float, int, float] | None:
        """(prompt tokens, seconds to the first new one, further ones, their seconds); None for a text that ends."""
        prompt = f"# {number}\n" + PROMPT * PROMPT_REPEATS
        request = GenerateRequest(
            model.id, prompt, max_tokens=NEW_TOKENS, temperature=1.0, seed=number, cache_key=f"bench-{number}"
        )
        read_before = model.counters().get("prefill_tokens", 0)
        started = time.perf_counter()
        first, tokens, early = 0.0, 0, 0
        for chunk in model.generate(request, Stop()):
            if chunk.tokens and not first:
                first, early = time.perf_counter() - started, chunk.tokens
            tokens += chunk.tokens
        whole = time.perf_counter() - started
        if tokens - early < 1:
            return None
        return model.counters().get("prefill_tokens", 0) - read_before, first, tokens - early, whole - first

    once(0)
    found = (once(number) for number in range(1, 10))
    runs = list(itertools.islice((run for run in found if run is not None), 3))
    if not runs:
        raise InklingError("bench-failed", f"{model.id} ends every text at once, so there is nothing to time.")
    return {
        "prompt_tokens_per_s": round(max(read / seconds for read, seconds, _, _ in runs), 1),
        "first_token_s": round(min(seconds for _, seconds, _, _ in runs), 3),
        "new_tokens_per_s": round(max(tokens / max(seconds, 1e-9) for _, _, tokens, seconds in runs), 1),
    }


def _batches(model: LoadedModel, task: str) -> dict[str, float]:
    """Inputs per second, in one batch and one by one; the best of three."""
    parameters: dict[str, Any] = {}
    inputs: list[Any] = list(itertools.islice(itertools.cycle(SENTENCES), ITEMS))
    if task == Task.ZERO_SHOT_CLASSIFICATION:
        parameters = {"candidate_labels": ["a complaint", "a question"]}
    elif task == Task.FILL_MASK:
        inputs = [f"{text} [MASK]" for text in inputs]
    elif task == Task.QUESTION_ANSWERING:
        inputs = [{"question": "How long is it?", "context": text} for text in inputs]
    elif task in (Task.SUMMARIZATION, Task.TRANSLATION):
        inputs, parameters = inputs[:3], {"max_new_tokens": 32}

    def seconds(batches: list[list[Any]]) -> float:
        started = time.perf_counter()
        for batch in batches:
            model.run(batch, parameters, Stop())
        return time.perf_counter() - started

    single = [[item] for item in inputs[:12]]
    seconds([inputs])
    return {
        "batched_inputs_per_s": round(len(inputs) / min(seconds([inputs]) for _ in range(3)), 1),
        "single_input_ms": round(1000 * min(seconds(single) for _ in range(3)) / len(single), 2),
    }


def run_quantize(args: argparse.Namespace) -> int:
    """Each precision that this machine can run, the most exact first; rows appear as they are measured."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from inkling.engine.models.catalog import resolve_for
    from inkling.engine.models.device import pick_device, set_threads
    from inkling.engine.models.quantize import plan_for
    from inkling.engine.models.quantize_compare import compare

    source = resolve_for(args.model, Task.TEXT_GENERATION)
    text = _text(args.text)
    set_threads(args.threads)
    device = pick_device(args.device)
    rows = compare(source.path, text, device=device, most_tokens=args.tokens)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return 0
    titles = (
        ("MB", 9),
        ("load s", 8),
        ("prompt/s", 10),
        ("new/s", 8),
        ("perplexity", 12),
        ("cost", 8),
        ("bits/byte", 11),
    )
    print("precision ", *(title.rjust(width) for title, width in titles), sep="")
    exact = 0.0  # of the first, most exact one
    for row in rows:
        if row.error:
            print(f"{row.method:<10}{row.error}", flush=True)
            continue
        exact = exact or row.perplexity
        print(
            f"{row.method:<10}{row.bytes / 1e6:>9,.1f}{row.load_s:>8.1f}{row.prefill_tokens_per_s:>10,.0f}"
            f"{row.decode_tokens_per_s:>8,.0f}{row.perplexity:>12,.2f}{row.perplexity / exact - 1:>+8.1%}"
            f"{row.bits_per_byte:>11.3f}",
            flush=True,
        )
    print(f"auto      {plan_for(source.path, device=device).told}")
    return 0


def _text(files: list[str]) -> str:
    """What to measure on: the files given, else Inkling's own sources, which compare precisions but not models."""
    paths = [Path(name) for name in files] or sorted(Path(__file__).parent.glob("*.py"))
    try:
        return "".join(path.read_text(encoding="utf-8") for path in paths)
    except UnicodeDecodeError as error:
        raise InklingError("bad-text", "A file for --text is not UTF-8.", "Give source or prose files.") from error
    except OSError as error:
        raise InklingError("bad-text", f"{error.filename} cannot be read: {error.strerror}.") from error
