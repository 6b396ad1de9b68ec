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

_SAID: dict[str, list[str]] = {}


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Say:
    """Tell what happens, with the seconds since the test began. A test's docstring is its heading."""
    began = time.monotonic()
    lines = _SAID.setdefault(str(request.function.__doc__).partition("\n")[0].rstrip("."), [])

    def say(what: str) -> None:
        lines.append(f"{time.monotonic() - began:6.1f} s  {what}")
        print(lines[-1], flush=True)

    return say


def pytest_sessionfinish(exitstatus: int) -> None:
    page = os.environ.get("INKLING_TRANSCRIPT", "")
    if not page or exitstatus:
        return
    text = "\n\n".join("\n".join([f"# {heading}", *lines]) for heading, lines in _SAID.items())
    begin, end = "<!-- transcript: begin -->", "<!-- transcript: end -->"
    made = f"{begin}\n```text\n{text}\n```\n{end}"
    path = Path(page)
    path.write_text(re.sub(f"{begin}.*{end}", lambda _: made, path.read_text("utf-8"), flags=re.DOTALL), "utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if "tests/cluster/" in str(item.path) and item.get_closest_marker("without_ray") is None:
            item.add_marker(pytest.mark.timeout(900))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
