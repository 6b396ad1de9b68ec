"""The table `[server]`: what concerns no single plugin. (`[engine]` is in `inkling.engine.settings`.)"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SECRET_FILES = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.asc",
    "*.gpg", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass",
    ".my.cnf", ".htpasswd", ".git-credentials", "credentials", "credentials.*", "*credentials*.json",
    "service-account*.json", "secret.*", "secrets.*", "*.secret", "*.secrets", "*.tfvars", "*.tfstate", "*.tfstate.*",
    ".ssh/", ".aws/", ".gnupg/", "**/.kube/config", "**/.docker/config.json",
)  # fmt: skip
"""In gitignore's terms: a name without a slash means a file or folder anywhere."""


@dataclass(frozen=True)
class Timeouts:
    """How long a plugin's method may take, in seconds, before its result is given up."""

    hover: float = field(default=5.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for a hover."})
    diagnostics: float = field(
        default=120.0, metadata={"min": 0.01, "max": 3600, "doc": "Seconds for one document's diagnostics."}
    )
    code_actions: float = field(
        default=5.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for listing code actions."}
    )
    code_lenses: float = field(default=10.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for code lenses."})
    completion: float = field(
        default=5.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for the completion list."}
    )
    inlay_hints: float = field(default=10.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for inlay hints."})
    semantic_tokens: float = field(
        default=10.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for colouring a document."}
    )
    workspace_symbols: float = field(
        default=10.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for finding symbols of the workspace."}
    )
    inline_completion: float = field(
        default=10.0, metadata={"min": 0.01, "max": 600, "doc": "Seconds for ghost text, from request to last token."}
    )
    resolver: float = field(
        default=300.0, metadata={"min": 0.01, "max": 3600, "doc": "Seconds for carrying out a chosen code action."}
    )
    command: float = field(default=600.0, metadata={"min": 0.01, "max": 86400, "doc": "Seconds for a command."})


@dataclass(frozen=True)
class ServerSettings:
    """Settings of the language server itself."""

    disabled_plugins: tuple[str, ...] = field(
        default=(), metadata={"merge": "append", "doc": "Names of plugins that are not loaded."}
    )
    enabled_plugins: tuple[str, ...] = field(
        default=("*",),
        metadata={"scope": "machine", "doc": "Patterns of plugin names that may be loaded."},
    )
    models: tuple[str, ...] = field(
        default=(),
        metadata={
            "scope": "machine",
            "merge": "append",
            "doc": "Patterns of model ids that an untrusted workspace may name, such as `my-team/*`.",
        },
    )
    log_level: Literal["error", "warning", "info", "debug"] = field(
        default="info", metadata={"doc": "How much the server's log says. It never holds document text."}
    )
    exclude: tuple[str, ...] = field(
        default=(), metadata={"scope": "hiding", "merge": "append", "doc": "Globs of files that get no features."}
    )
    secret_files: tuple[str, ...] = field(
        default=SECRET_FILES,
        metadata={"scope": "machine", "doc": "Globs of files that no plugin and no model ever sees."},
    )
    max_document_size: int = field(
        default=20_000_000,
        metadata={"min": 0, "max": 2_000_000_000, "doc": "Characters above which a document gets no features."},
    )
    start_engine: bool = field(
        default=True, metadata={"doc": "Start the engine in the background after the editor has connected."}
    )
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def hidden_files(self) -> tuple[str, ...]:
        """All globs of files without features, in gitignore's terms; the secret ones last, so that none is let in."""
        return (*self.exclude, *self.secret_files)
