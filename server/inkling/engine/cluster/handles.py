"""`Replicas` by Ray Serve's deployment handles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from inkling.engine.cluster.replies import Full, ReplicaGone

_BROADCAST_S = 3.0


class RayReplicas:
    """Satisfies `inkling.engine.cluster.work.Replicas`."""

    def __init__(self, handles: Mapping[str, Any]) -> None:
        from ray import exceptions
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

        self._handles = handles
        self._full = BackPressureError
        self._raised = exceptions.RayTaskError
        # Lost actors, nodes, objects, connections: Ray has many words for what is one thing to a caller.
        self._gone = (exceptions.RayError, DeploymentUnavailableError, ReplicaUnavailableError)

    async def call(self, deployment: str, method: str, *arguments: Any, key: str = "") -> Any:
        """One answer."""
        response = self._handles[deployment].options(method_name=method, session_id=key).remote(*arguments)
        try:
            return await response
        except asyncio.CancelledError:
            response.cancel()
            raise
        except self._full as error:
            raise _full(deployment, error) from None
        except self._raised:
            raise  # a defect of the replica's code, which every other replica has too
        except self._gone:
            raise ReplicaGone from None

    async def stream(self, deployment: str, method: str, *arguments: Any, key: str = "") -> AsyncGenerator[Any, None]:
        """Answers as they come."""
        handle = self._handles[deployment].options(method_name=method, session_id=key, stream=True)
        response = handle.remote(*arguments)
        ended = False
        try:
            async for answer in response:
                yield answer
            ended = True
        except self._full as error:
            raise _full(deployment, error) from None
        except self._raised:
            raise
        except self._gone:
            ended = True
            raise ReplicaGone from None
        finally:
            if not ended:
                response.cancel()

    async def broadcast(self, deployment: str, method: str) -> list[Any]:
        """An answer from each replica that lives and answers soon."""
        try:
            response = self._handles[deployment].options(method_name=method).broadcast(method)
            return list(await response.results_async(timeout_s=_BROADCAST_S))
        except self._raised:
            raise
        except (*self._gone, TimeoutError):
            return []


def _full(deployment: str, error: Any) -> Full:
    seconds = max(1, int(getattr(error, "retry_after_s", None) or 1))
    return Full(
        f"All replicas of {deployment} are busy and too many requests wait.", f"Try again in {seconds} s.", seconds
    )
