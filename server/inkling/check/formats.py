"""Findings as text, JSON, and annotations that GitHub's workflow runner shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inkling.check.finding import LEVELS, Finding
from inkling.check.sarif import sarif
from inkling.errors import InklingError

Format = Callable[[Sequence[Finding], int], str]
_ANNOTATIONS = {"error": "error", "warning": "warning", "information": "notice", "hint": "notice"}


def text(findings: Sequence[Finding], files: int, failures: int = 0) -> str:
    """One line each, as compilers write them, and a summary, which owns up to what could not be checked."""
    lines = [
        f"{finding.path}:{finding.place[0]}:{finding.place[1]}: {finding.level}: "
        f"{' '.join(finding.diagnostic.message.split())} [{finding.code}]"
        for finding in findings
    ]
    counts = Counter(finding.level for finding in findings)
    parts = [
        f"{counts[level]:,} {level if level == 'information' else _many(counts[level], level)}"
        for level in LEVELS
        if counts[level]
    ]
    where = f"{files:,} {_many(files, 'file')}"
    if failures:
        some = f"{failures:,} {_many(failures, 'problem')} above, so not all could be checked"
        lines.append(f"{', '.join(parts) or 'Nothing else found'} in {where}: {some}.")
        return "\n".join(lines) + "\n"
    lines.append(f"{', '.join(parts)} in {where}." if parts else f"Nothing found in {where}.")
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding], files: int) -> str:
    """`{"version": 1, "files", "findings": […]}`; lines and columns from 1, in characters."""
    items = []
    for finding in findings:
        line, column, end_line, end_column = finding.place
        items.append(
            {
                "path": finding.path,
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
                "level": finding.level,
                "code": finding.code,
                "message": finding.diagnostic.message,
                "source": finding.plugin,
                "href": finding.diagnostic.href,
                "data": dict(finding.diagnostic.data),
            }
        )
    return json.dumps({"version": 1, "files": files, "findings": items}, indent=1, ensure_ascii=False) + "\n"


def github(findings: Sequence[Finding], files: int) -> str:
    """Workflow commands, one a line."""
    del files
    lines = []
    for finding in findings:
        line, column, end_line, end_column = finding.place
        fields = {"file": finding.path, "line": line, "col": column, "endLine": end_line, "endColumn": end_column}
        shown = ",".join(f"{name}={_property(str(value))}" for name, value in {**fields, "title": finding.code}.items())
        lines.append(f"::{_ANNOTATIONS[finding.level]} {shown}::{_data(finding.diagnostic.message)}\n")
    return "".join(lines)


def write_report(path: Path, report: str) -> None:
    """Write a report to a file. Raises InklingError `file-unwritable`."""
    try:
        path.write_text(report, encoding="utf-8")
    except OSError as error:
        raise InklingError(
            "file-unwritable", f"{path} could not be written: {error.strerror}.", "Name a file in a folder that exists."
        ) from error


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _many(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


FORMATS: Mapping[str, Format] = {"text": text, "json": as_json, "sarif": sarif, "github": github}
