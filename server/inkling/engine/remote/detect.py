"""Which format a server speaks, by what it says of itself. No text of the user's is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkling.engine.remote.base import RemoteEngine
from inkling.engine.remote.hf_inference import HfInferenceEngine
from inkling.engine.remote.inkling import InklingEngine
from inkling.engine.remote.openai import OpenAIEngine
from inkling.engine.remote.settings import Kind
from inkling.engine.remote.tei import TeiEngine
from inkling.engine.remote.transport import Transport
from inkling.errors import InklingError

ENGINES: dict[Kind, type[RemoteEngine] | type[InklingEngine]] = {
    "inkling": InklingEngine,
    "openai": OpenAIEngine,
    "tei": TeiEngine,
    "hf-inference": HfInferenceEngine,
}

_UNANSWERED = frozenset({"remote-not-found", "bad-output", "remote-refused", "remote-error", "model-not-found"})
"""Answers that only say that this was the wrong question."""

_TIME_S = 10.0


async def detect(transport: Transport) -> Kind:
    """Raises `remote-kind` when nothing is recognized, and what stands in the way of asking."""
    health = await _ask(transport, "/health")
    if isinstance(health, Mapping) and "protocol" in health and "version" in health:
        return "inkling"
    info = await _ask(transport, "/info")
    if isinstance(info, Mapping) and isinstance(info.get("model_type"), Mapping):
        return "tei"
    models = await _ask(transport, "/v1/models")
    if isinstance(models, Mapping) and isinstance(models.get("data"), list):
        return "openai"
    raise InklingError(
        "remote-kind",
        f"What {transport.address} speaks cannot be told from what it answers.",
        f"Set engine.remotes.{transport.name}.kind.",
    )


async def _ask(transport: Transport, path: str) -> Any:
    try:
        return await transport.get(path, timeout_s=_TIME_S)
    except InklingError as error:
        if error.reason in _UNANSWERED:
            return None
        raise
