"""Settings that arrive and change while a session lives: layers, trust, problems told once."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.lsp.editor import CAPABILITIES, QUIET, Editor, session_with

from inkling.lsp.configuration import Configuration
from inkling.lsp.session import Session

URI = "file:///home/a.txt"


@pytest.fixture(autouse=True)
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path, None, None]:
    path = tmp_path / "user.toml"
    monkeypatch.setenv("INKLING_CONFIG", str(path))
    yield path


def bad_word(session: Session) -> str:
    plugin = session.host.entries[0].plugin
    assert plugin is not None
    return str(plugin.settings.bad)


async def test_layers(tmp_path: Path, user_file: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    user_file.write_text('[words]\nbad = "user"\npause = 0.25\n')
    (root / "inkling.toml").write_text('[words]\nbad = "workspace"\n')
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(root)
        await editor.until(lambda: bad_word(session) == "workspace")
        assert session.host.entries[0].plugin.settings.pause == 0.25
        editor.settings = QUIET | {"words": {"bad": "client"}}
        editor.notify("workspace/didChangeConfiguration", {"settings": None})
        await editor.until(lambda: bad_word(session) == "client")
        assert editor.messages == []


async def test_a_file_that_changes(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(root)
        await editor.until(lambda: [r for r in editor.requests if r["method"] == "client/registerCapability"])
        path = root / "inkling.toml"
        path.write_text('[words]\nbad = "ugly"\n')
        editor.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 1}]})
        await editor.until(lambda: bad_word(session) == "ugly")
        await editor.until(lambda: [r for r in editor.requests if r["method"] == "workspace/diagnostic/refresh"])
        path.write_text('[words]\nbad = "worse"\n')
        editor.notify("textDocument/didSave", {"textDocument": {"uri": path.as_uri()}})
        await editor.until(lambda: bad_word(session) == "worse")
        path.unlink()
        editor.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 3}]})
        await editor.until(lambda: bad_word(session) == "bad")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"words": {"bda": "x"}}, 'There is no setting "words.bda". Did you mean "bad"?'),
        ({"wrods": {}}, 'There is no setting "wrods". Did you mean "words"?'),
        ({"words": {"pause": "long"}}, '"words.pause" must be a number, not "long".'),
        ({"server": {"timeouts": {"hover": -1}, "start_engine": False}}, '"server.timeouts.hover" must be'),
        ({"words": 5}, '"words" must be a table.'),
    ],
)
async def test_22_a_bad_setting_is_named_once(options: dict[str, Any], words: str) -> None:
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=QUIET | options)
        await editor.until(lambda: editor.messages)
        for _ in range(3):
            await session.reload_settings()
        assert [words in message for message in editor.messages] == [True]
        assert bad_word(session) == "bad"
        editor.open(URI, "some words")
        assert await editor.ask("textDocument/hover", editor.at(URI))


@pytest.mark.parametrize("options", [None, [], "text", {"server": None}, {"": {"": ""}}, {"words": {"bad": None}}])
async def test_odd_initialization_options(options: Any) -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize(initializationOptions=options)
        editor.open(URI, "some words")
        assert await editor.ask("textDocument/hover", editor.at(URI))


async def test_23_trust_that_is_granted_later(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "inkling.toml").write_text('[server]\nenabled_plugins = ["none"]\n[words]\nbad = "w"\n')
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(root)
        await editor.until(lambda: any("restricted" in message for message in editor.messages))
        assert session.host.entries[0].ready and bad_word(session) == "w"
        editor.notify("inkling/trustChanged", {"trusted": True})
        await editor.until(lambda: not session.host.entries[0].ready)
        editor.notify("inkling/trustChanged", {"trusted": False})
        await editor.until(lambda: session.host.entries[0].ready)


async def test_no_setting_grants_trust(tmp_path: Path) -> None:
    """A reply and a change can come out of the workspace's own editor settings; the options are the editor's word."""
    sly = QUIET | {"workspaceTrusted": True, "words": {"bad": "sly"}}
    async with session_with("words=Words") as (editor, session):
        editor.settings = sly
        await editor.initialize(tmp_path)
        await editor.until(lambda: bad_word(session) == "sly")
        assert session.configuration.trusted is False
        pushed = sly | {"words": {"bad": "pushed"}}
        editor.notify("workspace/didChangeConfiguration", {"settings": {"inkling": pushed}})
        await editor.until(lambda: bad_word(session) == "pushed")
        assert session.configuration.trusted is False
        assert editor.messages == []


async def test_trust_that_was_granted_survives_a_change_of_settings(tmp_path: Path) -> None:
    async with session_with("words=Words") as (editor, session):
        editor.settings = QUIET | {"words": {"bad": "later"}}
        await editor.initialize(tmp_path, initializationOptions=QUIET | {"workspaceTrusted": True})
        await editor.until(lambda: bad_word(session) == "later")
        assert session.configuration.trusted is True


async def test_a_plugin_that_is_switched_off_is_not_imported_until_it_is_switched_on(user_file: Path) -> None:
    user_file.write_text('[server]\ndisabled_plugins = ["words"]\nstart_engine = false\n')
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(initializationOptions=None)
        entry = session.host.entries[0]
        assert (entry.plugin, entry.reason) == (None, "disabled")
        assert editor.messages == []
        user_file.write_text("[server]\nstart_engine = false\n")
        await session.reload_settings()
        assert entry.ready and entry.plugin is not None


async def test_no_plugin_can_be_loaded_by_a_workspace(tmp_path: Path, user_file: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    user_file.write_text('[server]\nenabled_plugins = ["other"]\nstart_engine = false\n')
    (root / "inkling.toml").write_text('[server]\nenabled_plugins = ["*"]\n')
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(root, initializationOptions=None)
        await editor.until(lambda: any("restricted" in message for message in editor.messages))
        assert session.host.entries[0].plugin is None


async def test_a_plugin_writes_a_setting(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(root)
        command = {"command": "inkling.forbid", "arguments": [{"word": "ugly"}]}
        await editor.ask("workspace/executeCommand", command)
        assert bad_word(session) == "ugly"
        assert (root / "inkling.toml").read_text() == '[words]\nbad = "ugly"\n'


async def test_a_setting_without_a_workspace() -> None:
    async with session_with("words=Words") as (editor, _):
        await editor.initialize()
        command = {"command": "inkling.forbid", "arguments": [{"word": "ugly"}]}
        reply = await editor.reply(editor.request("workspace/executeCommand", command))
        assert reply["error"]["data"] == {"reason": "no-workspace"}


async def test_folders_that_come_and_go(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two words é"
    for root in (one, two):
        root.mkdir()
        (root / "inkling.toml").write_text(f'[words]\nbad = "{root.name[:3]}"\n')
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(one)
        await editor.until(lambda: bad_word(session) == "one")
        event = {
            "added": [{"uri": two.as_uri(), "name": "two"}],
            "removed": [{"uri": one.as_uri(), "name": "one"}],
        }
        editor.notify("workspace/didChangeWorkspaceFolders", {"event": event})
        await editor.until(lambda: bad_word(session) == "two")


def test_the_same_words_from_another_folder_are_a_change(tmp_path: Path) -> None:
    """A model's relative folder is another one there."""
    configuration = Configuration()
    configuration.set_client({"classify": {"model": "./mine"}})
    generations = []
    for name in ("one", "one", "two"):
        configuration.roots = [tmp_path / name]
        configuration.read_user_file()
        generations.append(configuration.generation)
    assert generations[0] == generations[1] < generations[2]


@pytest.mark.parametrize(
    ("patterns", "path", "hidden"),
    [
        (["private/*.md"], "private/a.md", True),
        (["private/*.md"], "deep/private/a.md", False),
        (["/build"], "build/a.md", True),
        (["/build/"], "build/deep/a.md", True),
        (["/build"], "src/build/a.md", False),
        (["build/"], "src/build/a.md", True),
        (["*.md", "!docs/a.md"], "docs/a.md", False),
        (["*.md", "!docs/a.md"], "a.md", True),
        (["**/b/*.md"], "a/b/c.md", True),
        (["#a/b"], "a/b", False),
    ],
)
async def test_exclude_speaks_of_paths_in_the_folder(
    tmp_path: Path, user_file: Path, patterns: list[str], path: str, hidden: bool
) -> None:
    root = tmp_path / "my [pro ject] é!"
    root.mkdir()
    user_file.write_text(f"[server]\nstart_engine = false\nexclude = {patterns}\n")
    async with session_with("words=Words") as (editor, session):
        await editor.initialize(root, initializationOptions=None)
        await session.reload_settings()
        assert session.excluded((root / path).as_uri()) is hidden


async def show(editor: Editor, **window: Any) -> None:
    await editor.initialize(capabilities=CAPABILITIES | {"window": window})
    await editor.ask("workspace/executeCommand", {"command": "inkling.show"})


async def test_long_text_goes_into_a_file_of_its_own_that_ends_with_the_session() -> None:
    async with session_with("words=Words") as (editor, _):
        await show(editor, showDocument={"support": True})
        shown = next(request["params"] for request in editor.requests if request["method"] == "window/showDocument")
        path = Path(shown["uri"].removeprefix("file://"))
        assert (path.read_text(), path.name, path.stat().st_mode & 0o777) == ("some text", "A-title.md", 0o600)
    assert not path.parent.exists()


async def test_long_text_for_an_editor_that_shows_no_documents() -> None:
    async with session_with("words=Words") as (editor, _):
        await show(editor)
        assert editor.messages == ["A title\n\nsome text"]
