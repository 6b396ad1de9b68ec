"""Each deployment's options for Ray Serve, and a whole Serve config for `serve deploy` or KubeRay."""

from __future__ import annotations

from typing import Any

from inkling.engine.cluster.settings import ClusterSettings, ModelSpec, deployment_names
from inkling.engine.cluster.work import GATEWAY
from inkling.engine.protocol import Task
from inkling.engine.runtime import engine_environment
from inkling.engine.settings import EngineSettings

APPLICATION = "inkling"
_GATEWAY_TARGET = 200

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
}
"""Set on every node before `ray start`: nothing is reported to anybody, HTTP goes through HAProxy, and what a gateway
had not begun to answer when it ended is asked of another one. Inference changes nothing, so that is safe."""


def model_options(name: str, model: ModelSpec, settings: ClusterSettings) -> dict[str, Any]:
    """Of one model's deployment."""
    engine = EngineSettings(threads=max(1, int(model.cpus)))
    options: dict[str, Any] = {
        "name": name,
        "autoscaling_config": {
            "min_replicas": model.min_replicas,
            "max_replicas": model.max_replicas,
            "target_ongoing_requests": model.target_ongoing_requests,
            "upscale_delay_s": model.upscale_seconds,
            "downscale_delay_s": model.downscale_seconds,
        },
        "max_ongoing_requests": model.max_ongoing_requests,
        "max_queued_requests": model.max_queued_requests,
        "ray_actor_options": {
            "num_cpus": model.cpus,
            "num_gpus": model.gpus,
            # No hub token, no telemetry, no network, threads that do not spin: as in an engine on the user's machine.
            "runtime_env": {"env_vars": engine_environment(engine, {})},
        },
        **_life(settings),
    }
    if Task.TEXT_GENERATION in model.tasks:
        options["request_router_config"] = {
            "request_router_class": "inkling.engine.cluster.router.PrefixAffineRouter",
            "request_router_kwargs": {"spill": settings.spill},
        }
    return options


def gateway_options(settings: ClusterSettings) -> dict[str, Any]:
    """Of the gateways."""
    return {
        "name": GATEWAY,
        "autoscaling_config": {
            "min_replicas": settings.min_gateways,
            "max_replicas": settings.max_gateways,
            "target_ongoing_requests": _GATEWAY_TARGET,
        },
        "max_ongoing_requests": 10 * _GATEWAY_TARGET,
        "ray_actor_options": {"num_cpus": 0.1},
        **_life(settings),
    }


def _life(settings: ClusterSettings) -> dict[str, Any]:
    return {
        "graceful_shutdown_timeout_s": settings.drain_seconds,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 10.0,
        "max_constructor_retry_count": 3,  # a model that does not load is told, not tried for ever
    }


def serve_config(settings: ClusterSettings) -> dict[str, Any]:
    """A Serve config: the application builds its deployments from `args`, so they are not listed again."""
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": settings.host, "port": settings.port},
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        "applications": [
            {
                "name": APPLICATION,
                "route_prefix": "/",
                "import_path": "inkling.engine.cluster.application:build",
                "args": settings.arguments(),
            }
        ],
    }


def deployments(settings: ClusterSettings) -> list[str]:
    """Names of all deployments."""
    return [GATEWAY, *deployment_names(settings)]
