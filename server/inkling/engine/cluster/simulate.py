"""A discrete-event simulation of a pool: requests arrive, wait, are served or given up; what did they wait?

Pure Python, seeded by its arrivals. With one queue for all servers it is the textbook's M/M/c when arrivals and service
are exponential, which is how it is tested; with `route` each server has its queue, as replicas have.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from inkling.engine.cluster.routing import order_of

_ARRIVE, _LEAVE, _GIVE_UP = 0, 1, 2


@dataclass(slots=True)
class Request:
    """Times in seconds. `warm_s` and `cold_s` are its service times on a server that holds its key's cache and on
    another; at `gives_up_at` its client has gone, whatever it has got by then."""

    at: float
    warm_s: float
    cold_s: float
    key: str = ""
    gives_up_at: float = float("inf")
    priority: int = 0
    server: int = -1
    done: bool = False


@dataclass
class Result:
    """`waits_s` are of requests whose turn came, `given_up_waits_s` of those whose client had gone before it."""

    waits_s: list[float] = field(default_factory=list)
    served: int = 0
    given_up_waits_s: list[float] = field(default_factory=list)
    given_up_served: int = 0
    warm: int = 0
    busy_s: float = 0.0
    ended_at: float = 0.0

    @property
    def warm_share(self) -> float:
        """Of all turns: the server had the key's cache."""
        return self.warm / max(1, len(self.waits_s))


class _Server:
    def __init__(self, caches: int) -> None:
        self.queue: deque[Request] = deque()
        self.urgent: deque[Request] = deque()
        self.running: Request | None = None
        self.since = 0.0
        self._caches: OrderedDict[str, None] = OrderedDict()
        self._room = caches

    def is_warm(self, key: str) -> bool:
        known = bool(key) and key in self._caches
        if key:
            self._caches[key] = None
            self._caches.move_to_end(key)
            if len(self._caches) > self._room:
                self._caches.popitem(last=False)
        return known

    def push(self, request: Request) -> None:
        (self.urgent if request.priority == 0 else self.queue).append(request)

    def pop(self) -> Request | None:
        for waiting in (self.urgent, self.queue):
            while waiting:
                request = waiting.popleft()
                if not request.done:
                    return request
        return None


def simulate(
    requests: Iterable[Request], servers: int, *, route: bool = True, spill: int = 2, caches: int = 16
) -> Result:
    """`requests` come in order of time. With `route`, by affinity as the gateways do; else one queue for all.

    `spill` is `ClusterSettings.spill`; `caches` are the prefixes that one server keeps.
    """
    result = Result()
    pool = [_Server(caches) for _ in range(servers)]
    loads = [0] * servers
    common = _Server(0)
    events: list[tuple[float, int, int, Request]] = []
    arrivals = iter(requests)
    count = 0
    orders: dict[str, list[int]] = {}

    def schedule(at: float, kind: int, request: Request) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (at, kind, count, request))

    def next_arrival() -> None:
        if (request := next(arrivals, None)) is not None:
            schedule(request.at, _ARRIVE, request)

    def choose(request: Request) -> int:
        if not route:
            return next((n for n, server in enumerate(pool) if server.running is None), -1)
        idlest = min(loads)
        if request.key:
            if request.key not in orders:
                orders[request.key] = order_of(request.key, servers)
            return next(n for n in orders[request.key] if loads[n] <= idlest + spill)
        return loads.index(idlest)

    def start(index: int, request: Request, now: float) -> None:
        server = pool[index]
        server.running, server.since = request, now
        request.server = index
        result.waits_s.append(now - request.at)
        warm = server.is_warm(request.key)
        result.warm += warm
        schedule(now + (request.warm_s if warm else request.cold_s), _LEAVE, request)

    def free(index: int, now: float) -> None:
        server = pool[index]
        result.busy_s += now - server.since
        server.running = None
        loads[index] -= 1
        if (waiting := (server if route else common).pop()) is not None:
            start(index, waiting, now)

    next_arrival()
    while events:
        now, kind, _, request = heapq.heappop(events)
        if request.done:
            continue  # an end that its client's going came before, or the reverse
        result.ended_at = now
        if kind == _ARRIVE:
            next_arrival()
            index = choose(request)
            if request.gives_up_at < float("inf"):
                schedule(request.gives_up_at, _GIVE_UP, request)
            if index >= 0:
                request.server = index
                loads[index] += 1
            if index < 0:
                common.push(request)
            elif pool[index].running is None:
                start(index, request, now)
            else:
                pool[index].push(request)
        elif kind == _LEAVE:
            request.done = True
            result.served += 1
            free(request.server, now)
        else:
            request.done = True
            if request.server >= 0 and pool[request.server].running is request:
                result.given_up_served += 1
                free(request.server, now)
            else:
                result.given_up_waits_s.append(now - request.at)
                if request.server >= 0:
                    loads[request.server] -= 1
    return result


def erlang_c_wait_s(arrivals_per_s: float, mean_service_s: float, servers: int) -> float:
    """The textbook's mean wait of M/M/c, in seconds; infinite when the servers cannot keep up."""
    offered = arrivals_per_s * mean_service_s
    if offered >= servers:
        return float("inf")
    blocking = 1.0
    for n in range(1, servers + 1):  # Erlang B by its recursion
        blocking = offered * blocking / (n + offered * blocking)
    waits = blocking / (1 - offered / servers * (1 - blocking))
    return waits * mean_service_s / (servers - offered)
