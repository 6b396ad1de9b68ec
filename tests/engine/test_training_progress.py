"""What a run says of itself where there is no terminal for a bar."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from inkling.training.progress import RunLog


@pytest.mark.parametrize(("steps", "expected"), [
    ([(1, 0.0), (2, 10.0)], ["fold 1/10 loss 0.1235 rate 0.003095", "fold 2/10 80 s left loss 0.1235 rate 0.003095"]),
    ([(1, 0.0), (2, 60.0)], ["fold 1/10 loss 0.1235 rate 0.003095", "fold 2/10 8 min left loss 0.1235 rate 0.003095"]),
    ([(8, 0.0), (9, 10.0)], ["fold 8/10 loss 0.1235 rate 0.003095", "fold 9/10 10 s left loss 0.1235 rate 0.003095"]),
    ([(10, 0.0)], ["fold 10/10 loss 0.1235 rate 0.003095"]),
])  # fmt: skip
def test_its_lines(
    steps: list[tuple[int, float]],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with RunLog(tmp_path, "fold", 10, every=0) as log:
        for step, seconds in steps:
            monkeypatch.setattr(time, "monotonic", lambda now=1_000 + seconds: now)
            log.step(step, loss=0.123456, rate=0.0030952380952380953)
    assert capsys.readouterr().err.splitlines() == expected
