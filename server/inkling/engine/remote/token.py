"""A remote's token: from the environment or the system's keyring, and never into words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inkling.errors import InklingError

if TYPE_CHECKING:
    from inkling.engine.remote.settings import RemoteSettings

_HIDDEN = "•••"


class Token:
    """A secret that shows itself only where it is asked for by `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return f"Token({_HIDDEN if self else ''})"

    def __bool__(self) -> bool:
        return bool(self._value)

    def reveal(self) -> str:
        """The token itself, for the one header that carries it."""
        return self._value

    def redact(self, text: str) -> str:
        """`text` without the token."""
        return text.replace(self._value, _HIDDEN) if self._value else text


def source_of(remote: RemoteSettings) -> str:
    """Where the token comes from, in words; empty when none is named."""
    if remote.token_env:
        return f"the environment variable {remote.token_env}"
    return f"the keyring entry {remote.token_keyring}" if remote.token_keyring else ""


def find_token(name: str, remote: RemoteSettings) -> Token:
    """The token that the settings name; an empty one when they name none. A keyring may block: call it on a thread.

    Raises `InklingError("remote-token")` when it is named and not there.
    """
    where = source_of(remote)
    if not where:
        return Token("")
    value = os.environ.get(remote.token_env, "") if remote.token_env else _from_keyring(name, remote.token_keyring)
    value = value.strip()
    if not value:
        raise InklingError(
            "remote-token",
            f"There is no token for the remote engine {name} in {where}.",
            "Set it where the editor is started from, then restart the language server."
            if remote.token_env
            else f"Store it with: keyring set {remote.token_keyring.replace('/', ' ', 1)}",
        )
    if not (value.isascii() and value.isprintable()):
        raise InklingError("remote-token", f"The token in {where} has characters that no header can carry.")
    return Token(value)


def _from_keyring(name: str, entry: str) -> str:
    service, slash, user = entry.partition("/")
    if not (slash and service and user):
        raise InklingError(
            "remote-settings", f'engine.remotes.{name}.token_keyring is "service/user", such as "inkling/{name}".'
        )
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise InklingError(
            "missing-package",
            f"The token of the remote engine {name} is in the keyring, and the package `keyring` is not installed.",
            "Install it beside Inkling: pip install keyring",
        ) from None
    try:
        return keyring.get_password(service, user) or ""
    except Exception as error:  # each platform's keyring has errors of its own; their words may hold anything
        raise InklingError(
            "remote-token", f"The system's keyring cannot be read ({type(error).__name__}).", "Is it unlocked?"
        ) from None
