"""Findings as SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from inkling import __version__
from inkling.check.finding import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "information": "note", "hint": "note"}


def sarif(findings: Sequence[Finding], files: int) -> str:
    """One run; a rule per code. Paths are relative to the folder that was checked where they lie in it."""
    codes = list(dict.fromkeys(finding.code for finding in findings))
    run = {
        "tool": {
            "driver": {
                "name": "inkling",
                "version": __version__,
                "rules": [_rule(code, next(f for f in findings if f.code == code)) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, codes.index(finding.code)) for finding in findings],
        "properties": {"files": files},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _rule(code: str, example: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code, "properties": {"source": example.plugin}}
    if model := example.diagnostic.data.get("model"):
        rule["shortDescription"] = {"text": f"{code}, by the model {model}"}
    if example.diagnostic.href:
        rule["helpUri"] = example.diagnostic.href
    return rule


def _result(finding: Finding, index: int) -> dict[str, Any]:
    line, column, end_line, end_column = finding.place
    region = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
    if PurePath(finding.path).is_absolute():
        artifact = {"uri": PurePath(finding.path).as_uri()}
    else:
        artifact = {"uri": quote(finding.path), "uriBaseId": "%SRCROOT%"}
    location = {"artifactLocation": artifact, "region": region}
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.level],
        "message": {"text": finding.diagnostic.message},
        "locations": [{"physicalLocation": location}],
    }
    if finding.fingerprint:
        result["partialFingerprints"] = {"inkling/v1": finding.fingerprint}
    if data := {key: value for key, value in finding.diagnostic.data.items() if key != "fingerprint"}:
        result["properties"] = data
    return result
