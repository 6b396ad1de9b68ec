"""Completion lists, hints, colours, symbols, and what a plugin may ask of the editor beyond edits."""

from __future__ import annotations

import stat
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lsp.editor import CAPABILITIES, QUIET, session_with
from tests.unit.test_lsp_surfaces import TEXT, URI, span

from inkling.api import Range, SemanticToken, Snapshot
from inkling.lsp.client import Client
from inkling.lsp.token_numbers import numbers
from inkling.text.encoding import Encoding, encode_range
from inkling.text.walk import Skipped, walk

DOCUMENT = {"textDocument": {"uri": URI}}
TOKEN, MARK, BITS = 26, 25, 0b1100


def with_settings(way: str) -> dict[str, Any]:
    return QUIET | {"places": {"way": way}}


def capabilities(**text_document: Any) -> dict[str, Any]:
    return CAPABILITIES | {"textDocument": CAPABILITIES["textDocument"] | text_document}


async def run(editor: Any, command: str, **arguments: Any) -> Any:
    return await editor.ask("workspace/executeCommand", {"command": f"inkling.{command}", "arguments": [arguments]})


async def test_offer() -> None:
    async with session_with("places=Places") as (editor, _):
        offered = (await editor.initialize())["capabilities"]
        assert offered["completionProvider"] == {"triggerCharacters": ["@"], "resolveProvider": False}
        assert offered["inlayHintProvider"] == {"resolveProvider": False}
        assert offered["workspaceSymbolProvider"] is True
        colours = offered["semanticTokensProvider"]
        assert (colours["full"], colours["range"], colours["legend"]["tokenTypes"][TOKEN]) == (True, True, "token")


async def test_completion_list_keeps_the_order_of_ranks_and_replaces_what_it_says() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        found = await editor.ask("textDocument/completion", editor.at(URI, 4))
        assert found["isIncomplete"] is False
        better, third = found["items"]
        assert better["textEdit"] == {"range": span(0, 2, 5), "newText": "better"}
        assert better["filterText"] == "bad", "a client must not leave it out for not beginning with what is typed"
        assert better["detail"] == "instead" and better["documentation"]["value"] == "*Better* than before."
        assert third["textEdit"]["range"] == span(0, 2, 4), "what is written of the word so far"
        assert better["sortText"] < third["sortText"]


async def test_completion_is_asked_of_those_that_the_character_triggers() -> None:
    async with session_with("places=Places", "words=Words") as (editor, session):
        await editor.initialize(initializationOptions=with_settings("later"))
        editor.open(URI, TEXT)
        typed = {"triggerKind": 2, "triggerCharacter": "@"}
        found = await editor.ask("textDocument/completion", editor.at(URI, 4, context=typed))
        assert found["isIncomplete"] is True and len(found["items"]) == 2
        typed["triggerCharacter"] = "."
        found = await editor.ask("textDocument/completion", editor.at(URI, 4, context=typed))
        assert found == {"isIncomplete": False, "items": []}
        assert session.reasons.of(URI, "completion")[-1].reason == "no-plugin"


@pytest.mark.parametrize(
    ("way", "method", "empty"),
    [
        ("range", "textDocument/completion", {"isIncomplete": False, "items": []}),
        ("colour", "textDocument/semanticTokens/full", {"data": []}),
        ("kind", "workspace/symbol", []),
    ],
)
async def test_a_wrong_result_costs_itself_alone(way: str, method: str, empty: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("bad")
    async with session_with("places=Places") as (editor, session):
        await editor.initialize(initializationOptions=with_settings(way), rootUri=tmp_path.as_uri())
        editor.open(URI, TEXT)
        params = {"query": "bad"} if way == "kind" else editor.at(URI, 4)
        assert await editor.ask(method, params) == empty
        assert session.reasons.of()[-1].reason == "wrong-type"


async def test_a_closed_or_hidden_document_has_none_of_them() -> None:
    async with session_with("places=Places") as (editor, session):
        await editor.initialize()
        secret = "file:///home/.env"
        editor.open(secret, "A=1")
        at = {"textDocument": {"uri": secret}}
        assert await editor.ask("textDocument/completion", editor.at(secret, 1)) == {"isIncomplete": False, "items": []}
        assert await editor.ask("textDocument/inlayHint", at | {"range": span(0, 0, 3)}) == []
        assert await editor.ask("textDocument/semanticTokens/full", at) is None
        assert await editor.ask("textDocument/semanticTokens/range", at | {"range": span(0, 0, 3)}) is None
        assert {reason.reason for reason in session.reasons.of(secret)} == {"excluded"}


async def test_a_document_that_is_too_large_has_none_of_them() -> None:
    async with session_with("places=Places") as (editor, session):
        options = {"server": {"start_engine": False, "max_document_size": 1000}}
        await editor.initialize(initializationOptions=options)
        editor.open(URI, "word " * 1000)
        await editor.ask("textDocument/completion", editor.at(URI, 1))
        await editor.ask("textDocument/inlayHint", DOCUMENT | {"range": span(0, 0, 3)})
        await editor.ask("textDocument/semanticTokens/full", DOCUMENT)
        found = {(reason.surface, reason.reason) for reason in session.reasons.of(URI)}
        assert found == {(kind, "too-large") for kind in ("completion", "inlay_hints", "semantic_tokens")}


async def test_hints_are_those_that_the_user_looks_at_and_move_with_the_text() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        asked = editor.request(
            "textDocument/inlayHint",
            DOCUMENT | {"range": {"start": span(0, 0, 0)["start"], "end": span(1, 0, 10)["end"]}},
        )
        editor.edit(URI, 0, 0, "new\n")
        first, _ = await editor.result(asked)
        assert first["position"] == {"line": 1, "character": 9}
        assert first["label"] == "#0" and first["tooltip"]["value"] == "A *line*" and first["paddingLeft"] is True


@pytest.mark.parametrize(("encoding", "second", "third"), [("utf-8", 4, 9), ("utf-16", 3, 7), ("utf-32", 3, 6)])
async def test_colours_in_the_units_of_the_client(encoding: str, second: int, third: int) -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize(capabilities=capabilities() | {"general": {"positionEncodings": [encoding]}})
        editor.open(URI, "a bad\nfür 😀 bad")
        found = await editor.ask("textDocument/semanticTokens/full", DOCUMENT)
        rows = [found["data"][start : start + 5] for start in range(0, len(found["data"]), 5)]
        assert rows == [
            [0, 0, 1, TOKEN, BITS],
            [0, 2, 3, TOKEN, BITS],
            [1, 0, second, TOKEN, BITS],
            [0, third + (encoding == "utf-8"), 3, TOKEN, BITS],
        ]


async def test_colours_of_a_range_are_those_that_meet_it() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        found = await editor.ask("textDocument/semanticTokens/range", DOCUMENT | {"range": span(2, 0, 3)})
        assert found["data"] == [2, 0, 3, TOKEN, BITS]


@pytest.mark.parametrize(
    ("crossing", "expected"),
    [
        (False, [0, 0, 4, MARK, 0, 1, 0, 2, MARK, 0, 2, 0, 2, MARK, 0]),
        (True, [0, 0, 11, MARK, 0]),
    ],
)
async def test_a_colour_that_crosses_lines(crossing: bool, expected: list[int]) -> None:
    async with session_with("places=Places") as (editor, _):
        knows = capabilities(semanticTokens={"multilineTokenSupport": crossing})
        await editor.initialize(capabilities=knows, initializationOptions=with_settings("everything"))
        editor.open(URI, "one \n😀\n\nso")
        found = await editor.ask("textDocument/semanticTokens/full", DOCUMENT)
        assert found["data"] == expected


pieces_of_text = st.lists(st.sampled_from(["a", "é", "😀", "\n", "\r\n", "\r", " ", "bc"]), max_size=25).map("".join)


@given(pieces_of_text, st.lists(st.integers(0, 40), max_size=8), st.sampled_from(list(Encoding)))
def test_numbers_as_one_would_count_them(text: str, cuts: list[int], unit: Encoding) -> None:
    snapshot = Snapshot.of(text)
    places = sorted(min(cut, len(text)) for cut in cuts)
    tokens = [SemanticToken(snapshot.range(start, end), "token") for start, end in pairwise(places)]
    expected: list[int] = []
    line = column = 0
    for token in tokens:
        for here in range(token.range.start.line, token.range.end.line + 1):
            whole = snapshot.line_range(here)
            part = Range(max(token.range.start, whole.start), min(token.range.end, whole.end))
            if part.start < part.end:
                (_, first), (_, last) = encode_range(snapshot, part, unit)
                expected += [here - line, first - column if here == line else first, last - first, TOKEN, 0]
                line, column = here, first
    assert numbers(snapshot, tokens[::-1], unit, Client()) == expected


async def test_overlapping_colours_give_way_unless_the_client_takes_them() -> None:
    for takes, data in (
        (False, [0, 0, 7, MARK, 0]),
        (True, [0, 0, 7, MARK, 0, 0, 0, 3, TOKEN, BITS, 0, 4, 3, TOKEN, BITS]),
    ):
        async with session_with("places=Places") as (editor, _):
            knows = capabilities(semanticTokens={"overlappingTokenSupport": takes})
            await editor.initialize(capabilities=knows, initializationOptions=with_settings("both"))
            editor.open(URI, "one two")
            assert (await editor.ask("textDocument/semanticTokens/full", DOCUMENT))["data"] == data


async def test_outrun_colours_are_given_up() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        asked = editor.request("textDocument/semanticTokens/full", DOCUMENT)
        editor.edit(URI, 0, 0, "x")
        assert (await editor.reply(asked))["error"]["code"] == -32801


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workspace with what a walk meets."""
    folder = tmp_path / "project"
    files = {
        ".gitignore": "*.log\n/build/\n!keep.log\n",
        "a.py": "für 😀 needle",
        "old.log": "needle",
        "keep.log": "kept",
        "build/x.py": "needle",
        "deep/.gitignore": "*.txt\n!b.txt\n",
        "deep/a.txt": "needle",
        "deep/b.txt": "b",
        "deep/build/y.md": "y",
        ".env": "needle",
        ".git/config": "needle",
        ".git/info/exclude": "private\n",
        "private": "needle",
        "open.md": "as on the disk",
        "large.txt": "x" * 5001,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\0\1\2")
    (folder / "latin.txt").write_bytes("für".encode("latin-1"))
    (folder / "loop").symlink_to(folder)
    return folder


async def test_files_are_those_that_git_would_keep(project: Path) -> None:
    async with session_with("places=Places") as (editor, _):
        options = {"server": {"start_engine": False, "max_document_size": 5000}}
        await editor.initialize(rootUri=project.as_uri(), initializationOptions=options)
        editor.open((project / "open.md").as_uri(), "as in the editor", "mark")
        found = (await run(editor, "files")).replace(project.as_uri() + "/", "").splitlines()
        assert found == [
            ".gitignore plaintext 24",
            "a.py python 12",
            "deep/.gitignore plaintext 13",
            "deep/b.txt plaintext 1",
            "deep/build/y.md markdown 1",
            "keep.log plaintext 4",
            "large.txt too-large",
            "latin.txt not-utf-8",
            "open.md mark 16",
            "picture.png binary",
        ]


def test_a_folder_inside_a_repository_follows_the_rules_above_it(project: Path) -> None:
    (project / ".gitignore").write_text("y.md\n")
    found = list(walk([project / "deep", project / "deep" / "build"], lambda uri: False, 100))
    assert [item.uri.rpartition("/")[2] for item in found] == [".gitignore", "b.txt"]


def test_what_cannot_be_read_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    file = tmp_path / "closed.txt"
    with file.open("wb") as sparse:
        sparse.truncate(200_000_000)  # no byte of it is read
    (found,) = walk([tmp_path], lambda uri: False, 20_000_000)
    assert isinstance(found, Skipped) and found.reason == "too-large" and "20,000,000" in found.detail


async def test_symbols_have_the_columns_of_files_that_are_not_open(project: Path) -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize(rootUri=project.as_uri())
        (found,) = await editor.ask("workspace/symbol", {"query": "needle"})
        assert found["location"] == {"uri": (project / "a.py").as_uri(), "range": span(0, 7, 13)}
        assert (found["name"], found["kind"], found["containerName"]) == ("needle", 12, "here")


async def test_diagnostic_tags_and_related_places() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize(capabilities=capabilities(diagnostic={"relatedInformation": True}))
        editor.open(URI, TEXT.rstrip())
        first = await editor.ask("textDocument/diagnostic", DOCUMENT)
        editor.edit(URI, 10, 10, "\n")
        again = await editor.ask("textDocument/diagnostic", DOCUMENT)
        for report, line in ((first, 2), (again, 3)):
            (item,) = report["items"]
            assert item["tags"] == [1]
            place = {"location": {"uri": URI, "range": span(line, 0, 3)}, "message": "see there"}
            assert item["relatedInformation"] == [place]


async def test_open_shows_the_document_or_says_where_to_look() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        editor.open(URI, TEXT)
        await run(editor, "go", uri=URI, range=span(1, 7, 10))
        (shown,) = [request["params"] for request in editor.requests if request["method"] == "window/showDocument"]
        assert shown == {"uri": URI, "takeFocus": True, "selection": span(1, 7, 10)}
        editor.answers["window/showDocument"] = lambda message: {"success": False}
        await run(editor, "go", uri=URI, range=span(1, 7, 10))
        assert editor.messages[-1].endswith("a.txt:2")


async def test_choose() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        for answer, expected in (({"title": "two"}, "two"), (None, "None"), ({"title": "three"}, "None")):
            editor.answers["window/showMessageRequest"] = lambda message, answer=answer: answer
            assert await run(editor, "choose") == expected


async def test_refresh_is_asked_once_for_each_surface_wanted() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize()
        for surface in ("inlay_hints", "semantic_tokens", "inlay_hints"):
            await run(editor, "again", surface=surface)
        methods = {"workspace/inlayHint/refresh", "workspace/semanticTokens/refresh"}
        await editor.until(lambda: methods <= {request["method"] for request in editor.requests})
        asked = [request["method"] for request in editor.requests if request["method"].endswith("/refresh")]
        assert sorted(asked) == sorted(methods)


async def test_cache_folder_is_private_and_per_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders = []
    for name in ("one", "two", "one"):
        async with session_with("places=Places") as (editor, _):
            await editor.initialize(rootUri=(tmp_path / name).as_uri())
            folders.append(Path(await run(editor, "keep")))
    assert folders[0] == folders[2] != folders[1]
    assert stat.S_IMODE(folders[0].stat().st_mode) == 0o700 and folders[0].name == "places"


async def test_a_longer_text_is_a_document_of_ours_where_the_client_knows_such() -> None:
    knows = CAPABILITIES | {"workspace": CAPABILITIES["workspace"] | {"textDocumentContent": {}}}
    async with session_with("places=Places") as (editor, _):
        offered = (await editor.initialize(capabilities=knows))["capabilities"]
        assert offered["workspace"]["textDocumentContent"] == {"schemes": ["inkling-text"]}
        await run(editor, "show_twice")
        asked = [(r["method"], r["params"]["uri"]) for r in editor.requests if "uri" in (r["params"] or {})]
        uri = "inkling-text:/A-title.txt"
        assert asked == [
            ("window/showDocument", uri),
            ("workspace/textDocumentContent/refresh", uri),
            ("window/showDocument", uri),
        ]
        assert await editor.ask("workspace/textDocumentContent", {"uri": uri}) == {"text": "two"}
        assert "no longer" in (await editor.ask("workspace/textDocumentContent", {"uri": uri + "x"}))["text"]


async def test_a_text_that_is_written_is_shown_as_it_grows() -> None:
    knows = CAPABILITIES | {"workspace": CAPABILITIES["workspace"] | {"textDocumentContent": {}}}
    async with session_with("places=Places") as (editor, _):
        await editor.initialize(capabilities=knows)
        await run(editor, "show_growing")
        asked = [r["method"] for r in editor.requests if "uri" in (r["params"] or {})]
        assert asked == ["window/showDocument", "workspace/textDocumentContent/refresh"], "it takes the focus once"
        grown = await editor.ask("workspace/textDocumentContent", {"uri": "inkling-text:/Grown.txt"})
        assert grown == {"text": "one two"}


async def test_a_text_that_is_written_is_shown_as_a_whole_where_it_cannot_grow() -> None:
    async with session_with("places=Places") as (editor, _):
        await editor.initialize(capabilities=CAPABILITIES)
        await run(editor, "show_growing")
        asked = [r["params"]["uri"] for r in editor.requests if r["method"] == "window/showDocument"]
        assert len(asked) == 1 and Path(url2pathname(urlsplit(asked[0]).path)).read_text() == "one two"
