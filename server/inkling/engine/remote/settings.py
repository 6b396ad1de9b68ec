"""The tables `[engine.remotes.NAME]` of inkling.toml: another machine's models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Kind = Literal["auto", "openai", "tei", "hf-inference", "inkling"]
FimWay = Literal[
    "auto", "none", "suffix", "infill", "qwen", "codegemma", "fim-bars", "starcoder2", "starcoder", "fim-angles",
    "santacoder", "deepseek-coder", "codellama", "seed-coder", "codestral",
]  # fmt: skip

LOCAL = "local"
"""The name of this machine's own engine in `[engine.routes]`."""

_SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|password|(^|-)key$|^api-?key|auth", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FimMarkers:
    """A model's own fill-in-the-middle markers, written as prefix marker, text, suffix marker, text, middle marker."""

    prefix: str = ""
    """What stands before the text that precedes the cursor."""

    suffix: str = ""
    """What stands before the text that follows it."""

    middle: str = ""
    """What the model goes on from."""

    file: str = ""
    """What stands before another file's path; empty where the model knows none."""

    ends: tuple[str, ...] = ()
    """Tokens that end the middle, where the server does not stop at them by itself."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """One remote engine. Credentials are named here, never written here."""

    url: str = ""
    """Its address, such as `https://gpu.example:8000`; a final `/v1` may be there or not."""

    kind: Kind = "auto"
    """What it speaks: OpenAI's format (vLLM, llama.cpp, Ollama, TGI), TEI's, Hugging Face's inference format, or
    Inkling's own; `auto` asks it once."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Model names: as in your settings = as over there; `"*"` names the model for all others."""

    token_env: str = field(default="", metadata={"scope": "user"})
    """The environment variable that holds the token."""

    token_keyring: str = field(default="", metadata={"scope": "user"})
    """The keyring entry that holds the token, as `service/user` (needs the package `keyring`)."""

    token_header: str = field(default="authorization", metadata={"scope": "user"})
    """The header that carries the token: `authorization` as a bearer token, any other one as it is."""

    headers: Mapping[str, str] = field(default_factory=dict, metadata={"scope": "user"})
    """Further headers; none that holds a secret."""

    timeout_seconds: float = field(default=60.0, metadata={"min": 0.1, "max": 3600})
    """The longest wait for a reply, and the longest silence within a stream."""

    connect_seconds: float = field(default=5.0, metadata={"min": 0.1, "max": 120})
    """The longest wait for a connection."""

    ca_file: str = field(default="", metadata={"scope": "user"})
    """Certificates (PEM) to trust for this remote in place of the system's."""

    proxy: str = field(default="", metadata={"scope": "user"})
    """An HTTP proxy for this remote; empty takes the environment's, `none` takes none."""

    allow_http: bool = field(default=False, metadata={"scope": "user"})
    """Send text over plain HTTP to another machine."""

    fim: FimWay | FimMarkers = "auto"
    """How text after the cursor is told: `auto` by the model's name, a family's markers, markers of your own as
    `{ prefix = "…", suffix = "…", middle = "…" }`, the server's `suffix` or `infill`, or `none`."""

    prompt_tokens: int = field(default=2048, metadata={"min": 64, "max": 1_000_000})
    """The most tokens of a completion's prompt, as estimated from its characters."""

    def name_of(self, model: str) -> str:
        """What a model is called over there."""
        return self.models.get(model) or self.models.get("*") or model

    REFUSED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("token", "api_key", "apikey", "key", "password", "authorization", "bearer"),
        "a secret does not belong into a settings file. Put it into an environment variable and name that in "
        "token_env, or into the system's keyring and name the entry in token_keyring.",
    )
    """Keys that are no settings, and why."""


def remote_problems(name: str, remote: RemoteSettings) -> list[tuple[str, str]]:
    """(dotted key, what is wrong with it) for what no single value shows."""
    from inkling.engine.remote.address import Address
    from inkling.errors import InklingError

    at = f"engine.remotes.{name}"
    found: list[tuple[str, str]] = []
    if name == LOCAL:
        found.append((at, f'"{LOCAL}" is this machine\'s own engine; choose another name.'))
    try:
        Address.of(name, remote)
    except InklingError as error:
        found.append((f"{at}.url", str(error)))
    found += [
        (f"{at}.headers", f'The header "{header}" may hold a secret: use token_header with token_env or token_keyring.')
        for header in remote.headers
        if _SECRET_HEADER.search(header)
    ]
    if isinstance(remote.fim, FimMarkers) and not (remote.fim.prefix and remote.fim.suffix and remote.fim.middle):
        found.append((f"{at}.fim", "Markers of your own are three: prefix, suffix and middle."))
    return found
