"""Take out of a file what a model must not learn to repeat: keys, tokens, private keys, e-mail addresses."""

from __future__ import annotations

import re

_SECRETS = [
    re.compile(pattern)
    for pattern in (
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+?-----END [A-Z ]*PRIVATE KEY-----",
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        r"\bgh[pousr]_[A-Za-z0-9]{30,}\b",
        r"\bgithub_pat_[A-Za-z0-9_]{40,}\b",
        r"\bglpat-[A-Za-z0-9_-]{20,}",
        r"\bhf_[A-Za-z0-9]{30,}\b",
        r"\bsk-[A-Za-z0-9_-]{20,}",
        r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
        r"\bAIza[0-9A-Za-z_-]{35}\b",
        r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"\b[0-9a-fA-F]{40,}\b",
    )
]
_PASSWORD = re.compile(r"(?i)\b(password|passwd|secret|api_?key|token)(\s*[:=]\s*)(['\"])[^'\"\s]{8,}\3")
# the reserved example domains name nobody
_EMAIL = re.compile(r"\b[A-Za-z0-9._%+-]+@(?!example\.(?:com|org)\b)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b")
_URL_LOGIN = re.compile(r"(://)[^/\s:@'\"]+:[^/\s:@'\"]+@")


def scrub(text: str) -> tuple[str, int]:
    """Return ``text`` with secrets and addresses replaced by placeholders, and how many there were."""
    count = 0
    for pattern in _SECRETS:
        text, n = pattern.subn("<secret>", text)
        count += n
    text, n = _PASSWORD.subn(r"\1\2\3<secret>\3", text)
    count += n
    text, n = _URL_LOGIN.subn(r"\1user:<secret>@", text)
    count += n
    text, n = _EMAIL.subn("user@example.com", text)
    return text, count + n
