"""Classification: sentences a second beside transformers' pipeline, and what a keystroke costs in a long file.

The keystroke is measured through the real server and engine, beside reading all sentences again and beside one sentence
alone, asked of the same engine. The throughput is of the same weights (a MiniLM with a head) in the same process, with
the same threads, caching off, on sentences of very unequal length; the pipeline has its best batch size of three.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.row import Row, row
from inkling.cli.session import Session

SENTENCES = 1000
LONG = 10_000
QUICK = 10
"""By how much documents are shorter in a quick run."""
SUBJECTS = (
    "The cache",
    "A reader",
    "This loop",
    "The parser",
    "Our client",
    "The old queue",
    "Each worker",
    "The lock",
)
VERBS = ("keeps", "drops", "returns", "counts", "moves", "closes", "waits for", "rebuilds", "sorts", "forgets")
OBJECTS = ("the next page", "a stale entry", "every open file", "the first error", "two short names", "an empty list")


def rows(quick: bool) -> list[Row]:
    """All rows; the starter classifier where the server is in it."""
    times = 3 if quick else 9
    short, long = (SENTENCES // QUICK, LONG // QUICK) if quick else (SENTENCES, LONG)
    with tempfile.TemporaryDirectory() as folder:
        edited, whole = asyncio.run(_measure(Path(folder).resolve(), short, times))
        keys, alone = asyncio.run(_long_file(Path(folder).resolve(), long, 7 if quick else 25))
        ours, theirs, size = _throughput(Path(folder) / "model", 24 if quick else 512, 1 if quick else 5)
    once, again = statistics.median(edited) * 1000, statistics.median(whole) * 1000
    name = f"classify/one changed sentence of {short:,}"
    return [
        row(name, once, "ms", better="less", peer="all sentences again", peer_value=again),
        row(
            f"classify/keystroke in a file of {long:,} sentences, by a rule",
            statistics.median(keys) * 1000,
            "ms",
            better="less",
            peer="one sentence alone",
            peer_value=statistics.median(alone) * 1000,
        ),
        row(
            "classify/sentences of unequal length",
            ours,
            "sentences/s",
            better="more",
            peer=f"transformers pipeline, batch_size={size}",
            peer_value=theirs,
        ),
    ]


def _throughput(folder: Path, count: int, times: int) -> tuple[float, float, int]:
    """Sentences a second, ours and the pipeline's, and the pipeline's best batch size."""
    import torch
    import transformers

    from inkling.engine.backend import Stop
    from inkling.engine.models.catalog import resolve
    from inkling.engine.models.store import create_backend

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    source = resolve("starter:encoder").path
    torch.manual_seed(0)
    transformers.AutoModelForSequenceClassification.from_pretrained(source, num_labels=3).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    # as prose has them: most sentences short, some long, in no order
    texts = [" ".join([sentence(number, 0)] * (1 + number * number % 7 * (number % 3))) for number in range(count)]
    model = create_backend(device="cpu", threads=torch.get_num_threads()).load(
        str(folder), "text-classification", quantization="none", on_progress=lambda fraction: None
    )
    pipe = transformers.pipeline("text-classification", model=str(folder), device="cpu", top_k=None)

    def best(work: Callable[[], object]) -> float:
        work()
        return count / min(_seconds(work) for _ in range(times))

    theirs = {size: best(lambda size=size: pipe(texts, batch_size=size)) for size in (1, 8, 32)}
    size = max(theirs, key=theirs.__getitem__)
    return best(lambda: model.run(texts, {}, Stop())), theirs[size], size


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _long_file(root: Path, count: int, times: int) -> tuple[list[float], list[float]]:
    """Seconds from an edit to its diagnostics in a long file, and for the same sentence asked of the engine alone."""
    from inkling.engine.client import connect

    settings = {
        "classify": {"enabled": False},
        "rule": [{"name": "tone"}],
        "rules": {"patience": 60, "remember": False},
    }
    engine = connect()
    async with Session.open(root, settings=settings) as session:
        uri = "file:///long.txt"
        await _diagnose(session, uri, text(99, count))
        taken, alone = [], []
        for number in range(times):
            place = {"line": 11 * (37 * number % (count // 10)), "character": 0}
            words = f"Now {number} for "
            session.change_document(uri, [{"range": {"start": place, "end": place}, "text": words}])
            taken.append(await _pull(session, uri))
            began = time.perf_counter()
            await engine.classify([f"Then {number} for {sentence(number, 98)}"], model="starter:tone")
            alone.append(time.perf_counter() - began)
    await engine.close()
    return taken, alone


def sentence(number: int, seed: int) -> str:
    """A sentence that no other number or seed gives."""
    subject, verb = SUBJECTS[number % len(SUBJECTS)], VERBS[number // 8 % len(VERBS)]
    return f"{subject} {verb} {OBJECTS[number // 80 % len(OBJECTS)]} on try {number} of run {seed}."


def text(seed: int, count: int) -> str:
    """A document of paragraphs, ten sentences each, one to a line."""
    lines: list[str] = []
    for number in range(count):
        lines += [sentence(number, seed), *([""] if number % 10 == 9 else [])]
    return "\n".join(lines) + "\n"


async def _measure(root: Path, count: int, times: int) -> tuple[list[float], list[float]]:
    async with Session.open(root) as session:
        await _diagnose(session, "file:///warm.md", text(0, 10))
        whole = [await _diagnose(session, f"file:///whole{seed}.md", text(seed, count)) for seed in range(1, 1 + times)]
        edited = await _edits(session, "file:///whole1.md", count, times)
    return edited, whole


async def _diagnose(session: Session, uri: str, content: str) -> float:
    """Seconds until all of a new document has been read; the first findings come earlier."""
    began = time.perf_counter()
    session.open_document(uri, "markdown", content)
    await _pull(session, uri)
    for _ in range(2):  # a batch ends a moment before the next begins
        while (await session.request("inkling/status", {}))["engine"]["active_requests"]:
            pass
        await asyncio.sleep(0.05)
    return time.perf_counter() - began - 0.1


async def _pull(session: Session, uri: str) -> float:
    began = time.perf_counter()
    await session.request("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    return time.perf_counter() - began


async def _edits(session: Session, uri: str, count: int, times: int) -> list[float]:
    taken = []
    for number in range(times):
        place = {"line": 11 * (7 * number % (count // 10)), "character": 0}
        session.change_document(uri, [{"range": {"start": place, "end": place}, "text": f"Now {number} "}])
        taken.append(await _pull(session, uri))
    return taken
