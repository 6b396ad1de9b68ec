"""What a user found not helpful: kept on their machine for later training, and sent to nobody."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inkling.api import InklingError


def feedback_file() -> Path:
    """The file, one JSON object a line; only the user can read it."""
    import platformdirs

    return Path(platformdirs.user_data_dir("inkling", appauthor=False)) / "feedback.jsonl"


def note(**fields: Any) -> Path:
    """Append one line, with the time. Blocking. Raises InklingError."""
    path = feedback_file()
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **fields}, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="replace") as file:
            file.write(line)
    except OSError as error:
        raise InklingError(
            "feedback-unwritable", f"{path} could not be written: {error.strerror}.", "Nothing was noted."
        ) from error
    return path
