"""Which addresses text may go to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.remote.settings import RemoteSettings


@dataclass(frozen=True, slots=True)
class Address:
    """A remote's checked URL. `base` has no final slash and no `/v1`; `shown` is scheme, host and port alone."""

    name: str
    base: str
    shown: str
    host: str
    loopback: bool
    tls: bool

    def __str__(self) -> str:
        """As the user sees it: `pool (https://gpu.example:8000)`."""
        return f"{self.name} ({self.shown})"

    @staticmethod
    def of(name: str, remote: RemoteSettings) -> Address:
        """Raises `InklingError("remote-url")` for an address that text must not go to."""
        key = f"engine.remotes.{name}.url"
        if not remote.url:
            raise InklingError("remote-url", f"The remote engine {name} has no address.", f"Set {key}.")
        try:
            parts = urlsplit(remote.url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise InklingError(
                "remote-url", f"The address of the remote engine {name} is no URL.", f"Set {key}."
            ) from None
        if parts.scheme not in ("http", "https") or not host:
            raise InklingError(
                "remote-url", f"The address of the remote engine {name} is not http(s)://host.", f"Set {key}."
            )
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise InklingError(
                "remote-url",
                f"The address of the remote engine {name} holds more than scheme, host, port and path.",
                f"A token belongs into token_env or token_keyring, not into {key}.",
            )
        loopback, tls = is_loopback(host), parts.scheme == "https"
        if not tls and not loopback and not remote.allow_http:
            raise InklingError(
                "remote-url",
                f"The remote engine {name} is on another machine ({host}) without TLS: anyone between could read "
                "and change what is sent.",
                f"Use https, or set engine.remotes.{name}.allow_http = true if the network is your own.",
            )
        bracketed = f"[{host}]" if ":" in host else host
        shown = f"{parts.scheme}://{bracketed}" + (f":{port}" if port else "")
        return Address(name, shown + parts.path.rstrip("/").removesuffix("/v1"), shown, host, loopback, tls)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its very name; no name is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
