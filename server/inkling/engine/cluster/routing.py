"""Which replica a completion goes to: the one that holds its prefix cache, unless that one is busy or gone.

Rendezvous hashing: every gateway computes the same order of replicas for a key, without talking to the others, and when
a replica comes or goes only the keys that belong to it move.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping

from inkling.engine.protocol import GenerateRequest

_HEAD = 1024
"""Characters of a prompt that stand for it when the client names neither itself nor a document."""


def affinity_key(client: str, request: GenerateRequest) -> str:
    """Equal for requests that can reuse each other's prefix; a hash, since it travels and is logged."""
    place: tuple[str, ...] = (client, request.cache_key)
    if not any(place):
        head = request.prompt or json.dumps([dict(message) for message in request.messages])
        place = ("head", head[:_HEAD])
    return hashlib.sha256("\0".join((request.model, *place)).encode("utf-8", "replace")).hexdigest()[:24]


def _weight(key: str, replica: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{replica}".encode(), digest_size=8).digest()


def rank(key: str, loads: Mapping[str, int], spill: int) -> list[str]:
    """The replicas of `loads` (requests in progress, by name), best first.

    With a key: in the key's own order, those with more than `spill` requests beyond the idlest put last. Without one:
    the idlest first, equals in random order.
    """
    if not loads:
        return []
    if not key:
        names = list(loads)
        random.shuffle(names)
        return sorted(names, key=loads.__getitem__)
    idlest = min(loads.values())
    order = sorted(loads, key=lambda name: _weight(key, name), reverse=True)
    fitting = [name for name in order if loads[name] <= idlest + spill]
    rest = [name for name in order if loads[name] > idlest + spill]
    return [*fitting, *sorted(rest, key=loads.__getitem__)]


def order_of(key: str, count: int) -> list[int]:
    """A key's own order of the replicas 0 to `count` - 1, for a simulation, where only loads change."""
    return sorted(range(count), key=lambda index: _weight(key, str(index)), reverse=True)
