"""HTTP to one remote: certificates, proxy, time-outs, one retry, and bounds on what comes back.

A call that answers once is repeated one time when the connection fails, the server says 502 or 503, or a pool of ours
has lost the gateway; a stream only as long as it has not begun. Redirects are not followed: text goes where the
settings say and nowhere else.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from inkling import __version__
from inkling.engine.remote import failures
from inkling.engine.remote.address import Address
from inkling.engine.remote.patience import Patience
from inkling.engine.remote.settings import RemoteSettings, remote_problems
from inkling.engine.remote.token import Token, find_token
from inkling.engine.wire import dumps, parse
from inkling.errors import InklingError

MAX_REPLY = 64 * 1024 * 1024
"""The largest reply, in bytes."""

_LONGEST_WAIT_S = 5.0
"""A server that asks for a longer wait before the retry is not waited for: the error says when to come back."""

_PAUSE_S = 0.2

DONE: dict[str, Any] = {"inkling-stream": "done"}
"""What `stream` yields last when the server said that the stream is complete."""


class Transport:
    """Belongs to one event loop. Nothing is imported, read or opened before the first call."""

    def __init__(self, name: str, remote: RemoteSettings, *, headers: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.remote = remote
        self.patience = Patience()
        self.ours = False
        """Whether Inkling is at the other end, so that all its errors have words."""
        self._headers = dict(headers or {})
        self._token = Token("")
        self._http: Any = None
        self._opening = asyncio.Lock()

    @property
    def address(self) -> Address:
        """Raises `InklingError("remote-url")`."""
        return Address.of(self.name, self.remote)

    async def get(self, path: str, *, timeout_s: float | None = None) -> Any:
        """The JSON at a path; raises what `post` raises."""
        return await self._unary("GET", path, None, timeout_s)

    async def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """The JSON that answers a body. Raises `InklingError` with a reason of `failures`."""
        return await self._unary("POST", path, body, timeout_s)

    async def _unary(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float | None) -> Any:
        httpx2 = await _import_http()
        content = None if body is None else dumps(body)
        limit_s = timeout_s or self.remote.timeout_seconds
        for attempt in (0, 1):
            self.patience.check()
            http = await self._client()
            try:
                async with (
                    asyncio.timeout(limit_s),
                    http.stream(method, path, content=content, headers=_JSON if content else {}) as response,
                ):
                    data = await self._read(response)
                    status, headers = response.status_code, response.headers
            except (httpx2.TransportError, OSError) as error:  # TimeoutError is an OSError
                if attempt == 0 and _may_repeat(error):
                    await asyncio.sleep(_PAUSE_S)
                    continue
                raise self._failed(error) from None
            if attempt == 0 and self._may_ask_again(status, data) and await _waited(headers):
                continue
            return await self._checked(status, headers, data, path, body)
        raise AssertionError("unreachable")

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The payloads of a stream of server-sent events, then `DONE` when the server said that it is complete.

        A server that answers in one piece gives one payload and `DONE`. Raises `remote-cut` when the connection
        breaks after the first payload. Close the generator to stop the server's work.
        """
        httpx2 = await _import_http()
        content = dumps(body)
        for attempt in (0, 1):
            self.patience.check()
            http = await self._client()
            started = False
            try:
                async with http.stream("POST", path, content=content, headers=_JSON) as response:
                    status, headers = response.status_code, response.headers
                    if status >= 300 or not _is_event_stream(headers):
                        data = await self._read(response)
                        if attempt == 0 and self._may_ask_again(status, data) and await _waited(headers):
                            continue
                        yield await self._checked(status, headers, data, path, body)
                        yield DONE
                        return
                    self.patience.answered()
                    async with aclosing(_payloads(httpx2, response, self.address)) as payloads:
                        async for payload in payloads:
                            if payload.get("error") and not payload.get("choices"):
                                raise self._told(payload, body)
                            started = True
                            yield payload
                return
            except (httpx2.TransportError, OSError) as error:
                if isinstance(error, httpx2.SSEError):
                    raise failures.bad_output(self.address, "events of no bound") from None
                if started:
                    late = isinstance(error, httpx2.TimeoutException)
                    raise (self._failed(error) if late else failures.cut_short(self.address)) from None
                if attempt == 0 and _may_repeat(error):
                    await asyncio.sleep(_PAUSE_S)
                    continue
                raise self._failed(error) from None

    def _told(self, payload: Mapping[str, Any], body: Mapping[str, Any]) -> InklingError:
        """An error inside a started stream."""
        data = json.dumps(payload).encode()
        return failures.bad_status(self.address, 500, {}, data, path="", sent=body, token=self._token)

    def _may_ask_again(self, status: int, data: bytes) -> bool:
        return status in (502, 503) or (self.ours and failures.is_lost_gateway(status, data))

    async def _read(self, response: Any) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > MAX_REPLY:
                raise failures.bad_output(self.address, f"more than {MAX_REPLY >> 20} MiB")
            parts.append(part)
        return b"".join(parts)

    async def _checked(self, status: int, headers: Mapping[str, str], data: bytes, path: str, sent: Any) -> Any:
        address = self.address
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.ours and failures.is_lost_gateway(status, data):
            error = failures.lost_gateway(address)
            self.patience.unreachable(error)
            raise error
        if status not in (502, 504) and (status >= 300 or not kind.endswith("html")):
            self.patience.answered()
        if status >= 300:
            error = failures.bad_status(address, status, headers, data, path=path, sent=sent, token=self._token)
            if status in (502, 504):  # a proxy answers; what is behind it does not
                self.patience.unreachable(error)
            if status in (429, 503) and (seconds := failures.retry_after_s(headers)) is not None:
                self.patience.asked_to_wait(error, seconds)
            raise error
        if kind.endswith("html"):
            raise failures.html_page(address)
        try:
            return await parse(data)
        except (ValueError, RecursionError):
            raise failures.bad_output(address, "something that is not JSON") from None

    def _failed(self, error: BaseException) -> InklingError:
        told = failures.no_reply(self.address, error)
        if told.reason in ("remote-unreachable", "remote-certificate"):
            self.patience.unreachable(told)
        return told

    async def _client(self) -> Any:
        if self._http is not None:
            return self._http
        async with self._opening:
            if self._http is None:
                problems = remote_problems(self.name, self.remote)
                if problems:
                    key, words = problems[0]
                    raise InklingError("remote-settings", f"{key}: {words}")
                address = self.address
                self._token = await asyncio.to_thread(find_token, self.name, self.remote)
                try:
                    self._http = await asyncio.to_thread(self._open, address)
                except (ImportError, ValueError) as error:  # a proxy of a kind, or a header of letters, that cannot be
                    raise InklingError(
                        "remote-settings",
                        f"{address} cannot be asked with these settings ({type(error).__name__}).",
                        f"Look at proxy and headers in engine.remotes.{self.name}, and at ALL_PROXY and its like.",
                    ) from None
            return self._http

    def _open(self, address: Address) -> Any:
        import httpx2

        remote = self.remote
        transport = httpx2.AsyncHTTPTransport(
            verify=_certificates(address, remote),
            proxy=_proxy(address, remote),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=60.0),
            trust_env=False,
        )
        headers = {"user-agent": f"inkling/{__version__}", **remote.headers, **self._headers}
        if self._token:
            bearer = remote.token_header.lower() == "authorization"
            headers[remote.token_header] = f"Bearer {self._token.reveal()}" if bearer else self._token.reveal()
        # trust_env off: the environment may choose a proxy (see `_proxy`), but a netrc has no say in what is sent.
        return httpx2.AsyncClient(
            transport=transport,
            base_url=address.base,
            headers=headers,
            timeout=httpx2.Timeout(remote.timeout_seconds, connect=remote.connect_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections; a later call opens new ones and reads the token again."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()


_JSON = {"content-type": "application/json"}


async def _import_http() -> Any:
    # Tens of milliseconds of imports: not on the event loop.
    return await asyncio.to_thread(importlib.import_module, "httpx2")


async def _waited(headers: Mapping[str, str]) -> bool:
    """Wait as long as the server asks before the retry; False when that is too long."""
    seconds = failures.retry_after_s(headers)
    if seconds is not None and seconds > _LONGEST_WAIT_S:
        return False
    await asyncio.sleep(_PAUSE_S if seconds is None else seconds)
    return True


def _may_repeat(error: BaseException) -> bool:
    """Whether asking again could help: the connection failed, and not for lack of time or trust."""
    import httpx2

    if isinstance(error, httpx2.TimeoutException | TimeoutError | httpx2.UnsupportedProtocol | httpx2.SSEError):
        return False
    return not failures.is_certificate_problem(error)


def _is_event_stream(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"


async def _payloads(httpx2: Any, response: Any, address: Address) -> AsyncGenerator[dict[str, Any], None]:
    """A stream's events. One that cannot be read ends it: going on without would leave a hole in the text."""
    source: Any = aiter(httpx2.EventSource(response))
    async with aclosing(source) as events:
        async for event in events:
            if event.data.strip() == "[DONE]":
                yield DONE
                return
            if not event.data.strip():
                continue
            try:
                data = json.loads(event.data)
            except (ValueError, RecursionError):
                data = None
            if not isinstance(data, dict):
                raise failures.bad_output(address, "an event that is no JSON object")
            yield data


def _certificates(address: Address, remote: RemoteSettings) -> ssl.SSLContext:
    import httpx2

    if not address.tls:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; loading the system's would take longer
    if not remote.ca_file:
        return httpx2.create_ssl_context()
    path = Path(remote.ca_file).expanduser()
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "it holds no certificates"
        raise InklingError(
            "remote-settings", f"{path} (engine.remotes.{address.name}.ca_file) cannot be used: {why}."
        ) from None


def _proxy(address: Address, remote: RemoteSettings) -> str | None:
    """The proxy's URL. The environment's is never used for this machine."""
    if remote.proxy:
        return None if remote.proxy == "none" else remote.proxy
    if address.loopback or urllib.request.proxy_bypass(address.host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get("https" if address.tls else "http") or proxies.get("all")
    return found if found and "://" in found else f"http://{found}" if found else None
