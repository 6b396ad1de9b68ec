"""The parts of completion by themselves: copies, places, context, waits, windows, exclusions."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from inkling.api import Position, Snapshot
from inkling_plugins.completion.context_ring import ContextRing, RingChunk, chunk_of, similarity, words_of
from inkling_plugins.completion.copy_source import KEY, LONGEST, WORDS, Copy, find_copy
from inkling_plugins.completion.debounce import Debounce, rate_at
from inkling_plugins.completion.prompt import place_at, prompt_windows
from inkling_plugins.completion.surroundings import Surroundings
from inkling_plugins.globs import matches

# -- copies


CLOSING = "".join(f"{' ' * indent}}}\n" for indent in (24, 20, 16))


@pytest.mark.parametrize(
    ("before", "texts", "lines", "expected"),
    [
        ("total = first + second\nx\ntotal = first + ", [], 1, Copy("second", 12)),
        ("for name in ", [], 1, None),
        ("short = ", ["short = 1"], 1, None),
        ("    return compute(", ["def f():\n    return compute(a, b)\nmore"], 1, Copy("a, b)", 14)),
        ("    return compute(", ["    return compute(a,\n        b)\nmore"], 2, Copy("a,\n        b)", 14)),
        # the longer match wins, then the line that more places go on with, then the nearest
        ("one two three four ", ["two three four X\none two three four Y"], 1, Copy("Y", 15)),
        (
            "alpha beta gamma ",
            ["alpha beta gamma A\nalpha beta gamma B\n", "alpha beta gamma B"],
            1,
            Copy("B", 14, 2, 3),
        ),
        ("alpha beta gamma ", ["alpha beta gamma A", "alpha beta gamma B"], 1, Copy("A", 14, 1, 2)),
        # an occurrence that nothing follows is none
        ("alpha beta gamma ", ["alpha beta gamma "], 1, None),
        # indentation alone says nothing: the line above must be the same
        ("            \n            ", ["            \n            x"], 1, None),
        ("if a:\n            ", ["if b:\n            x"], 1, None),
        ("if name:\n            ", ["for name:\n            x = 1"], 1, Copy("x = 1", 5)),
        ("one = 1\n\n        ", ["one = 1\n        x"], 1, None),
        ("ab\nif:\n            ", ["cd\nif:\n            x"], 1, None),
        (f"a = 1;\n{CLOSING}            ", [f"b(x);\n{CLOSING}            never: shown"], 1, None),
    ],
)
def test_find_copy(before: str, texts: list[str], lines: int, expected: Copy | None) -> None:
    assert find_copy(before, texts, lines=lines) == expected


def reference_match(before: str, texts: list[str]) -> int:
    """The visible length of the longest earlier occurrence that something visible follows on the line."""
    best = 0
    begun = before.rpartition("\n")[2].strip()
    places = [(before, end) for end in range(len(before))]
    places += [(text, end) for text in texts for end in range(len(text) + 1)]
    for text, end in places:
        length = 0
        while length < min(LONGEST, end, len(before)) and text[end - length - 1] == before[len(before) - length - 1]:
            length += 1
        same = before[len(before) - length :]
        telling = bool(begun) or sum(map(str.isalnum, same)) >= WORDS
        if length >= KEY and telling and text[end:].partition("\n")[0].strip():
            best = max(best, length)
    return sum(not character.isspace() for character in before[len(before) - best :])


CODE = st.lists(
    st.sampled_from(["if a:\n", "total += 1\n", "}\n", ")\n", "</div>\n", " " * 12, "\t\t", "\n", "x", "value "])
).map("".join)


@given(CODE, CODE, CODE, CODE)
def test_the_longest_match_is_found(above: str, other: str, shared: str, follower: str) -> None:
    before, text = above + shared, other + shared + follower
    found = find_copy(before, [text])
    expected = reference_match(before, [text])
    event("a copy" if expected else "no copy")
    assert (found.matched if found else 0) == expected


@pytest.mark.parametrize(
    ("copy", "said", "agrees"),
    [
        ("value + other", "value", True),
        ("value + other", "value - one", False),
        ("abc", "abc", False),
        ("abcd", "abcd", True),
    ],
)
def test_agreement(copy: str, said: str, agrees: bool) -> None:
    assert Copy(copy, 20).agrees(said) is agrees


# -- places: what was typed since a suggestion began


@pytest.mark.parametrize(
    ("then", "now", "typed"),
    [
        ("x = |", "x = |", ""),
        ("x = |", "x = foo|", "foo"),
        ("def f():\n    |", "def f():\n    a = 1\n    |", "a = 1\n    "),
        ("x = |", "x = foo(|)", "foo("),
        ("x = |", "x = foo([|])", "foo(["),
        ("x = |\ny", "x = a|\ny", "a"),
        ("x = |\ny", "x = a|\nz", None),
        ("x = foo|", "x = fo|", None),
        ("x = |", "y = f|", None),
        ("x = |\n", "\nx = |\n", None),
        ("a\nx = |", "b\nx = 1|", None),
        ("x = |", "x = foo|bar", None),
        ("x = | ", "x = foo|", None),
    ],
)
def test_typed_since(then: str, now: str, typed: str | None) -> None:
    def place(text: str) -> object:
        offset = text.index("|")
        snapshot = Snapshot.of(text.replace("|", ""))
        return place_at(snapshot, snapshot.position(offset), "key")

    assert place(now).typed_since(place(then)) == typed  # type: ignore[attr-defined]


@given(
    st.text("a\n", max_size=40),
    st.text("ab\n", max_size=30),
    st.text("a\n", max_size=20),
    st.sampled_from(["\n", "\r\n"]),
)
def test_typed_since_gives_back_what_was_typed(before: str, typed: str, after: str, eol: str) -> None:
    def place(text: str, rest: str) -> object:
        snapshot = Snapshot.of((text + rest).replace("\n", eol))
        return place_at(snapshot, snapshot.position(len(text.replace("\n", eol))), "key")

    assert place(before + typed, after).typed_since(place(before, after)) == typed  # type: ignore[attr-defined]


# -- context


def chunk(uri: str, *words: str) -> RingChunk:
    text = " ".join(words)
    return RingChunk(uri, text, words_of(text))


def names(*numbers: int) -> list[str]:
    return [f"name{number}" for number in numbers]


def test_the_ring_forgets_the_oldest() -> None:
    ring = ContextRing(capacity=2)
    for letter in "abc":
        ring.add(chunk(f"file:///{letter}", *(letter + name for name in names(1, 2, 3))))
    assert [each.uri[-1] for each in ring.select("file:///x", "", 10_000)] == ["b", "c"]


def test_a_new_version_of_a_chunk_takes_its_place() -> None:
    ring = ContextRing()
    old, other = chunk("file:///a", *names(*range(20))), chunk("file:///b", "quite", "different")
    ring.add(old)
    ring.add(other)
    new = chunk("file:///a", *names(*range(21)))
    ring.add(new)
    assert ring.select("file:///x", "", 10_000) == [new, other]


@pytest.mark.parametrize(
    ("window", "budget", "expected"),
    [
        ("", 10_000, "ab"),
        ("", 26, "b"),
        ("", 10, ""),
        ("aname1 aname2 aname3 x", 10_000, "b"),
    ],
)
def test_selection(window: str, budget: int, expected: str) -> None:
    ring = ContextRing()
    for letter in "ab":
        ring.add(chunk(f"file:///{letter}", *(letter + name for name in names(1, 2, 3))))
    assert "".join(each.uri[-1] for each in ring.select("file:///x", window, budget)) == expected


def test_closed_documents_are_dropped() -> None:
    ring = ContextRing()
    ring.add(chunk("file:///a", *names(1, 2, 3)))
    ring.drop(keep=["file:///b"])
    assert len(ring) == 0


def test_a_chunk_of_nothing_is_none() -> None:
    assert chunk_of("file:///a", ["", "x = 1", "}"]) is None


@given(st.frozensets(st.sampled_from("abcdef")), st.frozensets(st.sampled_from("abcdef")))
def test_similarity_is_jaccards(a: frozenset[str], b: frozenset[str]) -> None:
    assert 0 <= similarity(a, b) == similarity(b, a) <= 1
    assert (similarity(a, b) == 1) == (a == b and bool(a))


# -- waits


def typing(*pauses: float) -> Debounce:
    debounce, now = Debounce(), 100.0
    debounce.typed(now)
    for pause in pauses:
        now += pause
        debounce.typed(now)
    return debounce


@pytest.mark.parametrize(
    ("pauses", "latency", "rate", "expected"),
    [
        ((), 0.0, 1.0, 0.02),  # nothing known: the least
        ((0.2,), 0.0, 1.0, 0.2),
        ((0.2,), 0.0, 0.5, 0.1),
        ((0.2,), 0.15, 1.0, 0.05),
        ((0.2,), 0.5, 1.0, 0.02),  # a slow model is wait enough
        ((0.9, 0.9), 0.0, 2.0, 1.0),  # the most
        ((0.2, 5.0), 0.0, 1.0, 0.2),  # a pause to think is no rhythm
        ((0.2, 0.3), 0.0, 1.0, 0.23),
    ],
)
def test_waits_follow_the_typist(pauses: tuple[float, ...], latency: float, rate: float, expected: float) -> None:
    debounce = typing(*pauses)
    if latency:
        debounce.answered(latency)
    assert debounce.wait_s(rate=rate, least_s=0.02, most_s=1.0) == pytest.approx(expected)


@pytest.mark.parametrize(("ignored", "expected"), [(4, 0.02), (5, 0.22), (6, 0.42), (50, 2.02)])
def test_ignored_suggestions_grow_rarer(ignored: int, expected: float) -> None:
    debounce = Debounce()
    for _ in range(ignored):
        debounce.shown(taken=False)
    assert debounce.wait_s(rate=1, least_s=0.02, most_s=1.0) == pytest.approx(expected)
    debounce.shown(taken=True)
    assert debounce.wait_s(rate=1, least_s=0.02, most_s=1.0) == pytest.approx(0.02)


def test_a_break_in_the_line_is_waited_at_less() -> None:
    assert rate_at("foo(") < rate_at("foo")


# -- windows for the model


def lines(count: int) -> str:
    return "".join(f"line {number}\n" for number in range(count))


def test_the_prompt_window_only_grows_while_typing() -> None:
    text = lines(1000)
    starts = set()
    for number in range(500, 560):
        before, after = prompt_windows(Snapshot.of(text), Position(number, 4))
        starts.add(before[:9])
        assert before.endswith(f"line {number - 1}\nline") and after.startswith(f" {number}\n")
        assert 256 <= before.count("\n") < 256 + 64
    assert len(starts) <= 2


def test_windows_of_a_giant_line_are_bounded() -> None:
    snapshot = Snapshot.of("x" * 1_000_000)
    first, second = (prompt_windows(snapshot, Position(0, at)) for at in (500_000, 500_005))
    assert len(first[0]) < 30_000 and len(first[1]) < 30_000
    assert second[0].startswith(first[0])


@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_the_model_sees_one_kind_of_line_end(eol: str) -> None:
    assert prompt_windows(Snapshot.of(f"a{eol}b{eol}c"), Position(1, 1)) == ("a\nb", "\nc")


# -- exclusions


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///a/environment.py", False),
        ("file:///a/vendor/x.py", True),
        ("file:///a/x%2Emin.js", True),
        ("untitled:Untitled-1", False),
    ],
)
def test_excluded_by_setting(uri: str, expected: bool) -> None:
    assert matches(uri, ("vendor/", "*.min.js")) is expected


# -- surroundings


def named(letter: str, count: int) -> Snapshot:
    text = "".join(f"{letter}{number} = {letter}_call{number}(1)\n" for number in range(count))
    return Snapshot.of(text, uri=f"file:///{letter}.py", language="python")


def move(surroundings: Surroundings, snapshot: Snapshot, line: int, others: list[Snapshot]) -> list[tuple[str, str]]:
    """Work at a line, then say what the model would see: files and the first word of each chunk."""
    surroundings.keep(surroundings.news(snapshot, line, others), snapshot, line, others)
    return [(file.path, file.text.split()[0]) for file in surroundings.context(snapshot.uri, "", 8)]


def test_where_the_user_has_been_is_context() -> None:
    a, b, c = named("a", 300), named("b", 300), named("c", 10)
    surroundings = Surroundings()
    assert move(surroundings, a, 200, [b]) == [("b.py", "b0")]
    assert move(surroundings, a, 210, [b]) == [("b.py", "b0")]
    assert move(surroundings, b, 5, [a]) == [("b.py", "b0"), ("a.py", "a192")]
    assert move(surroundings, b, 150, [a, c]) == [("b.py", "b0"), ("a.py", "a192"), ("c.py", "c0")]
    assert move(surroundings, b, 150, [c]) == [("b.py", "b0"), ("c.py", "c0")]
    assert surroundings.context(b.uri, "", 0) == ()
    assert [file.path for file in surroundings.context(b.uri, b.text[:4000], 8)] == ["c.py"]
