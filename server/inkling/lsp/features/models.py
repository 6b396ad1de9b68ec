"""`inkling/models`: the models on this machine and the settings that name one, for an editor's list to choose from.

The reply: `models`, each with `id`, `tasks`, `bytes`, `licence` and `description`; and `uses`, each with the setting's
`key` (`complete.model`), the `model` that it names now, and the `tasks` that a model must do to take its place, empty
when that is not known.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inkling.engine.models.model_source import ModelSource
    from inkling.lsp.session import Session


def register(session: Session) -> None:
    """Register the request."""

    @session.server.feature("inkling/models")
    def models(params: Any) -> Awaitable[dict[str, Any]]:
        named = {
            f"{entry.name}.{field.name}": getattr(entry.plugin.settings, field.name)
            for entry in session.host.entries
            if entry.plugin is not None
            for field in dataclasses.fields(entry.plugin.settings)
            if field.metadata.get("scope") == "model" and field.type in (str, "str")
        }
        return asyncio.to_thread(_survey, named, list(session.configuration.roots))


def _survey(named: dict[str, str], roots: list[Path]) -> dict[str, Any]:
    """Reads folders: not for the event loop."""
    from inkling.engine.models import catalog
    from inkling.errors import InklingError

    def tasks(model: str) -> list[str]:
        try:
            source = catalog.resolve(model, root=roots[0] if roots else None) if model else None
        except InklingError:
            return []
        return [str(source.task)] if source is not None and source.task else []

    def facts(source: ModelSource) -> dict[str, Any]:
        return {
            "id": source.id,
            "tasks": [str(task) for task in source.tasks],
            "bytes": source.bytes,
            "licence": source.licence,
            "description": source.description,
        }

    found = [entry.source for entry in (*catalog.list_starters(), *catalog.list_cached())]
    return {
        "models": [facts(source) for source in found if source is not None],
        "uses": [{"key": key, "model": model, "tasks": tasks(model)} for key, model in sorted(named.items())],
    }
