"""JSON-RPC as the specification has it, on top of pygls' types, registration and typed calls.

The rules: one reply per request, within a deadline; a message is handled in the order in which it came, so a handler
that captures its snapshot before its first `await` sees the text as it was when the client asked; a cancelled request
is answered at once, whether or not its handler has noticed; an error tells the client nothing but what went wrong.

A handler is a plain function `params -> result | awaitable`. The part before the awaitable runs in message order.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cattrs import Converter
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInternalError,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
)
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol

from inkling.eager import begin
from inkling.errors import InklingError
from inkling.lsp import inline_types
from inkling.lsp.log import log
from inkling.lsp.transport import CROWDED, Transport
from inkling.lsp.wire import frame

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
NOT_INITIALIZED = -32002
REQUEST_FAILED = -32803
CONTENT_MODIFIED = -32801
REQUEST_CANCELLED = -32800

MAX_RUNNING = 256
"""Requests of one method in work at a time; more are refused at once, so that a flood costs no memory."""

_DISPENSABLE = {"$/progress", "$/logTrace", "window/logMessage", "inkling/statusChanged"}
"""Not sent to a client that does not read."""

to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

T = TypeVar("T")
MsgId = int | str
request_id: ContextVar[MsgId | None] = ContextVar("request_id", default=None)
request_line: ContextVar[int | None] = ContextVar("request_line", default=None)
"""The line of the cursor that the running request is about."""


class State(enum.Enum):
    """Where the conversation is."""

    NEW = "new"
    RUNNING = "running"
    SHUT_DOWN = "shut-down"
    EXITED = "exited"


@dataclass(eq=False)
class Call:
    """A request in work."""

    id: MsgId
    method: str
    started: float = field(default_factory=time.perf_counter)
    task: asyncio.Future[Any] | None = None
    timer: asyncio.TimerHandle | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """A result that is JSON already, in ASCII."""

    text: str


class Failed(JsonRpcException):
    """An error reply with a code and words of ours."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message, code, {"reason": reason} if reason else None)


class Protocol(LanguageServerProtocol):
    """One conversation. `transport` and the hooks are set by the session before the first message."""

    transport: Transport

    def __init__(self, server: LanguageServer, converter: Converter) -> None:
        super().__init__(server, converter)
        self.state = State.NEW
        self.deadline: Callable[[str], float] = lambda method: 60.0
        self.trace_line: Callable[[str], None] | None = None
        """Takes the log's lines for a client that asked for them."""
        self.refused: Callable[[str, Any], None] = lambda method, raw: None
        self.caught_up: Callable[[], bool] = lambda: True
        """Whether no further message has been read."""
        self.exit_code = 1
        self._calls: dict[MsgId, Call] = {}
        self._running: Counter[str] = Counter()
        self._waiting = 0
        """Works that have not taken their first step."""
        self._background: set[asyncio.Future[Any]] = set()

    # -- in

    def receive(self, body: bytes) -> bool:
        """Handle one message; False when it is not JSON."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self._reply_error(None, PARSE_ERROR, "The message is not JSON.")
            return False
        if not isinstance(message, dict):
            self._reply_error(None, INVALID_REQUEST, "A message is one JSON object.")
        elif "method" not in message:
            self._receive_response(message)
        elif message.get("jsonrpc") != "2.0" or not isinstance(message["method"], str):
            self._reply_error(_id_of(message), INVALID_REQUEST, "A message has a method, and jsonrpc is 2.0.")
        elif "id" not in message:
            self._receive_notification(message["method"], message.get("params"))
        elif (identifier := _id_of(message)) is None:
            self._reply_error(None, INVALID_REQUEST, "A request's id is a number or a string.")
        else:
            self._receive_request(identifier, message["method"], message.get("params"))
        return True

    def junk(self, reason: str) -> None:
        """Answer bytes that were no message."""
        log.event("warning", "junk", reason=reason)
        self._reply_error(None, PARSE_ERROR, "The stream held bytes that are no message.")

    def _receive_request(self, identifier: MsgId, method: str, raw: Any) -> None:
        if identifier in self._calls:
            self._reply_error(identifier, INVALID_REQUEST, "A request with this id is in work.")
            return
        if self._running[method] >= MAX_RUNNING:
            self._reply_error(identifier, REQUEST_FAILED, "Too many requests at a time.")
            return
        call = self._calls[identifier] = Call(identifier, method)
        self._running[method] += 1
        token, line = request_id.set(identifier), request_line.set(_line_of(raw))
        try:
            self._check_state(method)
            handler = self._handler(method)
            if handler is None:
                raise JsonRpcMethodNotFound("There is no such method.")
            result = handler(self._structure(method, raw))
        except Exception as error:
            self._finish(call, error=error)
        else:
            if inspect.isawaitable(result):
                self._start(call, result)
            else:
                self._finish(call, result=result)
        finally:
            request_id.reset(token)
            request_line.reset(line)

    def _start(self, call: Call, work: Awaitable[Any]) -> None:
        # behind a request with more messages on its heels may come the one that replaces or cancels it; and what waits
        # for its turn already came first
        is_first = self.caught_up() and not self._waiting
        task: asyncio.Future[Any] = begin(work) if is_first and inspect.iscoroutine(work) else self._in_turn(work)
        call.task = task
        if task.done():
            self._done(call, task)
            return
        if call.answered:  # while its first step was taken
            task.cancel()
            return
        task.add_done_callback(lambda task: self._done(call, task))
        loop = asyncio.get_running_loop()
        seconds = self.deadline(call.method)
        call.timer = loop.call_later(seconds, self._overdue, call, seconds)

    def _done(self, call: Call, task: asyncio.Future[Any]) -> None:
        if task.cancelled():
            self._finish(call, error=Failed(REQUEST_CANCELLED, "The request was cancelled."))
        elif (error := task.exception()) is not None:
            self._finish(call, error=error)
        else:
            self._finish(call, result=task.result())

    def _overdue(self, call: Call, seconds: float) -> None:
        self._finish(call, error=Failed(REQUEST_FAILED, f"No result within {seconds:g} s.", "deadline"))
        if call.task is not None:
            call.task.cancel()

    def _finish(self, call: Call, *, result: Any = None, error: BaseException | None = None) -> None:
        """Reply, once."""
        if call.answered:
            return
        call.answered = True
        self._calls.pop(call.id, None)
        self._running[call.method] -= 1
        if not self._running[call.method]:
            del self._running[call.method]
        if call.timer is not None:
            call.timer.cancel()
        if error is None:
            try:
                text = result.text if isinstance(result, Encoded) else to_json(self.encode(result))
                self._write_json(f'{{"jsonrpc":"2.0","id":{to_json(call.id)},"result":{text}}}')
            except Exception as unserializable:
                error = unserializable
        code = None
        if error is not None:
            code = self._reply_exception(call, error)
        ms = (time.perf_counter() - call.started) * 1000
        method = call.method if self._is_known(call.method) else "unknown"
        log.event("info", "request", id=call.id, method=method, ms=ms, code=code, trace=self.trace_line)

    def _reply_exception(self, call: Call, error: BaseException) -> int:
        if isinstance(error, InklingError):
            self._reply_error(call.id, REQUEST_FAILED, str(error), {"reason": error.reason})
            return REQUEST_FAILED
        if isinstance(error, JsonRpcException):
            self._reply_error(call.id, error.code, error.message, error.data)
            return error.code
        log.event("error", "bug", id=call.id, method=call.method, error=error)
        self._reply_error(call.id, JsonRpcInternalError.CODE, "Internal error. The server's log says where.")
        return JsonRpcInternalError.CODE

    def _receive_notification(self, method: str, raw: Any) -> None:
        if method == types.EXIT:
            self.exit_code = 0 if self.state is State.SHUT_DOWN else 1
            self.state = State.EXITED
            return
        if self.state is not State.RUNNING:
            log.event("debug", "notification-ignored", reason=self.state.value)
            return
        if method == types.CANCEL_REQUEST:
            self._cancel(raw)
            return
        handler = self._handler(method)
        if handler is None:
            level = "debug" if method.startswith("$/") else "info"
            log.event(level, "notification-ignored", reason="unknown-method")
            return
        try:
            result = handler(self._structure(method, raw))
        except JsonRpcException as error:
            log.event("warning", "notification-refused", method=method, code=error.code)
            self.refused(method, raw)
        except Exception as error:
            log.event("error", "bug", method=method, error=error)
            self.refused(method, raw)
        else:
            if inspect.isawaitable(result):
                self.in_background(result, method)

    def in_background(self, work: Awaitable[Any], name: str) -> asyncio.Future[Any]:
        """Run something that nobody waits for; its failure is logged."""

        def done(task: asyncio.Future[Any]) -> None:
            self._background.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.event("error", "bug", method=name, error=error)

        task = self._in_turn(work)
        self._background.add(task)
        task.add_done_callback(done)
        return task

    def _in_turn(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Begin something after all that waits for its turn already."""

        def begun() -> None:
            self._waiting -= 1

        self._waiting += 1
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().call_soon(begun)
        return task

    def _cancel(self, raw: Any) -> None:
        identifier = _id_of(raw) if isinstance(raw, dict) else None
        call = self._calls.get(identifier) if identifier is not None else None
        if call is not None:
            self.end_call(call, REQUEST_CANCELLED, "The request was cancelled.")

    def end_call(self, call: Call, code: int, message: str) -> None:
        """Answer a running request with an error now, and stop its work."""
        self._finish(call, error=Failed(code, message))
        if call.task is not None:
            call.task.cancel()

    def current_call(self) -> Call | None:
        """The request whose handler is running."""
        identifier = request_id.get()
        return self._calls.get(identifier) if identifier is not None else None

    @property
    def running(self) -> int:
        """Requests in work."""
        return len(self._calls)

    def stop_all(self, except_for: Call | None = None) -> None:
        """Cancel every request and all background work."""
        for call in list(self._calls.values()):
            if call is not except_for:
                self.end_call(call, REQUEST_CANCELLED, "The server is shutting down.")
        for task in list(self._background):
            task.cancel()

    def _check_state(self, method: str) -> None:
        if self.state is State.NEW and method != types.INITIALIZE:
            raise Failed(NOT_INITIALIZED, "The server has not been initialized.")
        if self.state is State.RUNNING and method == types.INITIALIZE:
            raise JsonRpcInvalidRequest("The server has been initialized before.")
        if self.state in (State.SHUT_DOWN, State.EXITED):
            raise JsonRpcInvalidRequest("The server has been shut down.")

    def _handler(self, method: str) -> Callable[[Any], Any] | None:
        handler: Callable[[Any], Any] | None = self.fm.features.get(method)
        return handler

    def _is_known(self, method: str) -> bool:
        return method in types.METHOD_TO_TYPES or method in self.fm.features

    def _structure(self, method: str, raw: Any) -> Any:
        """Parameters in their LSP type; methods of our own keep plain dicts."""
        params_type = self._params_type(method)
        if params_type is None:
            return raw
        return self.decode(raw, params_type)

    def _params_type(self, method: str) -> Any:
        if method == types.TEXT_DOCUMENT_INLINE_COMPLETION:
            return inline_types.InlineCompletionParams
        if method in (types.INITIALIZE, types.INITIALIZED, types.SHUTDOWN):
            return None
        return types.METHOD_TO_TYPES.get(method, (None, None, None))[2]

    def get_message_type(self, method: str) -> Any:  # type: ignore[override]  # a cache of pygls'
        """As lsprotocol has it, but inline completion with its `partialResultToken`."""
        if method == types.TEXT_DOCUMENT_INLINE_COMPLETION:
            return inline_types.InlineCompletionRequest
        return super().get_message_type(method)

    def _receive_response(self, message: dict[str, Any]) -> None:
        identifier = _id_of(message)
        future = self._request_futures.pop(identifier, None) if identifier is not None else None
        result_type = self._result_types.pop(identifier, None) if identifier is not None else None
        if future is None or future.done():
            log.event("info", "response-ignored", reason="unknown-id")
            return
        try:
            if "error" in message:
                error = message["error"]
                future.set_exception(JsonRpcException(str(error.get("message")), int(error.get("code") or 0)))
            elif result_type is None:
                future.set_result(message.get("result"))
            else:
                future.set_result(self._converter.structure(message, result_type).result)
        except Exception as error:
            log.event("warning", "response-invalid", error=error)
            future.set_exception(JsonRpcException("The client's reply is not as specified."))

    # -- out

    def _send_data(self, data: Any) -> None:
        method = getattr(data, "method", "")
        if method in _DISPENSABLE and self.transport.pending > CROWDED:
            return
        self._write(self._converter.unstructure(data))

    def _register_builtin_features(self) -> None:
        """None of pygls' own handlers: each method here is one of `inkling.lsp.features`."""

    def encode(self, value: Any) -> Any:
        """LSP types as JSON values."""
        return self._converter.unstructure(value)

    def decode(self, value: Any, kind: type[T]) -> T:
        """JSON values as an LSP type; raises `JsonRpcInvalidParams`."""
        try:
            return self._converter.structure(value, kind)
        except Exception as error:
            log.event("warning", "invalid-params", error=error)
            raise JsonRpcInvalidParams("The parameters are not as specified.") from None

    def _write(self, payload: Any) -> None:
        self._write_json(to_json(payload))

    def _write_json(self, text: str) -> None:
        self.transport.write(frame(text.encode("ascii")))

    def _reply_error(self, identifier: MsgId | None, code: int, message: str, data: Any = None) -> None:
        error = {"code": code, "message": message} | ({"data": data} if data is not None else {})
        self._write({"jsonrpc": "2.0", "id": identifier, "error": error})

    async def ask(self, method: str, params: Any, timeout_s: float = 10.0) -> Any:
        """Send the client a request; raises `TimeoutError`, or `JsonRpcException` when it refuses."""
        identifier = str(uuid.uuid4())
        try:
            return await asyncio.wait_for(self.send_request_async(method, params, identifier), timeout_s)
        finally:
            self._request_futures.pop(identifier, None)
            self._result_types.pop(identifier, None)


def _line_of(raw: Any) -> int | None:
    """The line that a request's parameters point to, if they point anywhere."""
    place = raw.get("position") if isinstance(raw, dict) else None
    line = place.get("line") if isinstance(place, dict) else None
    return line if isinstance(line, int) else None


def _id_of(message: dict[str, Any]) -> MsgId | None:
    identifier = message.get("id")
    return identifier if isinstance(identifier, int | str) and not isinstance(identifier, bool) else None
