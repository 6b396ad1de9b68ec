"""The parts of a document's URI, whatever a client has made it of."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

_URI = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)")
"""RFC 3986, appendix B. It matches every string; `urlsplit` refuses some, such as one with a `[` for a host."""


def split_uri(uri: str) -> tuple[str, str, str]:
    """(scheme in lower case, authority, path), the path still percent-encoded; what is missing is empty."""
    match = _URI.match(uri)
    assert match is not None
    scheme, authority, path = match.groups(default="")
    return scheme.lower(), authority, path


def uri_path(uri: str) -> str:
    """The document's path without its root, decoded: what globs are matched against. Never raises."""
    return unquote(split_uri(uri)[2]).lstrip("/")


def file_path(uri: str) -> Path:
    """Where a `file:` URI lies on this machine, absolute."""
    path = split_uri(uri)[2]
    if os.name != "nt":
        return Path(unquote(path))
    from urllib.request import url2pathname  # takes an HTTP client and TLS along

    return Path(url2pathname(path))
