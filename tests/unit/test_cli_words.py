"""Texts of others in the terminal: brackets in them are no markup, and what the doctor says of settings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from inkling.cli import bench, doctor, tour
from inkling.cli.tour import Guide, Sample


class SilentSession:
    """A server that shows nothing and says why, with brackets in its words."""

    def change_document(self, uri: str, changes: Any) -> int:
        return 1

    async def request(self, method: str, params: Any, on_partial: Any = None) -> Any:
        if method == "inkling/status":
            reason = {"uri": "file:///a.py", "reason": "low-confidence", "detail": "see [complete] and [/b]."}
            return {"reasons": [reason]}
        if method == "textDocument/codeAction":
            return [{"title": "Insert summary [b]above[/b]"}]
        if method == "codeAction/resolve":
            raise tour.ServerError(method, {"message": "see [summarize] model", "code": -32803})
        return None


@pytest.mark.parametrize(("models", "expected"), [
    ([], "in which PyTorch and the model were loaded, once."),
    ([{"id": "starter:tone", "state": "ready"}], " s."),
])  # fmt: skip
async def test_the_first_squiggles_say_why_they_take_long(models: list[Any], expected: str) -> None:
    class Engine(SilentSession):
        async def request(self, method: str, params: Any, on_partial: Any = None) -> Any:
            return {"engine": {"models": models}} if method == "inkling/status" else {"items": []}

    out = io.StringIO()
    guide = Guide(Console(file=out, width=200), Engine())  # type: ignore[arg-type]
    await guide.diagnostics(Sample("file:///a.md", "a.md", "markdown", "Words.\n"))
    assert out.getvalue().replace("ms", "s").rstrip().endswith(expected)


@pytest.mark.parametrize(("files", "path", "expected"), [
    (("inkling", "activate"), "bin", "inkling"),
    (("inkling", "activate"), "", ". bin/activate && inkling"),
    (("inkling",), "", "{python} -m inkling"),
])  # fmt: skip
def test_the_tours_last_words_are_a_command_that_works(
    files: tuple[str, ...], path: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for name in files:
        (tmp_path / "bin" / name).touch(0o755)
    python = str(tmp_path / "bin" / "python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", python)
    monkeypatch.setenv("PATH", str(tmp_path / path) if path else "")
    assert tour._command() == expected.format(python=python)


async def test_brackets_in_a_reason_are_printed() -> None:
    out = io.StringIO()
    guide = Guide(Console(file=out, width=200, highlight=False), SilentSession())  # type: ignore[arg-type]
    sample = Sample("file:///a.py", "[red]a.py", "python", "x = 1\ny = [i]\n")
    await guide.complete(sample, "y = ")
    await guide.code_action(sample, 0, 1)
    shown = out.getvalue()
    assert "Why: low-confidence: see [complete] and [/b]." in shown
    assert "[red]a.py" in shown and "[b]above[/b]" in shown
    assert "see [summarize] model" in shown and guide.failed


@pytest.mark.parametrize("exists", [True, False])
def test_the_doctor_names_the_users_own_file_always(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine" / "inkling.toml"
    monkeypatch.setenv("INKLING_CONFIG", str(mine))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inkling.toml").write_text("")
    if exists:
        mine.parent.mkdir()
        mine.write_text("")
    found = {finding.name: finding for finding in doctor._settings()}
    assert str(mine) in found["your own"].detail
    assert ("not there" in found["your own"].detail) is not exists
    assert found["this folder's"].detail == str(tmp_path / "inkling.toml")


@pytest.mark.parametrize(("count", "says"), [(1, False), (2, True)])
def test_one_model_is_not_the_best_of_several(count: int, says: bool, capsys: pytest.CaptureFixture[str]) -> None:
    results = [bench.Result(f"m{number}", "int8", shown=1, asked=1, first_ms=[1.0]) for number in range(count)]
    bench._print(results)
    assert ("Best of these" in capsys.readouterr().out) is says
