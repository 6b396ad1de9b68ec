"""The baseline: findings that were there already and are not shown. A file of hashes, by path, kept with the code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from inkling.api import InklingError
from inkling_plugins.rules.judge import Finding

VERSION = 1


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


def load(path: Path) -> Baseline:
    """Read a baseline. Raises InklingError `bad-baseline`; a missing file is an empty one."""
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"it is of version {data['version']}")
        known = {
            str(name): {str(key): int(count) for key, count in found.items()} for name, found in data["files"].items()
        }
    except FileNotFoundError:
        return Baseline({})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InklingError(
            "bad-baseline",
            f"The baseline {path} cannot be read: {error}.",
            "Write it anew with `inkling check --write-baseline`.",
        ) from None
    return Baseline(known)
