"""These run where Ray is installed and there is no network to listen on: `make cluster-test`.

What they `say` is the transcript of docs/cluster.md, which they write when `INKLING_TRANSCRIPT` names the page.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.ray_pool import why_not

Say = Callable[[str], None]

_BEGIN, _END = "<!-- transcript: begin -->", "<!-- transcript: end -->"
_SAID: dict[str, tuple[str, list[str]]] = {}
_PASSED: list[str] = []


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Say:
    """Tell what happens, with the seconds since the test began. A test's docstring is its heading."""
    began = time.monotonic()
    lines: list[str] = []
    _SAID[request.node.nodeid] = (str(request.function.__doc__).partition("\n")[0].rstrip("."), lines)

    def say(what: str) -> None:
        lines.append(f"{time.monotonic() - began:6.1f} s  {what}")
        print(lines[-1], flush=True)

    return say


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed and report.nodeid in _SAID:
        _PASSED.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Each test that passed replaces its own part of the page."""
    page = os.environ.get("INKLING_TRANSCRIPT", "")
    if not page or not _PASSED:
        return
    before, _, rest = Path(page).read_text("utf-8").partition(_BEGIN)
    old, _, after = rest.partition(_END)
    parts = dict(re.findall(r"^# (.+)\n((?:[^#`\n].*\n)+)", old, flags=re.MULTILINE))
    for heading, lines in (_SAID[nodeid] for nodeid in _PASSED):
        parts[heading] = "\n".join(lines) + "\n"
    text = "\n".join(f"# {heading}\n{lines}" for heading, lines in parts.items())
    Path(page).write_text(f"{before}{_BEGIN}\n```text\n{text}```\n{_END}{after}", "utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if "tests/cluster/" in str(item.path) and item.get_closest_marker("without_ray") is None:
            item.add_marker(pytest.mark.timeout(900))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
