"""What went wrong at a remote, in words for the user that hold neither the token nor what was sent.

A server's own words are passed on only when no part of the text sent comes back in them: many servers answer a bad
request by quoting it.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from inkling.engine.remote.address import Address
from inkling.engine.remote.token import Token
from inkling.errors import InklingError

_LONGEST_WORDS = 200
_ECHO = 10
"""Equal characters from which words count as a quotation."""

_NO_SUCH_PATH = frozenset({"", "Not Found", "Not found"})
"""What frameworks say of a path that nobody serves."""

_SLUG = re.compile(r"[a-z][a-z-]{2,40}")
_NAMES = frozenset({"model", "role", "task", "src_lang", "tgt_lang"})


def no_reply(address: Address, error: BaseException) -> InklingError:
    """A call that ended without a reply."""
    import httpx2

    problem = _certificate_problem(error)
    if problem is not None:
        return InklingError(
            "remote-certificate",
            f"The certificate of {address} is not trusted: {problem}.",
            f"If it is signed by an authority of your own, name its file in engine.remotes.{address.name}.ca_file.",
        )
    if isinstance(error, httpx2.ProxyError):
        return InklingError("remote-unreachable", f"The proxy on the way to {address} refuses.", "Check its address.")
    if isinstance(error, httpx2.ConnectTimeout):
        return _unreachable(address, "does not answer")
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return InklingError(
            "timeout",
            f"{address} did not answer in time.",
            f"It may be loading a model; or raise engine.remotes.{address.name}.timeout_seconds.",
        )
    if isinstance(error, httpx2.ConnectError):
        return _unreachable(address, "cannot be reached")
    return _unreachable(address, "closed the connection without an answer")


def _unreachable(address: Address, how: str) -> InklingError:
    return InklingError("remote-unreachable", f"{address} {how}.", "Is it up? `inkling doctor` asks it.")


def is_certificate_problem(error: BaseException) -> bool:
    """Whether TLS refused the other side: asking again cannot help."""
    return _certificate_problem(error) is not None


def _certificate_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "it cannot be verified"
        error = error.__cause__ or error.__context__
    return None


def cut_short(address: Address) -> InklingError:
    """A stream that ended before it said that it was done."""
    return InklingError(
        "remote-cut", f"The stream from {address} broke off.", "What came of it is incomplete: try again."
    )


def bad_output(address: Address, what: str) -> InklingError:
    """A reply of an unknown shape."""
    kind = f"engine.remotes.{address.name}.kind"
    return InklingError("bad-output", f"{address} answered with {what}.", f"Does {kind} say what it speaks?")


def bad_status(
    address: Address, status: int, headers: Mapping[str, str], content: bytes, *, path: str, sent: Any, token: Token
) -> InklingError:
    """A reply that is no success."""
    data = _json(content)
    words = words_of(data, sent, token)
    said = f" It says: {words.rstrip('.')}." if words else ""
    if 300 <= status < 400:
        from urllib.parse import urlsplit

        there = urlsplit(headers.get("location", ""))
        to = f"{there.scheme}://{there.netloc}" if there.netloc else "another path"
        return InklingError(
            "remote-redirect",
            f"{address} sends requests on to {to}. Text is not sent there.",
            f"If that is right, put the new address into engine.remotes.{address.name}.url.",
        )
    if status in (401, 403):
        how = "was refused" if token else "is needed"
        return InklingError(
            "remote-auth",
            f"{address} answered with HTTP status {status}: a token {how}.",
            f"Check engine.remotes.{address.name}.token_env or token_keyring.",
        )
    if ours := _ours(address, data, sent, token):
        return ours
    if status == 404 and words in _NO_SUCH_PATH:
        return InklingError(
            "remote-not-found",
            f"{address} has nothing at {path}.",
            f"Check engine.remotes.{address.name}.url and kind.",
        )
    if status == 404 or (words and "model" in words.lower() and _is_unknown_model(data)):
        return InklingError(
            "model-not-found",
            f"{address} does not have what was asked for.{said}",
            f"Name one of its models, or map yours in engine.remotes.{address.name}.models.",
        )
    if status == 413:
        return InklingError("too-large", f"{address} takes no request of this size.{said}", "Select less text.")
    if status in (429, 503):
        seconds = retry_after_s(headers)
        again = f"Try again in {seconds:g} s." if seconds is not None else "Try again later."
        return InklingError("engine-busy", f"{address} is busy (HTTP status {status}).{said}", again)
    if status in (502, 504):
        return InklingError("remote-unreachable", f"The server behind {address} does not answer.", "Is it up?")
    if status >= 500:
        return InklingError("remote-error", f"{address} failed (HTTP status {status}).{said}", "See its own log.")
    return InklingError("remote-refused", f"{address} refused the request (HTTP status {status}).{said}", "")


def lost_gateway(address: Address) -> InklingError:
    """What `is_lost_gateway` recognizes."""
    return _unreachable(address, "lost the gateway that had this request")


def is_lost_gateway(status: int, data: bytes) -> bool:
    """A pool's HAProxy, whose Ray makes a plain 500 of its 502, 503 and 504: whatever answers for Inkling says why."""
    return status == 500 and not isinstance(_json(data), Mapping)


def html_page(address: Address) -> InklingError:
    """What login pages and misled proxies answer."""
    return InklingError(
        "remote-not-engine",
        f"{address} answered with a web page, not with a model's result.",
        "Is it a login page or a proxy's? Check the address.",
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After` as a number or as a date."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:  # "-0000", or no zone at all
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def words_of(data: Any, sent: Any, token: Token) -> str:
    """A short word of the server's, empty when there is none or when it may quote what was sent."""
    found: Any = data
    for key in ("error", "message", "detail"):
        if isinstance(found, Mapping) and key in found:
            found = found[key]
    if not isinstance(found, str):
        return ""
    line = " ".join(token.redact(found).split())[:_LONGEST_WORDS]
    return "" if any(_quotes(line, text) for text in _texts(sent)) else line


def _quotes(line: str, text: str) -> bool:
    if len(text) < _ECHO:
        return False
    flat = " ".join(text.split())
    return any(line[at : at + _ECHO] in flat for at in range(max(1, len(line) - _ECHO + 1)))


def _texts(sent: Any) -> Iterator[str]:
    if isinstance(sent, str):
        yield sent
    elif isinstance(sent, Mapping):
        for key, value in sent.items():
            if key not in _NAMES:
                yield from _texts(value)
    elif isinstance(sent, list | tuple):
        for value in sent:
            yield from _texts(value)


def _ours(address: Address, data: Any, sent: Any, token: Token) -> InklingError | None:
    """An error of Inkling's own engine, which says what to do."""
    error = data.get("error") if isinstance(data, Mapping) else None
    if not isinstance(error, Mapping) or not _SLUG.fullmatch(str(error.get("reason", ""))):
        return None
    message, hint = (words_of({"message": error.get(key)}, sent, token) for key in ("message", "hint"))
    return InklingError(str(error["reason"]), f"{address}: {message}", hint) if message else None


def _is_unknown_model(data: Any) -> bool:
    error = data.get("error") if isinstance(data, Mapping) else None
    return isinstance(error, Mapping) and "model" in f"{error.get('code')} {error.get('param')} {error.get('type')}"


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
