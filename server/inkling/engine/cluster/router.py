"""Ray Serve's side of `routing`: which replica a gateway sends a completion to."""

from __future__ import annotations

from typing import Any

from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

from inkling.engine.cluster.routing import rank


class PrefixAffineRouter(ConsistentHashRouter):  # type: ignore[misc]
    """Ranks replicas by the request's session id, which is its affinity key.

    Of Ray's own router it keeps the loop that tries one rank after the other, with its way of never forgetting a
    request; the order is ours, since theirs leaves a busy replica only when it refuses.
    """

    def initialize_state(self, **options: Any) -> None:
        """`spill`: see `ClusterSettings`."""
        super().initialize_state()
        self._spill = int(options.get("spill", 2))

    async def choose_replicas(self, candidate_replicas: list[Any], pending_request: Any = None) -> list[list[Any]]:
        """One replica per rank; a full one refuses, and the next is tried."""
        if pending_request is None or not candidate_replicas:
            return [candidate_replicas] if candidate_replicas else []
        pending_request.routing_context.should_backoff = True
        by_name = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        loads = {name: self.replica_queue_len_cache.get(replica.replica_id) or 0 for name, replica in by_name.items()}
        return [[by_name[name]] for name in rank(pending_request.metadata.session_id or "", loads, self._spill)]
