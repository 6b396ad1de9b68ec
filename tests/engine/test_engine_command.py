"""`inkling engine`: status, stop, logs, over a real process with a scripted model side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from inkling.cli import main
from inkling.engine import daemon
from inkling.engine.runtime import is_running, place, read_info
from inkling.engine.settings import EngineSettings

SETTINGS = EngineSettings(idle_seconds=30)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("INKLING_ENGINE_BACKEND", "inkling.engine.fake_backend:create_backend")


@pytest.fixture
def engine(capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
    where = place(SETTINGS)
    report = daemon.spawn(where, SETTINGS, 30.0)
    assert report["ready"]
    info = read_info(where.info)
    assert info is not None
    yield info.pid
    main(["engine", "stop"])
    assert not is_running(info)


def test_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "status"]) == 3
    assert "No engine runs" in capsys.readouterr().out
    assert main(["engine", "status", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == []
    assert main(["engine", "stop"]) == 0
    assert main(["engine", "logs"]) == 1
    assert "There is no log in" in capsys.readouterr().err


def test_status_tells_what_runs_and_keeps_the_token(engine: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "status"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"process {engine}, shared, device auto\n  windows 0, up ", out)
    assert "no model in memory" in out
    assert main(["engine", "status", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["pid"], row["answers"], row["status"]["pid"]) == (engine, True, engine)
    assert "token" not in row


def test_stop_and_logs(engine: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "stop"]) == 0
    assert f"Stopped the engine in process {engine}" in capsys.readouterr().out
    assert main(["engine", "logs", "-n", "1"]) == 0
    assert "leaving: asked to" in capsys.readouterr().out
    assert main(["engine", "logs", "--path"]) == 0
    assert Path(capsys.readouterr().out.strip()).read_text().count("serving as process") == 1
