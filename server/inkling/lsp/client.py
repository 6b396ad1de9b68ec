"""What the client said about itself in `initialize`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ENCODINGS = ("utf-8", "utf-16", "utf-32")


class Client:
    """Reads capabilities by path, so that an oddly shaped one is simply absent."""

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        params = params or {}
        self.capabilities = params.get("capabilities") or {}
        info = params.get("clientInfo")
        self.name = str(info.get("name", ""))[:64] if isinstance(info, Mapping) else ""
        self.process_id = params.get("processId") if isinstance(params.get("processId"), int) else None
        offered = self.get("general.positionEncodings")
        known = [name for name in offered if name in _ENCODINGS] if isinstance(offered, list) else []
        self.position_encoding: str = known[0] if known else "utf-16"

    def get(self, path: str) -> Any:
        """The capability at a dotted path, or None."""
        node: Any = self.capabilities
        for key in path.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def can(self, path: str) -> bool:
        """Whether the capability is there: true, or an object that describes it."""
        found = self.get(path)
        return found is True or isinstance(found, Mapping)

    @property
    def pulls_diagnostics(self) -> bool:
        """Whether it asks for diagnostics; otherwise they are published."""
        return self.can("textDocument.diagnostic")

    @property
    def resolves_edits(self) -> bool:
        """Whether it asks for a code action's edit when the action is chosen."""
        properties = self.get("textDocument.codeAction.resolveSupport.properties")
        return isinstance(properties, list) and "edit" in properties
