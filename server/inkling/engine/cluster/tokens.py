"""The tokens that let a client in: never in a Serve config, which the dashboard shows, but on each node."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from inkling.engine.cluster.settings import ClusterSettings
from inkling.errors import InklingError

TOKEN_VARIABLE = "INKLING_CLUSTER_TOKEN"
SHORTEST = 16


def read_tokens(settings: ClusterSettings, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The tokens; none only where nobody but this machine can connect. Raises `InklingError("cluster-token")`.

    Several may hold at a time, so that a token can be changed without shutting anybody out.
    """
    if settings.token_file:
        tokens = _from_file(Path(settings.token_file).expanduser())
    else:
        token = environment.get(TOKEN_VARIABLE, "").strip()
        tokens = (token,) if token else ()
    if any(len(token) < SHORTEST or not token.isascii() for token in tokens):
        raise InklingError(
            "cluster-token",
            f"A token is shorter than {SHORTEST} ASCII characters.",
            "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if not tokens and not settings.is_loopback:
        where = (
            "through HAProxy, whose gateways listen on all interfaces," if settings.haproxy else f"on {settings.host}"
        )
        raise InklingError(
            "cluster-token",
            f"Serving {where} without a token is refused: whoever can connect could use it.",
            f"Set token_file, or {TOKEN_VARIABLE} on every node.",
        )
    return tokens


def _from_file(path: Path) -> tuple[str, ...]:
    try:
        mode = path.stat().st_mode
        lines = path.read_text("utf-8").split("\n")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise InklingError("cluster-token", f"The token file {path} cannot be read: {why}.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise InklingError("cluster-token", f"The token file {path} is open to others.", f"Run: chmod 600 {path}")
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not tokens:
        raise InklingError("cluster-token", f"The token file {path} holds no token.")
    return tokens
