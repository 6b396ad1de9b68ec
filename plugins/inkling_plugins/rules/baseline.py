"""The baseline: findings that were there already and are not shown. A file of hashes, by path, kept with the code."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from inkling.api import InklingError
from inkling_plugins.rules.judge import Finding

VERSION = 1
LARGEST = 32 * 2**20
"""Bytes of a file that is read."""


def fingerprint(finding: Finding) -> str:
    """A hash of the rule, the label and the text found; of no line number, so that it holds while others are edited."""
    words = " ".join(finding.mark.part.text.split()) + f"\0{finding.mark.start - finding.mark.part.start}"
    name = f"{finding.rule.name}\0{finding.mark.label}\0{words}"
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


class Baseline:
    """The known findings by path, each as often as it may occur."""

    def __init__(self, known: Mapping[str, Mapping[str, int]]) -> None:
        self._known = known

    def of(self, path: str) -> Counter[str]:
        """What is known in a file; its path is relative to the baseline's folder, with slashes."""
        return Counter(self._known.get(path, {}))


def load(path: Path, inside: Path | None = None) -> tuple[int, Baseline]:
    """A baseline, and when it was changed (ns). Blocking. Raises InklingError `bad-baseline`; a missing file is empty.

    It is a plain file of at most `LARGEST` bytes, and under `inside`, links followed, where that is given.
    """
    try:
        if inside is not None and not path.resolve().is_relative_to(inside.resolve()):
            raise ValueError(f"it leads out of {inside}")
        changed, content = _read(path)
        data = json.loads(content)
        if data["version"] != VERSION:
            raise ValueError(f"it is of version {str(data['version'])[:20]}")
        known = {
            str(name): {str(key): int(count) for key, count in found.items()} for name, found in data["files"].items()
        }
    except FileNotFoundError:
        return 0, Baseline({})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InklingError(
            "bad-baseline",
            f"The baseline {path} cannot be read: {error}.",
            "Write it anew with `inkling check --write-baseline`; in your own settings, name its whole path.",
        ) from None
    return changed, Baseline(known)


def _read(path: Path) -> tuple[int, bytes]:
    # Not to block: a pipe with nobody at its other end would keep the thread for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise ValueError("it is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST >> 20} MiB")
    return facts.st_mtime_ns, content
