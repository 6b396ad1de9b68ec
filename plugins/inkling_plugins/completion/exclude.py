"""Documents that completion leaves alone, and never shows a model as context of another: secrets and excluded globs."""

from __future__ import annotations

from functools import lru_cache

from inkling_plugins.globs import matches

SECRET_GLOBS = (
    ".env", ".env.*", "*.env", ".envrc", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.asc",
    "*.gpg", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass",
    ".my.cnf", ".htpasswd", ".git-credentials", "credentials", "credentials.*", "secret.*", "secrets.*", "*.secret",
    "*.secrets", "*.tfvars", "*.tfstate", "*.tfstate.*", ".ssh/", ".aws/", ".gnupg/",
    "**/.kube/config", "**/.docker/config.json", "service-account*.json",
    "!.env.example", "!.env.sample", "!.env.template", "!*.pub",
)  # fmt: skip


@lru_cache(maxsize=1024)
def exclusion(uri: str, exclude: tuple[str, ...]) -> str | None:
    """The reason why a document is left alone, or None. `exclude` are globs as in a .gitignore."""
    if matches(uri, SECRET_GLOBS):
        return "secret-file"
    return "excluded" if matches(uri, exclude) else None
