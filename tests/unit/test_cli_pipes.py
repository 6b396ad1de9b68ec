"""`inkling classify`, `summarize` and `complete` as filters, with a scripted engine."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from inkling.api import Label
from inkling.cli import main
from inkling.engine import client
from inkling.engine.fake import FakeEngine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    fake = FakeEngine(labels={"bad": [Label("hostile", 0.9), Label("kind", 0.1)]}, texts=["return", " a"])
    monkeypatch.setattr(client, "connect", lambda settings: fake)
    monkeypatch.setenv("INKLING_CONFIG", str(tmp_path / "none.toml"))
    return fake


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_each_line_gets_a_label(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"a bad\tline\n\nfine\n")
    assert main(["classify"]) == 0
    assert capsys.readouterr().out == "hostile\t0.900\ta bad line\nneutral\t0.900\tfine\n"
    give(monkeypatch, b"some food here\n")
    assert main(["classify", "--labels", "sports, food", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == {"food": 0.9, "sports": 0.1}


@pytest.mark.parametrize(("command", "table"), [("classify", "classify"), ("complete", "complete"), ("summarize",) * 2])
def test_the_model_is_the_one_of_the_settings_unless_it_is_named(
    command: str,
    table: str,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "none.toml").write_text(f'[{table}]\nmodel = "starter:debt"\nfoo = 1\n')
    monkeypatch.chdir(tmp_path)
    asked = []
    for options in ([], ["--model", "starter:tone"]):
        give(monkeypatch, b"Some words to read.\n")
        assert main([command, *options]) == 0
        arguments = engine.calls[-1].arguments
        asked.append(arguments["request"].model if "request" in arguments else arguments["model"])
    assert asked == ["starter:debt", "starter:tone"]
    assert f'"{table}.foo"' in capsys.readouterr().err


@pytest.mark.parametrize(("name", "text"), [
    ("a.md", "# Title\n\nThe first words.\n\n```\ncode\n```\n"),
    ("a.py", '"""The first words."""\n\nimport os\n\nos.getcwd()\n'),
])  # fmt: skip
def test_what_is_prose_is_summarized(
    name: str, text: str, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert main(["summarize", str(path)]) == 0
    told = capsys.readouterr()
    assert told.out == "The first words.\n" and "short already" in told.err
    (call,) = engine.calls_to("summarize")
    assert call.arguments["text"] == "The first words."


def test_a_completion_streams_after_its_text(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"def f(a):\n    ")
    assert main(["complete", "--echo", "--stop", "\n\n"]) == 0
    assert capsys.readouterr().out == "def f(a):\n    return a\n"
    assert engine.calls_to("generate")[0].arguments["request"].stop == ("\n\n",)


CIRCLES = "path) as file:\n        return file.read()\n" + "import os\n" * 20


@pytest.mark.parametrize(("options", "expected"), [
    ((), "path) as file:\n        return file.read()\n"),
    (("--raw",), CIRCLES + "\n"),
])  # fmt: skip
def test_a_completion_ends_with_its_block_as_in_an_editor(
    options: tuple[str, ...],
    expected: str,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine.texts = CIRCLES.splitlines(keepends=True)  # an import that is there already is no next line
    give(monkeypatch, b"import os\ndef read(path):\n    with open(")
    assert main(["complete", *options]) == 0
    assert capsys.readouterr().out == expected


def test_why_nothing_is_printed_is_told(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.texts = [")))))))"]
    give(monkeypatch, b"def f():\n    ")
    assert main(["complete"]) == 0
    assert "closed a bracket" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "expected"), [
    ((), ""),
    (("--language", "javascript"), "starter:code knows Python alone, so in javascript it guesses"),
    (("--language", "javascript", "--model", "my/model"), ""),
])  # fmt: skip
def test_a_language_that_the_starter_does_not_know_is_told(
    options: tuple[str, ...],
    expected: str,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    give(monkeypatch, b"const a = ")
    assert main(["complete", *options]) == 0
    told = capsys.readouterr()
    assert told.out == "return a\n" and (expected in told.err if expected else told.err == "")


@pytest.mark.parametrize("name", [".env", "a-link"])
@pytest.mark.parametrize("command", [("classify",), ("summarize",), ("complete",), ("ask", "Who?"), ("tokens",)])
def test_secret_files_are_read_only_when_the_user_insists(
    command: tuple[str, ...], name: str, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("API_KEY=abc and some words.\n")
    (tmp_path / "a-link").symlink_to(tmp_path / ".env")
    path = str(tmp_path / name)
    assert main([*command, path]) == 2
    told = capsys.readouterr()
    assert "--secret-files" in told.err and told.out == "" and engine.calls == []
    assert main([*command, path, "--secret-files"]) == 0


def test_the_tokens_of_a_folder_are_those_of_its_text_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a.py": b"x = 1\n", "in/b.md": b"Words.\n", "c.bin": b"\0\1", "d.txt": b"\xff", ".env": b"KEY=a\n"}
    for name, data in files.items():
        path = tmp_path / "sub" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INKLING_CONFIG", str(tmp_path / "none.toml"))
    assert main(["tokens", "sub"]) == 0
    told = capsys.readouterr()
    assert [line.split()[-1] for line in told.out.splitlines()] == ["sub/a.py", "sub/in/b.md", "total"]
    assert told.err == ""


@pytest.mark.parametrize("command", ["classify", "summarize", "tokens"])
def test_a_missing_file_is_status_2(command: str, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "absent.txt"]) == 2
    assert "absent.txt" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "data", "says", "status"), [
    ("classify", b" \n", "nothing to classify", 1),
    ("summarize", b"", "nothing to summarize", 1),
    ("complete", b" \n", "nothing to complete", 1),
    ("classify", b"\xff", "not UTF-8", 2),
    ("classify", b"a\0b", "is no text", 2),
])  # fmt: skip
def test_no_text_is_told(
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    data: bytes,
    says: str,
    status: int,
) -> None:
    give(monkeypatch, data)
    assert main([command]) == status
    assert says in capsys.readouterr().err and engine.calls == []


def test_offsets_are_those_of_the_file_whatever_its_line_ends(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "Café words.\r\n\r\nThe port is 8080 here.\r\n".encode()
    path = tmp_path / "a.md"
    path.write_bytes(b"\xef\xbb\xbf" + data)
    give(monkeypatch, data)
    for name in (str(path), "-"):
        assert main(["ask", "Which port?", name, "--json", "-n", "9"]) == 0
        places = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert places
        for place in places:
            assert data.decode()[place["start"] : place["end"]] == place["text"]
        assert max(place["start"] for place in places) >= data.decode().index("The port")
