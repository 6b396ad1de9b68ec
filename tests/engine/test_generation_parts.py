"""The decode loop's parts against plain references: stop strings, drafts, the pool of sequences, sampling."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.engine.generation.drafting import DraftLength, LookUp
from inkling.engine.generation.prefix_cache import PrefixCache, Sequence
from inkling.engine.generation.sampling import ON_THIS_THREAD, Sampler, most_likely
from inkling.engine.generation.stops import StopStrings
from inkling.shared_prefix import common_prefix

SHORT = st.text(alphabet="ab\n", max_size=12)


@given(st.lists(SHORT, max_size=8), st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=3))
@settings(max_examples=500, deadline=None)
def test_stop_strings_cut_where_one_completes_first(pieces: list[str], strings: list[str]) -> None:
    whole = "".join(pieces)
    ends = [end for end in range(len(whole) + 1) if any(whole[:end].endswith(s) for s in strings)]
    expected = whole
    if ends:
        expected = min((whole[: ends[0] - len(s)] for s in strings if whole[: ends[0]].endswith(s)), key=len)
    stops, got = StopStrings(strings), ""
    for piece in pieces:
        got += stops.feed(piece)
        assert expected.startswith(got)
        if stops.found:
            break
    assert stops.found == bool(ends)
    assert got + stops.flush() == expected


@given(st.lists(st.integers(0, 2), max_size=9), st.lists(st.integers(0, 2), max_size=9))
def test_common_prefix(a: list[int], b: list[int]) -> None:
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(1, 8))
@settings(max_examples=300, deadline=None)
def test_drafts_are_what_followed_the_longest_match(ids: list[int], limit: int) -> None:
    look_up = LookUp()
    for at in range(0, len(ids), 3):
        look_up.extend(ids[at : at + 3])
    draft, match = look_up.propose(limit)
    earlier = [end for end in range(2, len(ids)) if ids[end - 2 : end] == ids[-2:]]
    assert bool(draft) == bool(earlier)
    if draft:
        follows = [end for end in range(match, len(ids)) if ids[end - match : end] == ids[-match:]]
        assert any(ids[end : end + limit] == draft for end in follows)


def test_draft_length_follows_what_pays() -> None:
    length = DraftLength()
    length.timed(1, 0.010)
    for _ in range(60):
        for size in (2, 4, 8, 16):
            length.timed(size, 0.010 * (1 + 0.02 * size))
        length.learn(16, 15, 15)
        length.learn(2, 3, 0)
    assert length.best(16) == 15
    assert length.best(2) == 0
    for _ in range(60):  # a kernel that is slow for several tokens
        for size in (2, 4, 8, 16):
            length.timed(size, 0.010 * size * 2)
    assert length.best(16) == 0
    for _ in range(400):  # one token at a time again: it dares to try
        length.timed(1, 0.010)
    assert length.best(16) > 0


class FakeCache:
    def __init__(self, length: int = 0) -> None:
        self.length = length

    def crop(self, length: int) -> None:
        self.length = length

    def copy(self, length: int) -> FakeCache:
        return FakeCache(length)

    @property
    def bytes(self) -> int:
        return self.length


class FakeDecoder:
    croppable = True

    def new_cache(self) -> FakeCache:
        return FakeCache()


def filled(pool: PrefixCache, key: str, ids: list[int]) -> int:
    """Run a request over `ids`; the tokens it could reuse."""
    sequence = pool.take(key, ids)
    reused = len(sequence.ids)
    assert sequence.ids == ids[:reused]
    assert sequence.cache.length == reused < len(ids)
    sequence.ids = list(ids)
    sequence.cache.length = len(ids)
    pool.give_back(key, sequence)
    return reused


def test_each_document_keeps_its_prefix() -> None:
    pool = PrefixCache(FakeDecoder(), 10_000)  # type: ignore[arg-type]
    a, b = list(range(100)), list(range(200, 300))
    assert filled(pool, "a", a) == 0
    assert filled(pool, "b", b) == 0
    assert filled(pool, "a", [*a, 1, 2]) == 100
    assert filled(pool, "b", [*b[:50], 7]) == 50
    assert filled(pool, "b", b[:20]) == 19  # one token is always computed anew


def test_another_documents_prefix_is_copied_when_much_is_shared() -> None:
    pool = PrefixCache(FakeDecoder(), 10_000)  # type: ignore[arg-type]
    shared = list(range(100))
    filled(pool, "a", [*shared, 1])
    assert filled(pool, "b", [*shared, 2]) == 100
    assert filled(pool, "a", [*shared, 1, 3]) == 101  # and a lost nothing


def test_the_oldest_go_when_memory_is_short() -> None:
    pool = PrefixCache(FakeDecoder(), 250)  # type: ignore[arg-type]
    for base, key in enumerate("abc"):
        filled(pool, key, [base * 1000 + n for n in range(100)])
    assert len(pool) == 2
    assert pool.bytes == 200
    assert filled(pool, "a", list(range(100))) == 0


def test_a_sequence_in_use_is_not_shared() -> None:
    pool = PrefixCache(FakeDecoder(), 10_000)  # type: ignore[arg-type]
    filled(pool, "a", list(range(100)))
    first, second = (pool.take("a", list(range(100))) for _ in range(2))
    assert first is not second
    assert first.cache is not second.cache
    assert second.ids == []


def test_states_that_cannot_go_back_are_all_or_nothing() -> None:
    decoder = FakeDecoder()
    decoder.croppable = False
    pool = PrefixCache(decoder, 10_000)  # type: ignore[arg-type]
    filled(pool, "a", list(range(100)))
    assert filled(pool, "a", list(range(101))) == 100
    assert filled(pool, "a", [*range(50), 7]) == 0


def test_sampling_follows_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def sample(times: int, *options: float) -> Counter[int]:
        sampler = Sampler(*options, seed=0)
        return Counter(sampler.choose(logits)[0] for _ in range(times))

    counts = sample(4000, 1.0, 1.0)
    assert counts[0] == pytest.approx(2000, abs=150)
    assert counts[3] == pytest.approx(200, abs=80)
    assert set(sample(500, 1.0, 0.79)) == {0, 1}
    assert set(sample(50, 1.0, 0.0)) == {0}
    assert set(sample(50, 0.01, 1.0)) == {0}
    assert set(sample(5, 0.0)) == {0}


@pytest.mark.parametrize("vocabulary", [7, ON_THIS_THREAD + 1])
def test_logprobs_are_the_models_own(vocabulary: int) -> None:
    logits = torch.randn(3, vocabulary) * 4
    expected = logits.log_softmax(-1)
    tokens, chances = most_likely(logits)
    assert tokens == logits.argmax(-1).tolist()
    assert chances == pytest.approx(expected.max(-1).values.tolist(), abs=1e-4)
    token, chance = Sampler(3.0, 0.9, seed=1).choose(logits[0])
    assert chance == pytest.approx(float(expected[0, token]), abs=1e-4)


def test_sequences_crop_tokens_and_cache_together() -> None:
    sequence = Sequence(list(range(9)), FakeCache(9))
    sequence.crop(4)
    assert (sequence.ids, sequence.cache.length) == ([0, 1, 2, 3], 4)
