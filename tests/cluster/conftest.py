"""These run where Ray is installed and there is no network to listen on: `make cluster-test`."""

from __future__ import annotations

import pytest
from bench.ray_pool import why_not


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if "tests/cluster/" in str(item.path) and item.get_closest_marker("without_ray") is None:
            item.add_marker(pytest.mark.timeout(300))
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
