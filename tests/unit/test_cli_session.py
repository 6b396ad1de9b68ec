"""The client that the tour and the bench drive a server with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inkling.cli.session import Session

MANIFEST = Path(__file__).parents[2] / "client-vscode" / "package.json"


async def test_nothing_of_the_folder_one_is_in_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    for module in ("inkling", "http"):
        (tmp_path / f"{module}.py").write_text(f"open({os.fspath(ran)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    async with Session.open(tmp_path, settings={"server": {"start_engine": False}}) as session:
        assert session.server_info["serverInfo"]["name"] == "inkling"
    assert not ran.exists()


def test_a_workspace_that_is_not_trusted_sets_nothing_that_runs() -> None:
    """In VS Code, where the editor itself keeps these of a workspace's settings back."""
    manifest = json.loads(MANIFEST.read_text("utf-8"))
    held_back = set(manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"])
    assert held_back >= {"inkling.interpreter", "inkling.command", "inkling.settings"}
    assert held_back <= set(manifest["contributes"]["configuration"]["properties"])
