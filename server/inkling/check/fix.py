"""Preferred fixes carried out: redactions, say."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from inkling.api import Edit, Snapshot
from inkling.check.finding import Finding
from inkling.errors import InklingError

_MARK = b"\xef\xbb\xbf"


def fixed(snapshot: Snapshot, findings: Iterable[Finding]) -> tuple[str, int]:
    """The text with the edits of all preferred fixes, and how many were made; of two that overlap, the first."""
    edits = [
        edit
        for finding in findings
        for edits in [next((fix.edits for fix in finding.diagnostic.fixes if fix.preferred and fix.edits), ())]
        for edit in edits
    ]
    return apply(snapshot, edits)


def apply(snapshot: Snapshot, edits: Iterable[Edit]) -> tuple[str, int]:
    """The text after the edits, and how many of them were made."""
    spans = sorted(
        (snapshot.offset(edit.range.start), snapshot.offset(edit.range.end), edit.new_text) for edit in edits
    )
    pieces: list[str] = []
    reached = made = 0
    for start, end, text in spans:
        if start >= reached:
            pieces += [snapshot.slice(reached, start), text]
            reached, made = end, made + 1
    return "".join([*pieces, snapshot.slice(reached, len(snapshot))]), made


def replace_file(path: Path, before: Snapshot, text: str) -> None:
    """Write the file anew, whole or not at all; its mode and byte order mark stay. Raises InklingError."""
    try:
        old = path.read_bytes()
        mark = _MARK if old.startswith(_MARK) else b""
        if old[len(mark) :].decode("utf-8", "replace") != before.text:
            raise InklingError("file-changed", f"{path} has changed meanwhile.", "Nothing was changed in it.")
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(mark + text.encode("utf-8"))
            Path(temporary).chmod(path.stat().st_mode & 0o777)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InklingError("file-unwritable", f"{path} could not be written: {error.strerror}.") from error
