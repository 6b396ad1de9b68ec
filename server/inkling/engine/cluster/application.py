"""The Ray Serve application: `import_path: inkling.engine.cluster.application:build` in a Serve config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkling.engine.app import app_around
from inkling.engine.asgi import Guard
from inkling.engine.cluster import routes
from inkling.engine.cluster.handles import RayReplicas
from inkling.engine.cluster.options import gateway_options, model_options
from inkling.engine.cluster.replica import ModelReplica
from inkling.engine.cluster.replies import CannotServe, Numbers
from inkling.engine.cluster.settings import deployment_names, settings_from
from inkling.engine.cluster.tokens import TOKEN_VARIABLE, read_tokens
from inkling.engine.cluster.work import GATEWAY, ClusterWork
from inkling.errors import InklingError


class Gateway:
    """Takes HTTP, checks the token, and gives the work to the models' replicas. Holds no model."""

    async def __init__(self, arguments: Mapping[str, Any], *handles: Any) -> None:  # type: ignore[misc]
        from ray import serve

        try:
            settings = settings_from(arguments)
            self._tokens = read_tokens(settings)
        except InklingError as error:
            raise CannotServe(str(error)) from None
        self._where = settings.token_file or TOKEN_VARIABLE
        context = serve.get_replica_context()
        self._replica = str(context.replica_id.unique_id)
        by_name = dict(zip(deployment_names(settings), handles, strict=True))
        by_name[GATEWAY] = serve.get_deployment_handle(GATEWAY, context.app_name)
        self._work = ClusterWork(settings, RayReplicas(by_name))

    def __serve_build_asgi_app__(self) -> Any:
        """The engine's app; called by Ray Serve once, after the constructor."""
        from collections.abc import AsyncGenerator
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def work() -> AsyncGenerator[ClusterWork, None]:
            try:
                yield self._work
            finally:
                self._work.hub.close()

        app = app_around(work, first=routes.routes())
        return Guard(
            app, tokens=self._tokens, hosts=None, open_paths=routes.OPEN_PATHS, where=f"the cluster's {self._where}"
        )

    async def numbers(self) -> Numbers:
        """For the metrics page."""
        return self._work.numbers(self._replica)


def build(arguments: Mapping[str, Any]) -> Any:
    """The application for `ClusterSettings` as plain values. Raises `InklingError("cluster-settings")`."""
    from ray import serve

    settings = settings_from(arguments)
    models = [
        serve.deployment(ModelReplica).options(**model_options(name, model, settings)).bind(model)
        for name, model in zip(deployment_names(settings), settings.models, strict=True)
    ]
    gateway = serve.deployment(serve.ingress()(Gateway)).options(**gateway_options(settings))
    return gateway.bind(dict(arguments), *models)
