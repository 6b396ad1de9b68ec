"""What is generated from the settings' classes is up to date, and says what the settings machinery does."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from inkling.settings import Source, load
from inkling.settings.schema import embed_all, installed_plugins, json_schema

ROOT = Path(__file__).parents[2]
REMAKE = "out of date: python -m inkling.settings docs/settings.md docs/rules.md docs/inkling.schema.json"
SCHEMA = json.loads((ROOT / "docs" / "inkling.schema.json").read_text("utf-8"))


def test_the_schema_is_the_one_the_code_gives() -> None:
    assert json.loads(json.dumps(json_schema(installed_plugins()))) == SCHEMA, REMAKE


def test_the_table_of_a_rules_keys_is_the_one_the_code_gives() -> None:
    page = (ROOT / "docs" / "rules.md").read_text("utf-8")
    assert embed_all(page, installed_plugins()) == page, REMAKE


EXAMPLES: list[tuple[str, bool]] = [
    ('[[rule]]\nname = "a"\non = ["markdown"]\nlabels = { x = "warning" }\n', True),
    ('[[rule]]\nname = "a"\nlabels = { x = "warn" }\n', False),
    ('[[rule]]\nname = "a"\ntaks = "x"\n', False),
    ("[[rule]]\nthreshold = 0.5\n", False),
    ('[[rule]]\nname = "a"\nthreshold = 1.5\n', False),
    ("[rules]\nenabled = false\n", True),
    ("rule = 3\n", False),
]


@pytest.mark.parametrize(("text", "valid"), EXAMPLES)
def test_the_schema_agrees_with_the_loader(text: str, valid: bool) -> None:
    data = tomllib.loads(text)
    loaded = load([Source("user", data, "inkling.toml")])
    tables = installed_plugins()
    assert (not loaded.build("rules", tables["rules"])[1]) is valid
    assert fits(SCHEMA, data) is valid


def fits(schema: dict[str, Any], value: Any) -> bool:
    """The part of JSON Schema that ours uses."""
    kinds: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    if "anyOf" in schema and not any(fits(option, value) for option in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if schema.get("type") == "boolean":
        return isinstance(value, bool)
    if "type" in schema and (isinstance(value, bool) or not isinstance(value, kinds[schema["type"]])):
        return False
    if "minimum" in schema and value < schema["minimum"]:
        return False
    if "maximum" in schema and value > schema["maximum"]:
        return False
    if isinstance(value, list):
        return all(fits(schema.get("items", {}), item) for item in value)
    if isinstance(value, dict):
        rest = schema.get("additionalProperties", True)
        known = schema.get("properties", {})
        if any(name not in value for name in schema.get("required", ())):
            return False
        if rest is False and any(name not in known for name in value):
            return False
        rest = rest if isinstance(rest, dict) else {}
        return all(fits(known.get(name, rest), item) for name, item in value.items())
    return True
