"""What makes a soak fail."""

from __future__ import annotations

from typing import Any

import pytest
from bench.soak import GROWTH_MB, Report


@pytest.mark.parametrize(
    ("name", "value", "clean"),
    [
        ("growth", [], True),
        ("growth", [1.0, GROWTH_MB - 1, 2.0], True),
        ("growth", [1.0, GROWTH_MB + 1, 2.0], False),
        ("missing", 1, False),
        ("doubled", 1, False),
        ("mismatches", 1, False),
        ("bad_exits", 1, False),
        ("orphans", 1, False),
        ("compared", 1, True),
    ],
)
def test_clean(name: str, value: Any, clean: bool) -> None:
    report = Report()
    setattr(report, name, value)
    assert report.is_clean is clean
