"""Labels by the sentence's content, so that an edit costs only the sentences that it changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from inkling.api import Label

_MOST = 50_000


class LabelCache:
    """The best label by `label_key`; the least recently used are forgotten. Keeps hashes, not texts."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._labels: OrderedDict[bytes, Label] = OrderedDict()

    def __len__(self) -> int:
        return len(self._labels)

    def get(self, key: bytes) -> Label | None:
        """The label that was put under this key, or None."""
        label = self._labels.get(key)
        if label is not None:
            self._labels.move_to_end(key)
        return label

    def put(self, key: bytes, label: Label) -> None:
        """Remember a label."""
        self._labels[key] = label
        self._labels.move_to_end(key)
        while len(self._labels) > self._most:
            self._labels.popitem(last=False)


def label_key(model: str, text: str) -> bytes:
    """What the label of `text` under `model` is kept by."""
    return hashlib.blake2b(f"{model}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
