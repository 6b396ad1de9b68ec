"""docs/editors.md: every test that it names exists, and its set-ups are the README's. The extension's settings, too."""

from __future__ import annotations

import json
import re

from inkling.settings.schema import installed_plugins, json_schema

from .conftest import REPOSITORY

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


def test_extension_knows_the_servers_settings() -> None:
    manifest = json.loads((REPOSITORY / "client-vscode" / "package.json").read_text())
    setting = manifest["contributes"]["configuration"]["properties"]["inkling.settings"]
    ours = json.loads(json.dumps(json_schema(installed_plugins())["properties"]))
    assert setting["properties"] == ours, "out of date: run `npm run settings` in client-vscode"
