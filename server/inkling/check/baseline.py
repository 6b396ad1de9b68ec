"""The baseline: the findings that are known, by path, as hashes that hold while other lines are edited."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from inkling.check.finding import Finding
from inkling.check.formats import write_report
from inkling.text.uri import uri_path

VERSION = 1
NAME = "inkling-baseline.json"


def write(path: Path, findings: Iterable[Finding]) -> int:
    """Write the file; returns how many findings are in it. Paths in it are relative to its own folder.

    Raises InklingError `file-unwritable`.
    """
    base = uri_path(path.parent.absolute().as_uri()).rstrip("/") + "/"
    files: dict[str, Counter[str]] = defaultdict(Counter)
    for finding in findings:
        if finding.fingerprint:
            files[uri_path(finding.snapshot.uri).removeprefix(base)][finding.fingerprint] += 1
    sorted_files = {name: dict(sorted(files[name].items())) for name in sorted(files)}
    write_report(path, json.dumps({"version": VERSION, "files": sorted_files}, indent=1) + "\n")
    return sum(sum(counts.values()) for counts in files.values())
