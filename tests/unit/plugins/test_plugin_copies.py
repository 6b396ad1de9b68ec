"""Copies from workspace files that are not open: what is found, what is never read, and how much is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.api import GhostText, Snapshot
from inkling.engine.fake import FakeEngine
from inkling_plugins.complete import Complete
from inkling_plugins.completion.copy_source import find_copy
from inkling_plugins.completion.line_index import FileLines, LineIndex
from inkling_plugins.completion.workspace_lines import WorkspaceLines

BODY = """def connect(address, timeout):
    connection = open_connection(address, timeout=timeout)
    connection.set_option("keep-alive", True)
    return connection
"""
CURSOR = "def other(address, timeout):\n    connection = open_connection(address, timeout=timeout)\n    connection.set_"
LEFT = 'option("keep-alive", True)'


def copied(before: str, *files: FileLines, without: tuple[str, ...] = ()) -> str:
    found = find_copy(before, [], indexed=LineIndex(files).places(before, without))
    return "" if found is None else found.text


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("    connection = open_connection(address, timeout=timeout)\n    connection.set_", LEFT),
        ("    connection = open_connection(address, timeout=timeout)\n", "    connection.set_" + LEFT),
        ("    connection.set_opt", LEFT.removeprefix("opt")),  # by the line itself
        ("timeout=timeout)\n    connection.", ""),  # neither the whole line above nor twelve characters of this one
        ('    connection.set_option("keep-alive", True)\n    return conn', "ection"),
        ('    connection.set_option("keep-alive", True)\n\n    return conn', ""),  # no blank line there
        ("set_opt", ""),
        ("", ""),
    ],
)
def test_a_place_is_found_by_the_line_above_and_by_its_own_beginning(before: str, expected: str) -> None:
    assert copied(before, FileLines("file:///a.py", BODY)) == expected


def test_a_short_line_counts_together_with_the_one_above_it() -> None:
    text = "for name in names:\n    try:\n        load(name)\nfor other in others:\n    try:\n        save(other)\n"
    assert copied("for other in others:\n    try:\n", FileLines("a", text)) == "        save(other)"


def test_an_open_file_is_left_out() -> None:
    files = FileLines("file:///a.py", BODY), FileLines("file:///b.py", BODY.replace("True", "False"))
    before = "    connection = open_connection(address, timeout=timeout)\n    connection.set_"
    assert copied(before, *files) == LEFT
    assert copied(before, *files, without=("file:///a.py",)) == LEFT.replace("True", "False")


@given(st.lists(st.text("ab \n\r\t", max_size=60), max_size=3), st.text("ab \n", max_size=40))
def test_every_place_is_one_that_a_scan_finds(texts: list[str], before: str) -> None:
    for text, end in LineIndex([FileLines(str(n), text) for n, text in enumerate(texts)]).places(before):
        assert text in texts and 0 <= end <= len(text)
        typed = before.rpartition("\n")[2].lstrip()
        assert text[:end].endswith(typed)


async def read(editor: Any, snapshot: Snapshot, most: int = 1 << 20, unwanted: Any = lambda _: False) -> LineIndex:
    lines = WorkspaceLines(editor)
    lines.refresh(snapshot, most, unwanted)
    await lines.settled()
    return lines.index


async def test_the_bound_keeps_the_same_language_then_the_near_then_the_new(started: Any, tmp_path: Path) -> None:
    plugin = await started(Complete)
    editor = plugin.editor
    editor.folders = (tmp_path,)

    def file(name: str, language: str = "python") -> Snapshot:
        return Snapshot.of(BODY.replace("True", f'"{name}"'), uri=(tmp_path / name).as_uri(), language=language)

    editor.written = [file("far/a.py"), file("near/b.txt", "plaintext"), file("near/c.py"), file("far/d.py")]
    here = Snapshot.of("", uri=(tmp_path / "near" / "x.py").as_uri(), language="python")
    one = FileLines("", editor.written[0].text).bytes
    assert len(await read(editor, here)) == 4
    assert len(await read(editor, here, 3 * one + 9)) == 3
    index = await read(editor, here, one + 9)
    assert len(index) == 1
    assert "near/c.py" in next(index.places("    connection.set_option("))[0]
    for name in ("far/a.py", "far/d.py"):
        (tmp_path / "far").mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for old, new in (("far/a.py", "far/d.py"), ("far/d.py", "far/a.py")):
        os.utime(tmp_path / old, (1_000, 1_000))
        os.utime(tmp_path / new, (2_000, 2_000))
        index = await read(editor, here, 2 * one + 9)
        assert {uri for uri, _ in index._texts} == {(tmp_path / name).as_uri() for name in ("near/c.py", new)}
    assert len(await read(editor, here, 1 << 20, lambda uri: uri.endswith("c.py"))) == 3


async def test_it_is_read_once_and_again_when_old(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = await started(Complete)
    plugin.editor.folders = (tmp_path,)
    plugin.editor.written = [Snapshot.of(BODY, uri="file:///a.py", language="python")]
    lines, here = WorkspaceLines(plugin.editor), Snapshot.of("", language="python")
    for _ in range(3):
        lines.refresh(here, 1 << 20, lambda _: False)
        await lines.settled()
    first = lines.index
    assert plugin.editor.walks == 1
    monkeypatch.setattr(lines, "_stale_at", 0.0)
    lines.refresh(here, 1 << 20, lambda _: False)
    await lines.settled()
    assert plugin.editor.walks == 2
    assert lines.index is first  # nothing had changed
    lines.refresh(here, 0, lambda _: False)
    assert len(lines.index) == 0


async def test_a_closed_file_of_the_workspace_is_suggested_without_a_model(started: Any, tmp_path: Path) -> None:
    plugin = await started(Complete, FakeEngine(texts=["from the model"]))
    plugin.editor.folders = (tmp_path,)
    plugin.editor.written = [Snapshot.of(BODY, uri=(tmp_path / "a.py").as_uri(), language="python")]
    here = Snapshot.of(CURSOR, uri=(tmp_path / "b.py").as_uri(), language="python")
    plugin._workspace.refresh(here, 1 << 20, lambda _: False)
    await plugin._workspace.settled()
    items = [item async for item in plugin.suggest(here, here.position(len(CURSOR)), True)]
    assert isinstance(items[-1], GhostText) and items[-1].text == LEFT
    assert not plugin.engine.calls
