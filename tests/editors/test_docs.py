"""docs/editors.md: every test that it names exists, and its set-ups are the README's. The extension's settings, too."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import entry_points

from inkling.settings.schema import installed_plugins, json_schema

from .conftest import REPOSITORY, need

NEED_A_PLACE = {"classify.ignore_label", "classify.raise_threshold", "rules.silence", "rules.raise_threshold"}
"""Commands with arguments that only a quick fix gives."""
PAGE = (REPOSITORY / "docs" / "editors.md").read_text()


def test_named_tests_exist() -> None:
    named = set(re.findall(r"`(\w+)::(\w+)`", PAGE))
    assert len(named) >= 6
    for module, function in named:
        assert f"def {function}(" in (REPOSITORY / "tests" / "editors" / f"{module}.py").read_text(), (module, function)


def test_named_host_tests_exist() -> None:
    named = set(re.findall(r"`(\w+\.ts): ([^`]+)`", PAGE))
    assert len(named) >= 8
    for file, title in named:
        assert f'it("{title}"' in (REPOSITORY / "client-vscode" / "test" / file).read_text(), (file, title)


def test_set_ups_are_the_readmes() -> None:
    readme = (REPOSITORY / "README.md").read_text().split("## Your editor")[1].split("\n## ")[0]
    blocks = re.findall(r"```\w+\n.*?```", readme, re.S)
    assert len(blocks) >= 3
    for block in blocks:
        assert block in PAGE


def test_pictures_exist() -> None:
    for name in re.findall(r"\]\((images/[\w-]+\.\w+)\)", PAGE):
        assert (REPOSITORY / "docs" / name).exists(), name


def test_extensions_manifest_is_up_to_date() -> None:
    """Its settings are the server's own schema, its palette is commands.json."""
    need("node")
    schema = json.dumps(json_schema(installed_plugins()))
    client = REPOSITORY / "client-vscode"
    run = subprocess.run(["node", "manifest.mjs", "--check"], cwd=client, input=schema, text=True, check=False)
    assert run.returncode == 0, "out of date: run `npm run manifest` in client-vscode"


def test_walkthrough_leads_somewhere() -> None:
    """Its texts are there, and its links and what completes a step are commands and settings that exist."""
    client = REPOSITORY / "client-vscode"
    contributes = json.loads((client / "package.json").read_text())["contributes"]
    known = {entry["command"] for entry in contributes["commands"]} | set(contributes["configuration"]["properties"])
    [walkthrough] = contributes["walkthroughs"]
    assert len(walkthrough["steps"]) >= 4
    for step in walkthrough["steps"]:
        assert (client / step["media"]["markdown"]).read_text().strip()
        events = [event.partition(":") for event in step.get("completionEvents", ())]
        named = {name for kind, _, name in events if kind != "onContext"}
        named |= set(re.findall(r"command:(inkling\.[\w.]+)", step["description"]))
        assert named <= known, named - known


def test_palette_has_every_plugins_commands() -> None:
    """Those that can be run without a place that only a quick fix knows."""
    listed = {entry["command"] for entry in json.loads((REPOSITORY / "client-vscode" / "commands.json").read_text())}
    offered = {
        surface.name
        for point in entry_points(group="inkling.plugins")
        for method in vars(point.load()).values()
        if (surface := getattr(method, "__inkling_surface__", None)) is not None and surface.kind == "command"
    }
    assert offered - listed == NEED_A_PLACE
