"""What is known of the documents asked about last, for the event loop and worker threads alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
KEPT = 16


class Latest(Generic[Key, Value]):
    """The values put last, one for each of at most `KEPT` keys."""

    def __init__(self) -> None:
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """The value, if it is still here."""
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value; the one put longest ago goes when there are too many."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > KEPT:
                self._values.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Forget one."""
        with self._lock:
            self._values.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()
