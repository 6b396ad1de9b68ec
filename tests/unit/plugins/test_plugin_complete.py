"""Completion as a user meets it: a document with the cursor at `|`, what is shown, and what it costs the engine."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkling.api import (
    ContextFile,
    GenerateRequest,
    GhostText,
    InklingError,
    Nothing,
    Position,
    Priority,
    Range,
    Snapshot,
)
from inkling.engine.fake import FakeEngine
from inkling_plugins import complete
from inkling_plugins.complete import Complete
from inkling_plugins.completion import maker, reasons

BODY = ("return", " a", " +", " b")


def document(text: str, uri: str = "file:///home/a.py", language: str = "python") -> tuple[Snapshot, Position]:
    offset = text.index("|")
    snapshot = Snapshot.of(text.replace("|", "", 1), uri=uri, language=language)
    return snapshot, snapshot.position(offset)


async def ask(plugin: Complete, text: str, *, invoked: bool = False, **where: str) -> list[GhostText | Nothing]:
    snapshot, position = document(text, **where)
    async with asyncio.timeout(10):
        return [item async for item in plugin.suggest(snapshot, position, invoked)]


def last(items: list[GhostText | Nothing]) -> str:
    """The text shown in the end, or `!reason`; checks that what was yielded only grew and ended."""
    assert items
    *growing, end = items
    assert all(isinstance(item, GhostText) and not item.complete for item in growing)
    if isinstance(end, Nothing):
        assert not growing and end.detail
        return f"!{end.reason}"
    assert end.complete
    texts = [item.text for item in items if isinstance(item, GhostText)]
    assert all(after.startswith(before) for before, after in itertools.pairwise(texts))
    return end.text


class Paced(FakeEngine):
    """An engine whose next token comes when the test says so."""

    def __init__(self, *tokens: str) -> None:
        super().__init__(texts=tokens)
        self.gate = asyncio.Semaphore(0)

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Any]:  # type: ignore[override]
        async with aclosing(super().generate(request)) as stream:
            async for chunk in stream:
                await self.gate.acquire()
                yield chunk

    async def release(self, count: int) -> None:
        for _ in range(count):
            self.gate.release()
        await asyncio.sleep(0.01)

    async def asked(self, times: int = 1) -> None:
        """Wait until the engine has been asked so many times."""
        async with asyncio.timeout(10):
            while len(self.calls) < times:
                await asyncio.sleep(0.005)

    @property
    def outcomes(self) -> list[str]:
        return [call.outcome for call in self.calls]


async def test_streams_and_ends(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=[*BODY, " -", " c"]))
    items = await ask(plugin, "def add(a, b):\n    |\n")
    assert last(items) == "return a + b - c"
    assert len(items) > 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def add(a, b):\n    |\n", "return a + b"),
        ("def add(a, b):\n    r|\n", "eturn a + b"),
        ("def add(a, b):\n    return a|\n", " + b"),
        ("def add(a, b):\n    re|\n", "turn a + b"),
    ],
)
async def test_typing_through_a_suggestion_asks_no_engine(started: Any, text: str, expected: str) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY))
    await ask(plugin, "def add(a, b):\n    |\n")
    assert last(await ask(plugin, text)) == expected
    assert len(plugin.engine.calls) == 1


async def test_accepting_line_by_line_asks_no_engine(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["if", " a:", "\n        return", " b", "\n    return", " c"]))
    first = last(await ask(plugin, "def f(a, b, c):\n    |\n"))
    assert first == "if a:\n        return b\n    return c"
    assert last(await ask(plugin, "def f(a, b, c):\n    if a:\n        |\n")) == "return b\n    return c"
    assert last(await ask(plugin, "def f(a, b, c):\n    if a:\n        return b\n    |\n")) == "return c"
    assert len(plugin.engine.calls) == 1


async def test_line_ends_are_the_documents_own(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["if", " a:", "\n        return", " b"]))
    assert last(await ask(plugin, "def f(a, b):\r\n    |\r\n")) == "if a:\r\n        return b"
    assert last(await ask(plugin, "def f(a, b):\r\n    if a:\r\n        |\r\n")) == "return b"
    assert len(plugin.engine.calls) == 1


async def test_ghosts_of_closed_documents_are_forgotten(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["value"]))
    await ask(plugin, "x = |\n", uri="file:///a.py")
    await ask(plugin, "x = |\n", uri="file:///b.py")
    await ask(plugin, "x = |\n", uri="file:///a.py")
    assert len(plugin.engine.calls) == 3


async def test_jumping_about_is_neither_typing_nor_ignoring(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark, or a user with a mouse: each place is new, so the least wait holds at each of them."""
    waits: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    plugin = await started(Complete, FakeEngine(texts=["value"]))
    monkeypatch.setattr(complete.asyncio, "sleep", sleep)
    for number in range(12):
        await ask(plugin, "\n" * (3 * number) + "x = |\n")
    assert [wait for wait in waits if 0 < wait < 0.5] == [0.02] * 12


async def test_a_bracket_closed_by_the_editor_is_no_change(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["len", "(", "values", ")", " + 1"]))
    assert last(await ask(plugin, "count = |\n")) == "len(values) + 1"
    assert last(await ask(plugin, "count = len(|)\n")) in ("values", "values) + 1")
    assert len(plugin.engine.calls) == 1


async def test_a_refusal_is_remembered_too(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=[" "]))
    assert last(await ask(plugin, "x = |\n")) == "!empty"
    assert last(await ask(plugin, "x = |\n")) == "!empty"
    assert len(plugin.engine.calls) == 1


async def test_going_another_way_asks_anew(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY))
    await ask(plugin, "def add(a, b):\n    |\n")
    await ask(plugin, "def add(a, b):\n    x|\n")
    assert len(plugin.engine.calls) == 2


async def test_changed_settings_ask_anew(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY))
    await ask(plugin, "def add(a, b):\n    |\n")
    plugin.settings = Complete.Settings(model="starter:other")
    await ask(plugin, "def add(a, b):\n    |\n")
    assert [call.arguments["request"].model for call in plugin.engine.calls] == ["starter:code", "starter:other"]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine, the next keystroke comes in time."""
    monkeypatch.setattr(complete, "_CANCELLED_LINGER_S", 30.0)


async def test_a_cancelled_request_leaves_its_stream_to_the_next_keystroke(started: Any, patient: None) -> None:
    engine = Paced(*BODY)
    plugin = await started(Complete, engine)
    request = asyncio.create_task(ask(plugin, "def add(a, b):\n    |\n"))
    await engine.asked()
    await engine.release(1)
    request.cancel()
    second = asyncio.create_task(ask(plugin, "def add(a, b):\n    ret|\n"))
    await asyncio.sleep(0.05)
    await engine.release(8)
    assert last(await second) == "urn a + b"
    assert engine.outcomes == ["done"]


async def test_typing_ahead_of_the_stream_waits_for_it(started: Any, patient: None) -> None:
    engine = Paced(*BODY)
    plugin = await started(Complete, engine)
    request = asyncio.create_task(ask(plugin, "def add(a, b):\n    |\n"))
    await engine.asked()
    request.cancel()
    second = asyncio.create_task(ask(plugin, "def add(a, b):\n    return a|\n"))
    await asyncio.sleep(0.05)
    await engine.release(8)
    assert last(await second) == " + b"
    assert engine.outcomes == ["done"]


async def test_a_stream_that_turns_out_wrong_is_replaced_at_once(started: Any, patient: None) -> None:
    """Its first token shows it; the rest is not waited for."""
    engine = Paced(*BODY)
    plugin = await started(Complete, engine)
    request = asyncio.create_task(ask(plugin, "def add(a, b):\n    |\n"))
    await engine.asked()
    request.cancel()
    second = asyncio.create_task(ask(plugin, "def add(a, b):\n    rest = |\n"))
    await engine.release(1)
    await engine.asked(2)
    assert engine.outcomes == ["cancelled", "running"]
    await engine.release(8)
    assert last(await second) == "return a + b"


async def test_a_cancel_without_a_new_keystroke_stops_the_engine(started: Any) -> None:
    engine = Paced(*BODY)
    plugin = await started(Complete, engine)
    request = asyncio.create_task(ask(plugin, "def add(a, b):\n    |\n"))
    await engine.asked()
    await engine.release(1)
    request.cancel()
    async with asyncio.timeout(5):
        while engine.outcomes != ["cancelled"]:
            await asyncio.sleep(0.02)


async def test_a_diverging_keystroke_stops_the_engine(started: Any) -> None:
    engine = Paced(*BODY)
    plugin = await started(Complete, engine)
    first = asyncio.create_task(ask(plugin, "def add(a, b):\n    |\n"))
    await engine.asked()
    await engine.release(2)
    second = asyncio.create_task(ask(plugin, "def add(a, b):\n    x|\n"))
    await engine.asked(2)
    assert engine.outcomes == ["cancelled", "running"]
    await engine.release(8)
    assert last(await first) == "!superseded"
    await second


async def test_nothing_is_computed_past_what_will_be_shown(started: Any) -> None:
    """The fourth token leaves the block, so the rest of the stream is not wanted."""
    engine = FakeEngine(texts=["return", " a", " + b", "\nprint", "(1)", "\nprint"] + ["(2)\nprint"] * 50)
    plugin = await started(Complete, engine)
    assert last(await ask(plugin, "def add(a, b):\n    |\n")) == "return a + b"
    await asyncio.sleep(0.01)
    assert engine.calls[0].outcome == "cancelled"
    assert engine.calls[0].chunks < 20


@pytest.mark.parametrize(
    ("text", "settings", "uri", "language", "reason"),
    [
        ("x = |", {"enabled": False}, "file:///a.py", "python", "disabled"),
        ("x = |", {"languages": {"python": False}}, "file:///a.py", "python", "language-off"),
        ("x = |", {"languages": {"*": False}}, "file:///a.py", "python", "language-off"),
        ("x = |", {"exclude": ("vendor/",)}, "file:///w/vendor/a.py", "python", "excluded"),
        ("x = |y + 1", {}, "file:///a.py", "python", "mid-line"),
        ("The next |", {}, "file:///a.md", "markdown", "not-for-this-language"),
        ("The next |", {"languages": {"python": True}}, "file:///a.md", "markdown", "not-for-this-language"),
    ],
)
async def test_not_wanted_here(
    started: Any, text: str, settings: dict[str, Any], uri: str, language: str, reason: str
) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY), **settings)
    assert last(await ask(plugin, text, uri=uri, language=language)) == f"!{reason}"
    assert plugin.engine.calls == []


@pytest.mark.parametrize(
    "settings", [{"model": "org/model"}, {"languages": {"markdown": True}}, {"languages": {"*": True}}]
)
async def test_a_model_that_is_meant_for_the_language_is_asked(started: Any, settings: dict[str, Any]) -> None:
    plugin = await started(Complete, FakeEngine(texts=["page"]), **settings)
    assert last(await ask(plugin, "The next |", uri="file:///a.md", language="markdown")) == "page"


async def test_where_the_model_is_not_meant_for_the_language_copies_are_shown(started: Any) -> None:
    other = Snapshot.of("The cache keeps the next page for a while.\n", uri="file:///b.md", language="markdown")
    plugin = await started(Complete, FakeEngine(texts=["page"]), [other])
    text = "A reader waits.\nThe cache keeps the next |"
    assert last(await ask(plugin, text, uri="file:///a.md", language="markdown")) == "page for a while."
    assert plugin.engine.calls == []


async def test_by_key_the_middle_of_a_line_is_fine(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["first, ", "second, "]))
    assert last(await ask(plugin, "call(|third)\n", invoked=True)) == "first, second,"


class Unsure(FakeEngine):
    """Its tokens have the given probabilities, the last one from then on."""

    def __init__(self, *tokens: str, probabilities: tuple[float, ...]) -> None:
        super().__init__(texts=tokens)
        self.probabilities = probabilities

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Any]:  # type: ignore[override]
        number = 0
        async with aclosing(super().generate(request)) as stream:
            async for chunk in stream:
                probability = self.probabilities[min(number, len(self.probabilities) - 1)]
                yield replace(chunk, logprob=math.log(probability))
                number += 1


@pytest.mark.parametrize(
    ("least", "probabilities", "expected"),
    [
        (0.0, (0.01,), "value + other.name"),
        (0.3, (0.9,), "value + other.name"),
        # cut where the product falls below the least: whole words only
        (0.3, (0.9, 0.8, 0.9, 0.1), "value + other"),
        (0.3, (0.9, 0.8, 0.1), "value +"),
        (0.3, (0.9, 0.1), "value"),
        (0.3, (0.1,), "!low-confidence"),
    ],
)
async def test_a_line_is_shown_as_far_as_it_is_sure(
    started: Any, least: float, probabilities: tuple[float, ...], expected: str
) -> None:
    engine = Unsure("value", " +", " other", ".name", probabilities=probabilities)
    plugin = await started(Complete, engine, min_confidence=least)
    assert last(await ask(plugin, "total = |\n")) == expected


async def test_who_asks_is_shown_even_an_unsure_line(started: Any) -> None:
    plugin = await started(Complete, Unsure("value", " + other", probabilities=(0.1,)))
    assert last(await ask(plugin, "total = |\n")) == "!low-confidence"
    assert last(await ask(plugin, "total = |\n", invoked=True)) == "value + other"
    assert last(await ask(plugin, "total = val|\n")) == "ue + other"  # and it stays while they type along it


async def test_a_shortened_line_keeps_four_characters(started: Any) -> None:
    plugin = await started(Complete, Unsure("abc", " + other", probabilities=(0.9, 0.1)))
    assert last(await ask(plugin, "total = |\n")) == "!low-confidence"


async def test_a_doubt_inside_a_word_takes_the_word(started: Any) -> None:
    plugin = await started(Complete, Unsure("first", ", sec", "ond", probabilities=(0.9, 0.9, 0.1)))
    assert last(await ask(plugin, "call(|\n")) == "first,"


async def test_what_follows_a_doubt_is_not_computed(started: Any) -> None:
    engine = Unsure("value", " +", *[" other"] * 200, probabilities=(0.9, 0.9, 0.1))
    plugin = await started(Complete, engine)
    assert last(await ask(plugin, "total = |\n")) == "value +"
    await asyncio.sleep(0.01)
    assert engine.calls[0].outcome == "cancelled" and engine.calls[0].chunks < 10


async def test_further_lines_need_the_chance_by_themselves(started: Any) -> None:
    engine = Unsure("a = 1", "\n    b = 2", "\n    c", " = 3", probabilities=(0.5, 0.5, 0.5))
    plugin = await started(Complete, engine)
    assert last(await ask(plugin, "def f():\n    |\n")) == "a = 1\n    b = 2"


async def test_an_engine_that_cannot_is_a_reason(started: Any) -> None:
    fault = InklingError("model-not-found", "starter:code is not here.", "Run `inkling doctor`.")
    plugin = await started(Complete, FakeEngine(texts=["x"], faults={"generate": fault}))
    (nothing,) = await ask(plugin, "x = |\n")
    assert nothing == Nothing("model-not-found", "starter:code is not here. Run `inkling doctor`.")


async def test_a_bug_in_the_engine_is_not_hidden_and_not_remembered(started: Any) -> None:
    engine = FakeEngine(texts=["x"], faults={"generate": ZeroDivisionError()})
    plugin = await started(Complete, engine)
    with pytest.raises(ZeroDivisionError):
        await ask(plugin, "x = |\n")
    engine.faults.clear()
    engine.texts = ("value",)
    assert last(await ask(plugin, "x = |\n")) == "value"


async def test_what_the_model_is_given(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY))
    await ask(plugin, "import b\r\n\r\n\r\ndef add(a, b):\r\n    |\r\nadd(1, 2)\r\n")
    request = plugin.engine.calls[0].arguments["request"]
    assert request.prompt == "import b\n\n\ndef add(a, b):\n    "
    assert request.stop == ("\n\n", "\nadd(1, 2)")
    assert request.cache_key == "file:///home/a.py"
    assert request.temperature == 0


@pytest.mark.parametrize(
    ("text", "settings", "suffix"),
    [
        ("x = |\ny\n", {"model": "org/model"}, "\ny\n"),
        ("x = |\ny\n", {}, None),
        ("x = |\ny\n", {"fill_in_middle": "always"}, "\ny\n"),
        ("x = |\n\n  \n", {"fill_in_middle": "always"}, None),
        ("x = |\ny\n", {"model": "org/model", "fill_in_middle": "never"}, None),
    ],
)
async def test_what_follows_is_shown_when_it_says_something(
    started: Any, text: str, settings: dict[str, Any], suffix: str | None
) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY), **settings)
    await ask(plugin, text)
    assert plugin.engine.calls[0].arguments["request"].suffix == suffix


async def test_context_is_read_in_a_pause_and_kept(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maker, "IDLE_S", 0.0)
    other = Snapshot.of("def helper(first, second):\n    return first * second\n", uri="file:///home/b.py")
    kept_out = Snapshot.of("alpha = beta\ngamma = delta\n", uri="file:///home/vendor/c.py")
    engine = FakeEngine(texts=BODY)
    plugin = await started(Complete, engine, [other, kept_out], exclude=("vendor/",))
    await ask(plugin, "x = |\n")
    async with asyncio.timeout(5):
        while len(engine.calls) < 2:
            await asyncio.sleep(0.01)
    await ask(plugin, "x = 2\ny = |\n")
    await asyncio.sleep(0.05)
    first, warm, second = (call.arguments["request"] for call in engine.calls)
    shown = (ContextFile("b.py", other.text.strip("\n")),)
    assert (first.context, warm.context, second.context) == ((), shown, shown)
    assert (warm.max_tokens, warm.priority, warm.prompt) == (1, Priority.BACKGROUND, "x = ")


async def test_the_next_suggestion_is_made_ahead(started: Any) -> None:
    engine = FakeEngine(texts=lambda request: ["second", " + third"] if "first" in request.prompt else ["first", " +"])
    plugin = await started(Complete, engine, ahead=True)
    assert last(await ask(plugin, "x = |\n")) == "first +"
    async with asyncio.timeout(5):
        while len(engine.calls) < 2 or engine.calls[-1].outcome == "running":
            await asyncio.sleep(0.01)
    assert last(await ask(plugin, "x = first +|\n")) == "second + third"
    await asyncio.sleep(0.01)
    requests = [call.arguments["request"] for call in engine.calls]
    assert [request.prompt for request in requests[:2]] == ["x = ", "x = first +"]
    assert [request.priority for request in requests[:2]] == [Priority.COMPLETION, Priority.BACKGROUND]


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("# This is |\n", {}, "return a + b"),
        ("# This is |\n", {"comments": False}, "!in-comment"),
        ('def f():\n    """Do\n    |\n    """\n', {"comments": False}, "!in-comment"),
        ("x = |\n", {"comments": False}, "return a + b"),
    ],
)
async def test_in_comments(started: Any, text: str, settings: dict[str, Any], expected: str) -> None:
    plugin = await started(Complete, FakeEngine(texts=BODY), **settings)
    assert last(await ask(plugin, text)) == expected


async def test_text_gets_one_line(started: Any) -> None:
    """By its layout the place wants a block; by its syntax it is a docstring."""
    plugin = await started(Complete, FakeEngine(texts=["Read", " the", " file", "\n", "    and", " more"]))
    assert last(await ask(plugin, 'def f():\n    """\n    |\n    """\n')) == "Read the file"
    assert plugin.engine.calls[0].arguments["request"].stop == ("\n",)


async def test_a_long_match_is_copied_without_a_model(started: Any) -> None:
    seen = (
        "    logger.warning('retrying the request after a failure', attempt, exc_info=error)\n    time.sleep(delay)\n"
    )
    other = Snapshot.of("def a():\n" + seen, uri="file:///home/b.py", language="python")
    plugin = await started(Complete, FakeEngine(texts=BODY), [other])
    assert last(await ask(plugin, "def b():\n    logger.warning('retrying the request after a failure', |")) == (
        "attempt, exc_info=error)"
    )
    assert plugin.engine.calls == []


@pytest.mark.parametrize(("above", "model"), [(1, True), (3, False)])
async def test_a_whole_line_needs_a_longer_match(started: Any, above: int, model: bool) -> None:
    """Each line above has 40 characters; 48 are enough for the rest of a line, 96 for a whole one."""
    known = "".join(f"value_{name} = compute_the_value_of({name}, 1)\n" for name in "abcdefgh")
    other = Snapshot.of(known, uri="file:///home/b.py", language="python")
    plugin = await started(Complete, FakeEngine(texts=BODY), [other])
    lines = known.splitlines(keepends=True)
    await ask(plugin, "import x\n" + "".join(lines[4 - above : 4]) + "|\n")
    assert bool(plugin.engine.calls) is model


@pytest.mark.parametrize(
    ("says", "probability", "least", "expected"),
    [
        ("self.value", 0.05, 0.5, "self.value + other.value"),  # an unsure model that begins as the copy does
        ("none", 0.05, 0.5, "!low-confidence"),
        ("none", 0.05, 0.3, "self.value + other.value"),  # a copy with so short a match is right in 0.30 of the cases
        ("none", 0.29, 0.3, "self.value + other.value"),
        ("none", 0.5, 0.3, "none"),
    ],
)
async def test_the_likelier_of_model_and_copy(
    started: Any, says: str, probability: float, least: float, expected: str
) -> None:
    other = Snapshot.of("    def __add__(self, other):\n        return self.value + other.value\n", uri="file:///b.py")
    plugin = await started(Complete, Unsure(says, probabilities=(probability,)), [other], min_confidence=least)
    assert last(await ask(plugin, "    def __add__(self, another):\n        return |\n")) == expected


async def test_continue_writing(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["First", "\n", "second"]))
    snapshot = Snapshot.of("Begin.\r\n", uri="file:///a.md", language="markdown")
    end = Position(1, 0)
    reply = await plugin.continue_writing(snapshot, Range(end, end))
    assert plugin.editor.streamed == "First\nsecond"  # the stream makes the document's own line ends of it
    assert "12 characters" in reply
    assert plugin.editor.titles


async def test_continue_writing_stops_where_the_user_types(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["one ", "two ", "three "]))
    plugin.editor.refuse_after = 4
    snapshot = Snapshot.of("x\n", language="markdown")
    with pytest.raises(InklingError, match="typed"):
        await plugin.continue_writing(snapshot, Range(Position(0, 1), Position(0, 1)))
    assert plugin.editor.streamed == "one "
    assert plugin.engine.calls[0].outcome == "cancelled"


async def test_continue_writing_ends_a_loop(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["again and "] * 200))
    snapshot = Snapshot.of("x\n", language="markdown")
    await plugin.continue_writing(snapshot, Range(Position(1, 0), Position(1, 0)))
    assert len(plugin.editor.streamed) < 200


async def test_a_model_without_fim_is_told_once(started: Any) -> None:
    plugin = await started(Complete, FakeEngine(texts=["value"], notices=("no-fim-tokens", "unknown")))
    for text in ("x = |\ny\n", "xx = |\ny\n"):
        assert last(await ask(plugin, text)) == "value"
    ((_, told),) = plugin.editor.texts
    assert told.startswith("starter:code knows no fill-in-the-middle")


async def test_every_reason_has_words(started: Any) -> None:
    assert all(text.endswith((".", "false")) or "see [complete]" in text for text in reasons.DETAILS.values())
    with pytest.raises(KeyError):
        reasons.detail("no-such-reason")


def test_the_documentation_lists_every_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "completion.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == reasons.DETAILS
