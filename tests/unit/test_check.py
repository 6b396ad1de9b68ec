"""`inkling check` and `inkling rules` on a folder, with a scripted engine."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from inkling.api import Entity, InklingError, Label, Snapshot
from inkling.check import session as checking
from inkling.check.files import find_root
from inkling.check.session import Session
from inkling.cli import check as cli
from inkling.cli import main
from inkling.cli import rules as rules_cli
from inkling.engine.fake import FakeEngine
from inkling.engine.protocol import EngineStatus, ModelState
from inkling.settings import load_for
from inkling_plugins.rules.plugin import Rules

RULES = """
[[rule]]
name = "tone"
labels = { hostile = "warning" }
href = "https://example.org/tone"

[[rule]]
name = "leak"
task = "token-classification"
on = ["file"]
severity = "error"
message = "{label}: 100%, sure"
"""


def mail(text: str) -> Sequence[Entity]:
    start = text.find("a@b.c")
    return [Entity("email", 0.95, start, start + 5)] if start >= 0 else []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("INKLING_CONFIG", str(tmp_path / "user.toml"))
    root = tmp_path / "work"
    (root / "docs").mkdir(parents=True)
    (root / ".gitignore").write_text("build/\n")
    (root / "build").mkdir()
    (root / "build" / "out.md").write_text("A stupid plan here.\n")
    (root / "inkling.toml").write_text(RULES)
    (root / "docs" / "é.md").write_text("Fine words are here.\n\nA stupid plan here.\n", encoding="utf-8")
    (root / "a.py").write_bytes(b"\xef\xbb\xbfmail = 'a@b.c'\r\n# ask a@b.c, not the stupid man\r\n")
    monkeypatch.chdir(root)
    return root


class Run:
    def __init__(self, status: int, out: str, err: str, engine: FakeEngine) -> None:
        self.status, self.out, self.err, self.engine = status, out, err, engine


async def check(capsys: pytest.CaptureFixture[str], *arguments: str, delay_s: float = 0.0, **faults: Exception) -> Run:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(dest="command"))
    args = parser.parse_args(["check", *arguments])
    engine = FakeEngine(
        labels=lambda text: [Label("hostile", 0.9), Label("kind", 0.1)][:: 1 if "stupid" in text else -1],
        entities=mail,
        delay_s=delay_s,
        faults=dict(faults),
    )
    try:
        status = await cli.check(args, lambda settings: engine)
    except InklingError as error:
        status, message = 2, str(error)
        print(message, file=sys.stderr)
    out, err = capsys.readouterr()
    return Run(status, out, err, engine)


async def test_text_and_statuses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = await check(capsys)
    assert done.out.splitlines() == [
        "a.py:1:9: error: email: 100%, sure [leak/email]",
        "a.py:2:3: warning: Reads as hostile (90%) [tone/hostile]",
        "docs/é.md:3:1: warning: Reads as hostile (90%) [tone/hostile]",
        "1 error, 2 warnings in 4 files.",
    ]
    assert (done.status, done.err) == (1, "")
    assert (await check(capsys, "docs", "--fail-on", "error")).status == 0
    assert (await check(capsys, "--fail-on", "never")).status == 0
    assert (await check(capsys, "--exclude", "docs/", "--exclude", "*.py")).out == "Nothing found in 2 files.\n"
    named = await check(capsys, "build/out.md")
    assert named.out.startswith("build/out.md:1:1: warning")


async def test_no_sentence_is_marked_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "inkling.toml").write_text(RULES + '\n[classify]\nseverity = "warning"\n')
    done = await check(capsys)
    assert done.out.count("Reads as hostile") == done.out.count("tone/hostile") == 2 and done.err == ""
    alone = await check(capsys, "--plugin", "classify")
    assert "tone/hostile" not in alone.out and "Reads as hostile" in alone.out


async def test_what_cannot_be_checked_is_status_2_with_its_reason(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = await check(capsys, classify=InklingError("wrong-task", "It cannot do that.", "Choose another."))
    assert (wrong.status, wrong.err) == (
        2,
        f"inkling check: rules: tone ({folder / 'inkling.toml'}:2): It cannot do that. Choose another.\n",
    )
    table = await check(capsys, "--plugin", "classify", classify=InklingError("wrong-task", "It cannot do that."))
    assert table.err == "inkling check: classify: It cannot do that.\n"
    assert "leak/email" in wrong.out  # the other rule's findings are there
    assert wrong.out.endswith("1 error in 4 files: 1 problem above, so not all could be checked.\n")
    alone = await check(capsys, "docs", classify=InklingError("wrong-task", "It cannot do that."))
    assert alone.out == "Nothing else found in 1 file: 1 problem above, so not all could be checked.\n"
    missing = await check(capsys, "nowhere")
    assert (missing.status, "nowhere is not there" in missing.err) == (2, True)
    (folder / "inkling.toml").write_text(RULES + '\n[[rule]]\nname = "bad"\ntaks = 1\n')
    bad = await check(capsys)
    assert bad.status == 2 and 'inkling.toml:16: There is no setting "rule[bad].taks". Did you mean "task"?' in bad.err
    assert "tone/hostile" in bad.out
    (folder / "inkling.toml").unlink()
    nothing = await check(capsys)
    assert nothing.status == 2 and f"No rule and no plugin is set up for {folder}." in nothing.err
    assert (await check(capsys, "--plugin", "classify")).out.startswith("a.py:2:3: warning: Reads as hostile")


async def test_a_wait_for_a_model_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Waiting:
        asked = 0
        engine: Any

        async def status(self) -> EngineStatus:
            self.asked += 1
            if self.asked == 1:
                raise InklingError("engine-down", "It does not run.")
            return EngineStatus("1", 1, "cpu", (ModelState("starter:tone", "text-classification", "loading", 0.1),))

    waiting = Waiting()
    waiting.engine = waiting
    monkeypatch.setattr(cli, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(cli, "_SOON_S", 0.001)
    async with cli._telling(waiting):  # type: ignore[arg-type]
        while waiting.asked < 5:
            await asyncio.sleep(0.001)
    told = capsys.readouterr()
    assert told.err == "inkling check: Starting the engine …\ninkling check: Loading starter:tone …\n"
    assert told.out == ""


async def test_how_far_a_long_check_is_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_PROGRESS_S", 0.01)
    monkeypatch.setattr(cli, "_RARELY_S", 0.01)
    monkeypatch.setattr(checking, "_PATIENCE_S", 0.0)
    (folder / "long.md").write_text("\n\n".join(f"A stupid plan is number {number} here." for number in range(200)))
    done = await check(capsys, "long.md", delay_s=0.1)
    assert "200 warnings in 1 file." in done.out
    told = done.err.splitlines()
    far = r"inkling check: 0 files checked; long\.md: tone: \d+ of 200 texts are still being read\."
    assert any(re.fullmatch(far, line) for line in told), told


async def test_binaries_and_giants_cost_a_line_at_most(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "blob.bin").write_bytes(b"\0" * 100)
    (folder / "latin.txt").write_bytes("stupid café plan".encode("latin-1"))
    with (folder / "giant.log").open("wb") as file:
        file.truncate(200_000_000)
        file.write(b"x")
    done = await check(capsys, "--exclude", "*.py", "--exclude", "*.md")
    assert done.status == 0
    assert sorted(done.err.splitlines()) == [
        "inkling check: giant.log: It has over 20,000,000 characters.",
        "inkling check: latin.txt: It is not in UTF-8.",
    ]


async def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads((await check(capsys, "--format", "json")).out)
    assert report["files"] == 4
    first, second, _ = report["findings"]
    assert (first["path"], first["line"], first["column"], first["end_column"]) == ("a.py", 1, 9, 14)
    assert (second["source"], second["href"], second["data"]["scores.kind"]) == (
        "rules",
        "https://example.org/tone",
        0.1,
    )


async def test_sarif_is_as_its_schema_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif  # made of the schema

    done = await check(capsys, "--format", "sarif", "--output", str(folder.parent / "out.sarif"))
    assert (done.status, done.out) == (1, "")
    report = json.loads((folder.parent / "out.sarif").read_text("utf-8"))
    known = Sarif.model_validate(report)
    assert known.model_dump(mode="json", by_alias=True, exclude_unset=True).keys() == report.keys()
    (run,) = report["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["leak/email", "tone/hostile"]
    result = run["results"][2]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "tone/hostile"
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "docs/%C3%A9.md"
    assert location["region"] == {"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 20}
    assert len(result["partialFingerprints"]["inkling/v1"]) == 24


async def test_github_annotations(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (await check(capsys, "--format", "github")).out.splitlines()
    assert lines[0] == ("::error file=a.py,line=1,col=9,endLine=1,endColumn=14,title=leak/email::email: 100%25, sure")
    monkeypatch.chdir(folder.parent)  # where the repository's top is, for all that is known
    lines = (await check(capsys, folder.name, "--format", "github")).out.splitlines()
    assert lines[0].startswith(f"::error file={folder.name}/a.py,line=1")


async def test_fix_redacts_and_keeps_the_rest_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = await check(capsys, "a.py", "--fix")
    assert (folder / "a.py").read_bytes() == (
        b"\xef\xbb\xbfmail = '[EMAIL]'\r\n# ask [EMAIL], not the stupid man\r\n"
    )  # the fake finds one a block: the second when the first has gone
    assert "2 fixed" in done.err and "error" not in done.out and "a.py:2:3: warning" in done.out


async def test_standard_input(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    give("# a stupid man here\n")
    done = await check(capsys, "-", "--stdin-filename", "x.py")
    assert done.out.splitlines()[0] == "x.py:1:3: warning: Reads as hostile (90%) [tone/hostile]"
    give("mail a@b.c now\n")
    fixed = await check(capsys, "-", "--fix")
    assert fixed.out == "mail [EMAIL] now\n"


async def test_a_baseline_hides_what_is_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = await check(capsys, "--write-baseline")
    assert written.status == 0 and "3 findings in" in written.out
    text = (folder / "inkling-baseline.json").read_text()
    assert "stupid" not in text and list(json.loads(text)["files"]) == ["a.py", "docs/é.md"]
    known = await check(capsys, "--baseline", "inkling-baseline.json")
    assert (known.status, known.out) == (0, "Nothing found in 5 files.\n")
    (folder / "inkling.toml").write_text('[rules]\nbaseline = "inkling-baseline.json"\n' + RULES)
    path = folder / "docs" / "é.md"
    path.write_text("Some new words first.\n\n" + path.read_text("utf-8") + "\nAnother stupid line here.\n", "utf-8")
    fresh = await check(capsys)
    assert fresh.out.splitlines()[0] == "docs/é.md:7:1: warning: Reads as hostile (90%) [tone/hostile]"
    assert len(fresh.out.splitlines()) == 2


async def test_a_warm_cache_asks_no_model_and_a_cold_one_asks_in_batches(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(100):
        (folder / "docs" / f"{number}.md").write_text(f"This is page number {number} of many.\n")
    cold = await check(capsys, "docs")
    calls = cold.engine.calls_to("classify")
    assert sum(len(call.arguments["texts"]) for call in calls) == 102
    assert any(len(call.arguments["texts"]) > 1 for call in calls)  # how many share a call is the machine's haste
    warm = await check(capsys, "docs")
    assert warm.out == cold.out and warm.engine.calls_to("classify") == []


async def test_a_clean_file_is_not_looked_at_again_until_something_changes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    kept = Rules.check

    async def counted(self: Rules, snapshot: Snapshot) -> AsyncIterator[Any]:
        looked.append(Path(snapshot.uri).name)
        async for item in kept(self, snapshot):
            yield item

    counted.__dict__.update(kept.__dict__)  # the mark of its surface
    monkeypatch.setattr(Rules, "check", counted)

    async def again(*arguments: str, weights: str = "one") -> set[str]:
        looked.clear()
        monkeypatch.setattr(FakeEngine, "weights", lambda self, model, task: asyncio.sleep(0, weights))
        await check(capsys, *arguments)
        return set(looked)

    page = folder / "docs" / "fine.md"
    page.write_text("Fine words are here.\n")
    dirty = {"a.py", "%C3%A9.md"}
    everything = {"a.py", "%C3%A9.md", "fine.md", "inkling.toml", ".gitignore"}
    assert await again() == everything
    assert await again() == dirty
    page.write_text("Some other fine words are here.\n")
    assert await again() == {*dirty, "fine.md"}
    assert await again(weights="two") == everything  # trained anew
    assert await again(weights="two") == dirty
    (folder / "known.json").write_text('{"version": 1, "files": {}}')
    assert await again("--baseline", "known.json", weights="two") == {*everything, "known.json"}
    assert await again(weights="") == await again(weights="") == {*everything, "known.json"}  # cannot be told
    (clean,) = (folder.parent / "cache").rglob("clean.bin")
    clean.write_bytes(clean.read_bytes() + b"torn")
    assert await again() == {*everything, "known.json"}
    assert await again() == dirty


def test_rules_are_listed_with_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "inkling.toml").write_text(
        RULES
        + '\n[[rule]]\nname = "dead"\nmodel = "starter:nope"\non = ["go"]\n\n[[rule]]\nname = "x"\nmodel = "evil/x"\n'
    )
    (folder.parent / "user.toml").write_text('[[rule]]\nname = "tone"\nthreshold = 0.9\n')
    assert main(["rules", "docs", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    tone, leak, dead, table = report["rules"]
    assert (table["name"], table["state"]) == ("[classify]", "off")
    assert tone["origin"] == f"{folder / 'inkling.toml'}:2, {folder.parent / 'user.toml'}:1"
    assert (leak["model"], leak["model_problem"]) == ("starter:secrets", "")
    assert dead["model_problem"].startswith("There is no starter model starter:nope.")
    assert dead["state"] == "off"
    assert len(report["problems"]) == 1 and "inkling.toml:21" in report["problems"][0]
    assert main(["rules", "docs/é.md"]) == 1
    shown = capsys.readouterr()
    assert "✗ x: left out\n" in shown.out and "inkling.toml:21: " in shown.out and not shown.err
    assert "tone: on (2 texts here)" in shown.out
    assert "dead: off (`on` names no text of markdown.)" in shown.out
    assert "[classify]: off (the rule tone reads this in its place, with the same model)" in shown.out
    assert main(["rules", "build/nope"]) == 1
    assert rules_cli._is_about_rules("rule[3].model")


@pytest.mark.parametrize(
    ("settings", "status", "out", "err"),
    [
        ("", 0, ["There are no rules here.", "✓ [classify]: on"], ""),
        ("[classify]\nenabled = false\n", 0, ["There are no rules here."], ""),
        ('[[rule]]\nname = "bad"\nthreshold = 2\ntaks = 1\n', 1,
         ["✓ [classify]: on", "✗ bad: left out", ":3: ", ":4: "], ""),
        ('[[rule]]\nname = "far"\nmodel = "./mine"\n', 1, ["✗ far: left out", "is a folder"], ""),
        ('[[rule]]\nname = "z"\ntask = "token-classification"\nmodel = "starter:tone"\n', 1,
         ["✗ z: off\n", "starter:tone cannot do token-classification"], ""),
        ("[[rule]]\n[rules]\npatients = 1\n", 1, ["There are no rules here."], 'Did you mean "patience"?'),
    ],
)  # fmt: skip
def test_rules_says_why_one_is_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], settings: str, status: int, out: list[str], err: str
) -> None:
    (folder / "inkling.toml").write_text(settings)
    assert main(["rules"]) == status
    shown = capsys.readouterr()
    assert [words for words in out if words not in shown.out] == []
    assert err in shown.err and bool(err) == bool(shown.err)
    assert ("✓ [classify]" in shown.out) == ("enabled = false" not in settings)


async def test_a_file_that_was_named_and_cannot_be_read_is_status_2(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "docs" / "latin.txt").write_bytes("stupid café plan".encode("latin-1"))
    (folder / "docs" / "blob.bin").write_bytes(b"\0" * 100)
    told = "inkling check: docs/latin.txt: It is not in UTF-8.\n"
    named = await check(capsys, "docs/latin.txt", "--fail-on", "never")
    assert (named.status, named.err) == (2, told)
    assert (await check(capsys, "docs", "--fail-on", "never")).status == 0  # found, not named
    os.mkfifo(folder / "docs" / "pipe")
    monkeypatch.chdir(folder / "docs")
    binary = await check(capsys, "blob.bin", "../docs/pipe", "--fail-on", "never")
    assert (binary.status, sorted(binary.err.splitlines())) == (2, [
        "inkling check: docs/blob.bin: It is no text file.",
        "inkling check: docs/pipe: It is no regular file.",
    ])  # fmt: skip


async def test_a_file_that_was_named_and_is_kept_from_models_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".env").write_text("MAIL=a@b.c\n")
    named = await check(capsys, ".env")
    assert named.status == 0 and ".env: is one of the files that" in named.err and "0 files" in named.out
    assert (await check(capsys, "docs")).err == ""


async def test_what_cannot_be_written_is_status_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--output", "--write-baseline"):
        done = await check(capsys, option, str(folder / "nowhere" / "x.json"))
        assert done.status == 2 and "x.json could not be written: No such file or directory." in done.err


async def test_a_finding_outside_the_folder_has_its_whole_path(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = folder.parent / "out side.md"
    outside.write_text("A stupid plan here.\n")
    for name in (str(outside), "../out side.md"):
        assert (await check(capsys, name)).out.startswith(f"{outside}:1:1: warning")
    report = json.loads((await check(capsys, str(outside), "--format", "sarif")).out)
    location = report["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": outside.as_uri()}


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (("work",), "work"),
        (("work/docs", "work/a.py"), "work"),
        (("work/docs/é.md",), "work"),
        (("work/inner/x.md",), "work/inner"),
        (("work/inner", "work/docs"), "work"),
        (("work/docs/nowhere",), "work"),
    ],
)
async def test_the_settings_are_those_above_the_paths(
    folder: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...], found: str
) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "inkling.toml").touch()
    monkeypatch.chdir(folder)
    inside = [Path(name).relative_to("work") for name in named]
    assert find_root(inside) == folder  # below the working folder, which has settings, its own hold
    monkeypatch.chdir(folder.parent)
    assert find_root([Path(name) for name in named]) == folder.parent / found


async def test_fixes_go_where_their_text_came_from(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"mail a@b.c now\n")))
    done = await check(capsys, "-", "a.py", "--fix", "--stdin-filename", "a.py")
    assert done.out == "mail [EMAIL] now\n"
    assert b"[EMAIL]" in (folder / "a.py").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9 a@b.c")))
    assert (await check(capsys, "-", "--fix")).status == 2


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_trusted_folder_has_its_text_sent_where_its_routes_say(folder: Path, trusted: bool) -> None:
    (folder / "inkling.toml").write_text(
        '[engine]\ndevice = "cpu"\n[engine.remotes.pool]\nurl = "https://pool.example"\n'
        '[engine.routes]\nclassify = "pool"\n' + RULES
    )
    given = []
    loaded = load_for(folder, trusted=trusted)
    session = Session(folder, loaded, lambda settings: given.append(settings) or FakeEngine())  # type: ignore[func-returns-value]
    (settings,) = given
    assert session.engine is not None
    assert (set(settings.remotes), len(settings.routes)) == (({"pool"}, 1) if trusted else (set(), 0))


def test_the_command_line_ends_with_a_status(folder: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    (folder / "inkling.toml").unlink()
    assert main(["check"]) == 2
    assert "nothing" not in capsys.readouterr().out
