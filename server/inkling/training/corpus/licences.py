"""Which installed packages may be learned from: permissive licences only, read from package metadata."""

from __future__ import annotations

import re
from typing import Protocol

PERMISSIVE = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC",
        "MIT", "MIT-0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
    }
)  # fmt: skip

# what older packages write in the free-text field or as classifiers, in lower case
_SPELLINGS = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
}


class Metadata(Protocol):
    """What ``importlib.metadata`` gives for a distribution."""

    def __contains__(self, item: str) -> bool:
        """Whether the field is there."""
        ...

    def __getitem__(self, key: str) -> str:
        """One field."""
        ...

    def get_all(self, name: str) -> list[str] | None:
        """All values of a field."""
        ...


def licence_of(metadata: Metadata) -> str:
    """The licence a distribution declares, as an SPDX expression where one can be told; "" when none is."""
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    text = (metadata["License"] if "License" in metadata else "").strip()  # noqa: SIM401 - its type has no get
    if text and "\n" not in text and len(text) < 60:
        return _SPELLINGS.get(text.lower(), text)
    names = [
        line.rpartition("::")[2].strip() for line in metadata.get_all("Classifier") or [] if line.startswith("License")
    ]
    return " AND ".join(_SPELLINGS.get(name.lower(), name) for name in names if name != "OSI Approved")


def is_permissive(expression: str) -> bool:
    """Whether an SPDX expression leaves a permissive choice: every AND part, any OR part."""
    expression = re.sub(r"\s+WITH\s+\S+", "", expression.strip())
    expression = expression.replace("(", " ").replace(")", " ") if " OR " not in expression else expression
    if "(" in expression:  # nested choices are rare: refuse rather than misread them
        return False
    choices = re.split(r"\s+OR\s+", expression)
    return any(all(part.strip() in PERMISSIVE for part in re.split(r"\s+AND\s+", c)) for c in choices)
