"""What the engine tells its windows; an open subscription is also a window's lease on the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from inkling.engine.protocol import EngineEvent

_BACKLOG = 256


class EventHub:
    """Fan-out of events to subscribers, on the event loop only. A subscriber that lags loses the oldest events."""

    def __init__(self) -> None:
        self._subscribers: set[asyncio.Queue[EngineEvent | None]] = set()
        self._closed = False
        self.last_lease = time.monotonic()
        self.had_lease = False

    @property
    def leases(self) -> int:
        """Open subscriptions."""
        return len(self._subscribers)

    @property
    def closed(self) -> bool:
        """True once the engine is leaving."""
        return self._closed

    def publish(self, event: EngineEvent) -> None:
        """Send to all who listen now."""
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    def close(self) -> None:
        """End every subscription after what was published."""
        self._closed = True
        for queue in self._subscribers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def subscribe(self, *first: EngineEvent) -> AsyncGenerator[EngineEvent, None]:
        """`first`, then events from now on, until `close`."""
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue(_BACKLOG)
        self._subscribers.add(queue)
        self.had_lease = True
        try:
            for event in first:
                yield event
            while not self._closed or not queue.empty():
                if (event_or_end := await queue.get()) is None:
                    return
                yield event_or_end
        finally:
            self._subscribers.discard(queue)
            self.last_lease = time.monotonic()
