"""Search by meaning: words, pieces, the index against a plain computation, the disk, and what the user sees."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plugins.conftest import FakeEditor

from inkling.api import InklingError, Position, Priority, Range, Snapshot, Symbol
from inkling.engine.fake import FakeEngine
from inkling_plugins.search.bm25 import Bm25
from inkling_plugins.search.chunks import Chunk, chunks
from inkling_plugins.search.index import Index, average
from inkling_plugins.search.plugin import Search
from inkling_plugins.search.ranking import prior, rank
from inkling_plugins.search.store import FILE, Store
from inkling_plugins.search.words import split_identifier, stem, terms

FILES = {
    "care.py": '"""All about looking after pets and other animals."""\n\n\n'
    'def feed_cat(bowl):\n    """Give food to a cat."""\n\n\n'
    'class Kennel:\n    def add_dog(self, dog):\n        """House one more dog."""\n',
    "notes.md": "# Garden\n\nTomatoes need sun.\n\n## Water\n\nEvery evening.\n",
}
SAME = {stem(word): stem(other) for word, other in
        {"feline": "cat", "nourish": "food", "puppy": "dog", "vegetable": "tomatoes"}.items()}  # fmt: skip
HERE = Range(Position(0, 0), Position(0, 1))


class Meaning(FakeEngine):
    """Embeds a text as its words, where some mean the same."""

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        await super().embed(texts, model=model, priority=priority)
        return [self.vector(text) for text in texts]

    def vector(self, text: str) -> list[float]:
        found = np.zeros(64)
        for term in terms(text):
            found[sum(map(ord, SAME.get(term, term))) % 64] += 1
        return (found / (np.linalg.norm(found) or 1)).tolist()


class Workspace(FakeEditor):
    """An editor with files, which a test may change."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        super().__init__()
        self.folder = folder
        self.texts = dict(files)
        self.shown: list[tuple[str, Range | None]] = []
        self.choices: list[Sequence[str]] = []
        self.pick: int | None = 0
        self.walks = 0

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def snapshot(self, name: str) -> Snapshot:
        language = {"py": "python", "md": "markdown"}[name.rpartition(".")[2]]
        return Snapshot.of(self.texts[name], uri=self.uri(name), language=language)

    def workspace_folders(self) -> Sequence[Path]:
        return (self.folder,)

    async def files(self, skipped: Any = None) -> AsyncGenerator[Snapshot, None]:
        self.walks += 1
        for name in list(self.texts):
            yield self.snapshot(name)

    def cache_folder(self) -> Path:
        return self.folder

    async def choose(self, title: str, options: Sequence[str]) -> str | None:
        self.choices.append(options)
        return options[self.pick] if self.pick is not None else None

    async def open_place(self, uri: str, range: Range | None = None) -> None:
        self.shown.append((uri, range))


@pytest.fixture
async def search(started: Any, tmp_path: Path) -> Any:
    async def make(files: dict[str, str] = FILES, engine: Any = None, **settings: Any) -> Any:
        plugin = await started(Search, engine or Meaning(), **settings)
        editor = Workspace(tmp_path, files)
        documents = editor.known
        editor.documents = lambda: documents  # type: ignore[method-assign]
        editor.open = editor.open_place  # type: ignore[assignment]
        plugin.open_documents = documents
        plugin.editor = editor
        await plugin.start()
        return plugin

    return make


async def ask(plugin: Any, query: str) -> list[str]:
    return [item.name if isinstance(item, Symbol) else item.reason async for item in plugin.symbols(query)]


# -- parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("readHTTPLine", "read http line readhttpline"),
        ("the copies were copied, copying", "copy copy copy"),
        ("snake_case v2", "snake case v2"),
        ("stopping stopped stop", "stop stop stop"),
        ("boxes classes glass", "box class glass"),
    ],
)
def test_terms(text: str, expected: str) -> None:
    assert list(terms(text)) == [stem(word) for word in expected.split()]


def test_split_identifier() -> None:
    assert split_identifier("HTTPServer.do_get") == "HTTP Server do get"


@given(st.lists(st.text("abcd ", max_size=12), max_size=12), st.text("abcd ", max_size=6), st.sets(st.integers(0, 11)))
def test_bm25_is_what_its_formula_says(texts: list[str], question: str, gone: set[int]) -> None:
    bm25 = Bm25()
    for text in texts:
        bm25.add(text.split())
    for slot in gone & set(range(len(texts))):
        bm25.remove(slot)
    scores = bm25.scores(question.split())
    alive = len(texts) - len(gone & set(range(len(texts))))
    average = max(1.0, sum(len(t.split()) for i, t in enumerate(texts) if i not in gone) / max(1, alive))
    for slot, text in enumerate(texts):
        counts, expected = Counter(text.split()), 0.0
        for term in set(question.split()):
            holders = sum(term in other.split() for other in texts)
            rarity = math.log1p((alive - holders + 0.5) / (holders + 0.5)) if holders < alive else 0.01
            frequency = counts[term]
            length = len(text.split()) / average
            expected += rarity * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * length)) if frequency else 0.0
        assert scores[slot] == pytest.approx(expected if alive else 0.0, rel=1e-4)


def test_pieces_of_code_and_prose() -> None:
    code = Snapshot.of(FILES["care.py"], uri="file:///w/care.py", language="python")
    assert [(c.kind, c.container, c.name, c.text[:8]) for c in chunks(code)] == [
        ("file", "", "care.py", "All abou"),
        ("function", "care", "feed_cat", "Give foo"),
        ("class", "care", "Kennel", ""),
        ("method", "care.Kennel", "add_dog", "House on"),
    ]
    prose = Snapshot.of(FILES["notes.md"], uri="file:///w/notes.md", language="markdown")
    assert [(c.container, c.name, c.text) for c in chunks(prose)] == [
        ("notes.md", "Garden", "Tomatoes need sun."),
        ("notes.md › Garden", "Water", "Every evening."),
    ]
    long = Snapshot.of("\n\n".join(f"Paragraph {n} " + "word " * 60 for n in range(6)), uri="file:///w/a.txt")
    assert [c.range.start.line for c in chunks(long)] == [0, 4, 8]


def test_index_keeps_what_is_there_when_files_come_and_go() -> None:
    index, engine = Index(), Meaning()

    def put(number: int) -> None:
        piece = Chunk(f"thing{number}", "", "function", HERE, (), f"about number{number} and all")
        for slot in index.put(f"file:///{number % 50}", str(number).encode(), [piece] * 30):
            index.set_vectors({slot: average([np.array(engine.vector(view), np.float32) for view in piece.views()])})

    for number in range(140):  # 4,200 slots, of which 1,500 are alive: compacted on the way
        put(number)
        if number % 35 == 34:
            best = index.search(f"thing{number}", np.array(engine.vector(f"number{number}"), np.float32), 30)
            assert {hit.chunk.name for hit in best} == {f"thing{number}"} and len(best) == 30
    assert len(index) == index.embedded == 1500 and len(index.chunks()) == 1500
    index.remove([f"file:///{number}" for number in range(49)])
    assert {hit.chunk.name for hit in index.search("all", None, 99)} == {"thing99"}


def test_store_gives_back_what_it_took_and_survives_damage(tmp_path: Path) -> None:
    piece = Chunk("naïve", "a › b", "method", Range(Position(1, 2), Position(3, 4)), ("x",), "text")
    store = Store(tmp_path)
    store.put_file("file:///a", b"1", [piece])
    store.put_vectors({b"k": np.array([0.5, -0.25], np.float32), b"l": np.array([1, 0], np.float32)})
    store.keep_vectors([b"k"])
    store.close()
    store = Store(tmp_path)
    assert list(store.files()) == [("file:///a", b"1", [piece])]
    assert store.vectors([b"k", b"l", b"m"])[b"k"].tolist() == [0.5, -0.25] and store.vector_count() == 1
    store.close()
    for name in tmp_path.iterdir():
        name.write_bytes(b"this is no database at all, whatever it is called" * 100)
    store = Store(tmp_path)
    assert list(store.files()) == []
    store.close()
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("lexical", "similar", "kinds", "named", "best"),
    [
        ([0, 9, 1], [0.5, 0.3, 0.4], "fff", [], [0, 2, 1]),  # words count little beside meaning
        ([0, 9, 1], [0.4, 0.35, 0.4], "fff", [], [1, 2, 0]),  # and decide where it is much the same
        ([0, 0, 0], [0.5, 0.45, 0.3], "mff", [], [1, 0, 2]),  # a method stands back a little
        ([0, 0, 0], [0.5, 0.3, 0.1], "mff", [], [0, 1, 2]),
        ([0, 0, 0], [0.5, 0.45, 0.3], "fFf", [], [1, 0, 2]),  # what is explained at length comes forward a little
        ([0, 0, 0], [0.5, 0.3, 0.1], "fFf", [], [0, 1, 2]),
        ([1, 0, 0], [0.9, 0.0, 0.1], "ffm", [2], [2, 0, 1]),  # what the question names comes first
        ([0, 0, 0], [-0.1, 0.01, 0.0], "Fff", [], [1, 0, 2]),  # much is told, of another thing
        ([5, 9, 0], [0.0, 0.0, 0.3], "fff", [], [2, 1, 0]),  # without vectors by words, after what has one
    ],
)
def test_rank(lexical: list[float], similar: list[float], kinds: str, named: list[int], best: list[int]) -> None:
    priors = {"f": prior("function", 60), "F": prior("function", 900), "m": prior("method", 60)}
    given = np.array([priors[kind] for kind in kinds], np.float32)
    scores = rank(np.array(lexical, np.float32), np.array(similar, np.float32), given, named)
    assert np.argsort(-scores).tolist() == best


LONG = "Gives them hay.\n\nUsed by the stable, in the morning and whenever a mare is in foal. " * 4


def test_a_chunk_is_read_with_its_name_and_by_itself() -> None:
    piece = Chunk("feedHorse", "farm.Stable", "method", HERE, (), LONG)
    assert piece.views()[0] == "farm Stable feed Horse: Gives them hay."
    assert LONG.replace("\n\n", " ").startswith(piece.views()[1][:80]) and "in the morning" in piece.views()[1]
    assert Chunk("feedHorse", "farm", "function", HERE, ("how_much",)).views() == ("farm feed Horse how much",)


def test_both_views_count() -> None:
    one, other = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    assert (average([one]) == one).all() and 0 < average([one, other])[1] < average([one, other])[0]


def test_of_two_that_mean_the_same_the_one_explained_at_length_comes_first() -> None:
    index, vector = Index(), np.array([1, 0], np.float32)
    for round_ in range(40):  # the slots are renumbered on the way
        for name, text in (("short", "Gives hay."), ("long", LONG)):
            for slot in index.put(f"file:///{name}", b"", [Chunk(name, "", "function", HERE, (), text)] * 60):
                index.set_vectors({slot: vector})
        assert index.search("?", vector, 1)[0].chunk.name == "long", round_


def test_prose_is_no_better_for_being_long() -> None:
    assert prior("string", 1200) == prior("string", 20) == prior("file", 300) == 0 < prior("function", 300)
    assert prior("function", 0) == prior("function", 30) == 0 and prior("class", 5000) == prior("class", 1200)


# -- the plugin


async def test_questions_find_what_means_the_same(search: Any) -> None:
    plugin = await search()
    assert (await ask(plugin, "? nourish a feline"))[0] == "feed_cat"
    assert (await ask(plugin, "? puppy"))[0] == "add_dog"
    assert (await ask(plugin, "?vegetable"))[0] == "Garden"
    assert await ask(plugin, "feed_cat") == await ask(plugin, "?") == []
    assert plugin.editor.walks == 1 and plugin.editor.titles == ["Reading the workspace for search"]


async def test_every_query_is_a_question_without_a_prefix(search: Any) -> None:
    assert (await ask(await search(prefix=""), "puppy"))[0] == "add_dog"


async def test_nothing_is_read_or_computed_before_the_first_question(search: Any, tmp_path: Path) -> None:
    plugin = await search(enabled=False)
    assert await ask(plugin, "? cat") == ["disabled"]
    with pytest.raises(InklingError, match="Search is off"):
        await plugin.find(None, None, question="cat")
    assert plugin.editor.walks == 0 and plugin.engine.calls == [] and not list(tmp_path.iterdir())


async def test_a_second_session_computes_nothing_but_the_question(search: Any) -> None:
    first = await search()
    await ask(first, "? cat")
    plugin = await search()
    assert (await ask(plugin, "? nourish a feline"))[0] == "feed_cat"
    assert [call.arguments["texts"] for call in plugin.engine.calls] == [("nourish a feline",)]


async def test_what_is_typed_is_found_and_costs_one_piece(search: Any) -> None:
    plugin = await search()
    await ask(plugin, "? cat")
    before = len(plugin.engine.calls)
    plugin.editor.texts["care.py"] += '\n\ndef walk_puppy():\n    """Take the puppy out."""\n'
    plugin.open_documents.append(plugin.editor.snapshot("care.py"))
    assert "walk_puppy" in (await ask(plugin, "? puppy walk out"))[:2]
    assert [len(call.arguments["texts"]) for call in plugin.engine.calls[before:]] == [2, 1], (
        "its two views, and the question"
    )


async def test_files_that_are_gone_or_excluded_are_not_found(search: Any) -> None:
    plugin = await search(exclude=("*.md",), refresh_seconds=1.0)
    assert "Garden" not in await ask(plugin, "? vegetable garden")
    del plugin.editor.texts["care.py"]
    plugin.editor.texts["more.py"] = '"""An ordinary file, to have something."""\ndef other(): pass\n'
    await plugin.make(None, None)
    assert "feed_cat" not in await ask(plugin, "? feed cat")


async def test_another_model_means_other_vectors(search: Any) -> None:
    plugin = await search()
    await ask(plugin, "? cat")
    plugin.settings = Search.Settings(model="other")
    await ask(plugin, "? cat")
    await plugin.make(None, None)
    assert {call.arguments["model"] for call in plugin.engine.calls[-2:]} == {"other"}
    assert plugin._indexer.index.embedded == len(plugin._indexer.index)


async def test_without_the_model_the_words_are_searched_and_the_reason_told(search: Any) -> None:
    engine = Meaning(faults={"embed": InklingError("model-not-found", "It is not there.", "Install it.")})
    plugin = await search(engine=engine)
    assert await ask(plugin, "? food for a cat") == ["feed_cat", "model-not-found"]
    assert "feed_cat" in await plugin.find(None, None, question="food")


async def test_a_cancelled_reading_stays_cancelled_until_asked_for(search: Any) -> None:
    plugin = await search(engine=Meaning(delay_s=0.2))
    waiting = asyncio.create_task(ask(plugin, "? cat"))
    while not plugin.editor.walks:
        await asyncio.sleep(0.01)
    plugin._indexer._walking.cancel()
    assert (await waiting)[-1] == "index-cancelled"
    assert (await ask(plugin, "? cat"))[-1] == "index-cancelled" and plugin.editor.walks == 1
    assert await plugin.make(None, None) == "6 pieces of 2 files are indexed."
    assert (await ask(plugin, "? feline"))[0] == "feed_cat"


async def test_a_cancelled_request_does_not_cancel_the_reading(search: Any) -> None:
    plugin = await search(engine=Meaning(delay_s=0.1))
    waiting = asyncio.create_task(ask(plugin, "? cat"))
    await asyncio.sleep(0.2)
    waiting.cancel()
    assert (await ask(plugin, "? nourish feline"))[0] == "feed_cat" and plugin.editor.walks == 1


async def test_too_many_pieces_are_told(search: Any) -> None:
    many = {f"f{n}.py": "".join(f"def f{n}_{m}(): pass\n" for m in range(60)) for n in range(4)}
    plugin = await search(many, max_chunks=100)
    assert (await ask(plugin, "? f1"))[-1] == "too-large"


async def test_the_command_goes_to_the_chosen_place(search: Any) -> None:
    plugin = await search()
    listed = await plugin.find(None, None, question="nourish a feline")
    assert listed.startswith("care.feed_cat  care.py:4")
    assert plugin.editor.shown == [(plugin.editor.uri("care.py"), Range(Position(3, 0), Position(4, 29)))]
    plugin.editor.pick = None
    await plugin.find(None, None, question="dog")
    assert len(plugin.editor.shown) == 1
    with pytest.raises(InklingError, match="nothing to search for"):
        await plugin.find(None, None, question=" ")


async def test_similar_to_the_selection_is_not_the_selection_itself(search: Any) -> None:
    plugin = await search()
    plugin.editor.texts["vet.py"] = (
        '"""What the doctor of animals does for a cat."""\n\ndef feed():\n    """Give food to a cat."""\n'
    )
    snapshot = plugin.editor.snapshot("care.py")
    listed = await plugin.similar(snapshot, Range(Position(3, 0), Position(4, 29)))
    assert listed.splitlines()[0].startswith("vet.feed") and "feed_cat" not in listed
    with pytest.raises(InklingError, match="no text at the cursor"):
        await plugin.similar(snapshot, Range(Position(1, 0), Position(1, 0)))


async def test_near_duplicates_are_hinted_at_only_when_asked_for(search: Any) -> None:
    text = '"""Small helpers for everybody."""\n\n'
    text += 'def feed(a):\n    """Give the cat its food and look after the dog at noon."""\n'
    files = {"one.py": text, "two.py": text, **FILES}
    off = await search(files)
    assert [
        found async for found in off.near_duplicates(off.editor.snapshot("one.py"))
    ] == [] and off.engine.calls == []
    plugin = await search(files, near_duplicates=True, duplicate_similarity=0.9)
    (hint,) = [found async for found in plugin.near_duplicates(plugin.editor.snapshot("one.py"))]
    assert hint.message.startswith("Says nearly the same as feed, two.py:3") and hint.range.start.line == 2
    assert hint.related[0].uri == plugin.editor.uri("two.py")
    assert [found async for found in plugin.near_duplicates(plugin.editor.snapshot("care.py"))] == []


async def test_an_empty_workspace_says_so(search: Any) -> None:
    plugin = await search({})
    assert await ask(plugin, "? cat") == ["no-match"]
    with pytest.raises(InklingError, match="no text to search"):
        await plugin.find(None, None, question="cat")


# -- what changes while the workspace is read


def test_vectors_made_before_the_slots_were_renumbered_are_refused() -> None:
    index = Index()
    piece = Chunk("thing", "", "function", HERE, (), "about it")
    index.put("file:///old", b"", [piece] * 2_100)
    index.put("file:///new", b"", [piece] * 3)
    generation, missing = index.missing(["file:///new"])
    index.remove(["file:///old"])
    index.search("thing", None, 1)  # renumbers
    vector = np.ones(4, np.float32)
    assert not index.set_vectors({slot: vector for slot, _ in missing}, generation) and index.embedded == 0
    generation, missing = index.missing(["file:///new"])
    assert index.set_vectors({slot: vector for slot, _ in missing}, generation) and index.embedded == 3


class Held(Meaning):
    """Never answers for the first model."""

    asked: asyncio.Event

    async def embed(
        self, texts: Sequence[str], *, model: str, priority: Priority = Priority.BACKGROUND
    ) -> list[list[float]]:
        if model != "other":
            self.asked.set()
            await asyncio.Event().wait()
        return await super().embed(texts, model=model, priority=priority)


async def test_a_model_set_during_the_reading_gets_an_index_of_its_own(search: Any) -> None:
    engine = Held()
    engine.asked = asyncio.Event()
    plugin = await search(engine=engine)
    first = asyncio.create_task(ask(plugin, "? cat"))
    await engine.asked.wait()
    old = plugin._indexer._walking
    plugin.settings = Search.Settings(model="other")
    assert (await ask(plugin, "? nourish a feline"))[0] == "feed_cat"
    assert old.done() and plugin._indexer.index.embedded == len(plugin._indexer.index)
    texts = {text for call in engine.calls for text in call.arguments["texts"]}
    assert {view for chunk in plugin._indexer.index.chunks() for view in chunk.views()} <= texts
    await first


async def test_weights_trained_anew_mean_other_vectors(search: Any) -> None:
    plugin = await search()
    await ask(plugin, "? cat")
    plugin.engine.known_weights["starter:encoder"] = "newer"
    before = len(plugin.engine.calls)
    await ask(plugin, "? cat")
    assert sum(len(call.arguments["texts"]) for call in plugin.engine.calls[before:]) > 1, "all of the pieces anew"
    again = await search(engine=Meaning(known_weights={"starter:encoder": "newest"}))
    await ask(again, "? cat")
    assert len(again.engine.calls) > 1


async def test_hints_do_not_hurry_and_say_that_they_wait(search: Any) -> None:
    plugin = await search(near_duplicates=True)
    page = plugin.editor.snapshot("care.py")
    await ask(plugin, "? cat")
    assert plugin.editor.refreshed == ["diagnostics"]
    plugin.editor.texts["care.py"] += '\n\ndef walk_puppy():\n    """Take the puppy out."""\n'
    plugin.open_documents.append(page := plugin.editor.snapshot("care.py"))
    assert [found async for found in plugin.near_duplicates(page)] == []
    assert plugin.engine.calls[-1].arguments["priority"] is Priority.BACKGROUND
    walking = plugin._indexer._walking
    plugin._indexer._walking = asyncio.create_task(asyncio.sleep(5))
    assert [found.reason async for found in plugin.near_duplicates(page)] == ["indexing"]
    plugin._indexer._walking.cancel()
    plugin._indexer._walking = walking


async def test_what_a_question_names_comes_first_and_other_words_do_not_count(search: Any) -> None:
    plugin = await search()
    assert (await ask(plugin, "? where does add_dog look after a cat"))[0] == "add_dog"
    index, vector = plugin._indexer.index, np.array(plugin.engine.vector("nourish feline"), np.float32)
    found = index.search("garden water sun", vector, 9)
    best = index.search("nourish feline", vector, 1)[0]
    assert found[0] == best and best.score == best.similarity
