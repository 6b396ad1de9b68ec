"""The README says what is so: its settings, commands, targets and files exist, and no command is left out."""

import re
from pathlib import Path

import pytest

from inkling.cli import COMMANDS
from inkling.settings.schema import embed_table, installed_plugins, markdown_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_settings_table_is_the_one_the_code_gives() -> None:
    """When this fails: `python -m inkling.settings docs/settings.md`."""
    assert embed_table(SETTINGS, markdown_table(installed_plugins())) == SETTINGS


@pytest.mark.parametrize("key", sorted(set(re.findall(r"`([a-z_]+\.[a-z_.]+)`", README.split("| setting |")[1]))))
def test_the_settings_it_names_exist(key: str) -> None:
    assert f"| `{key}` |" in SETTINGS


def test_every_command_is_named() -> None:
    listed = README.split("## On the command line")[1].split("## ")[0]
    assert [name for name in COMMANDS if not re.search(rf"`(inkling )?{name}\b", listed)] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)", README))))
def test_what_it_links_to_exists(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`inkling ([a-z]+)", README))))
def test_the_commands_it_names_exist(command: str) -> None:
    assert command in COMMANDS


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", README, re.M))))
def test_the_make_targets_it_names_exist(target: tuple[str, str]) -> None:
    assert re.search(rf"^{''.join(target)}:", (ROOT / "Makefile").read_text(), re.M)
