"""Documents that completion leaves alone, and never shows a model as context of another: secrets and excluded globs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathspec import PathSpec

SECRET_GLOBS = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.asc",
    "*.gpg", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass",
    ".my.cnf", ".htpasswd", ".git-credentials", "credentials", "credentials.*", "secret.*", "secrets.*", "*.secret",
    "*.secrets", "*.tfvars", "*.tfstate", "*.tfstate.*", ".ssh/**", ".aws/**", ".gnupg/**", ".kube/config",
    ".docker/config.json", "service-account*.json", "!.env.example", "!.env.sample", "!.env.template", "!*.pub",
)  # fmt: skip


@lru_cache(maxsize=32)
def _spec(globs: tuple[str, ...]) -> PathSpec[Any]:
    from pathspec import PathSpec  # on first use: not needed to start the server

    return PathSpec.from_lines("gitignore", globs)


def path_of(uri: str) -> str:
    """The document's path without its root, for globs; a URI that is not a file's gives its path part."""
    return unquote(urlsplit(uri).path).lstrip("/")


def exclusion(uri: str, exclude: Sequence[str]) -> str | None:
    """The reason why a document is left alone, or None. `exclude` are globs as in a .gitignore."""
    path = path_of(uri)
    if _spec(SECRET_GLOBS).match_file(path):
        return "secret-file"
    if exclude and _spec(tuple(exclude)).match_file(path):
        return "excluded"
    return None
