"""Work-done progress: shown once work lasts over half a second, always ended, cancellable."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from inkling.lsp.client import Client
from inkling.lsp.protocol import Protocol

DELAY_S = 0.5
_current: ContextVar[Bar | None] = ContextVar("progress_bar", default=None)


class Bar:
    """One progress; satisfies `inkling.api.Progress`. Nothing is sent before it begins, then the latest report."""

    def __init__(self, protocol: Protocol, title: str, token: types.ProgressToken, cancel: Callable[[], object] | None):
        self._protocol = protocol
        self.title = title
        self.token = token
        self.cancel = cancel
        self._begun = False
        self._message: str | None = None
        self._percentage: int | None = None

    def report(self, message: str, fraction: float | None = None) -> None:
        """Say what is being done; `fraction` is 0 to 1."""
        percentage = None if fraction is None else round(100 * min(max(float(fraction), 0.0), 1.0))
        if (message, percentage) == (self._message, self._percentage):
            return
        self._message, self._percentage = str(message), percentage
        if self._begun:
            self._send(types.WorkDoneProgressReport(message=self._message, percentage=percentage))

    def begin(self) -> None:
        """Show it."""
        self._begun = True
        begin = types.WorkDoneProgressBegin(
            title=self.title,
            cancellable=self.cancel is not None,
            message=self._message,
            percentage=self._percentage,
        )
        self._send(begin)

    def end(self) -> None:
        """Take it away, if it was shown."""
        if self._begun:
            self._begun = False
            self._send(types.WorkDoneProgressEnd())

    def _send(self, value: object) -> None:
        self._protocol.notify(types.PROGRESS, types.ProgressParams(token=self.token, value=value))


class Progresses:
    """The progresses of one session."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._bars: dict[types.ProgressToken, Bar] = {}
        self._numbers = itertools.count(1)
        self.client = Client()

    @contextlib.asynccontextmanager
    async def during_request(self, title: str, token: types.ProgressToken | None) -> AsyncGenerator[Bar, None]:
        """The progress of a request, on the client's own token when it gave one. Cancelling it cancels the request.

        A plugin that opens a progress of its own inside takes this one over, so that the user sees one bar.
        """
        async with self._shown(title, token, delay_s=DELAY_S) as bar:
            reset = _current.set(bar)
            try:
                yield bar
            finally:
                _current.reset(reset)

    @contextlib.asynccontextmanager
    async def for_plugin(self, title: str) -> AsyncGenerator[Bar, None]:
        """A plugin's progress."""
        outer = _current.get()
        if outer is not None:
            yield outer
            return
        async with self._shown(title, None, delay_s=DELAY_S) as bar:
            yield bar

    async def start(self, title: str) -> Bar:
        """A progress that outlives the caller: end it with `finish`. It cannot be cancelled."""
        bar = Bar(self._protocol, title, self._new_token(), None)
        self._bars[bar.token] = bar
        await self._open(bar, create=True)
        return bar

    def finish(self, bar: Bar) -> None:
        """End a progress made by `start`."""
        self._bars.pop(bar.token, None)
        bar.end()

    def cancel(self, token: types.ProgressToken) -> None:
        """The user pressed cancel."""
        bar = self._bars.get(token)
        if bar is not None and bar.cancel is not None:
            bar.cancel()

    @contextlib.asynccontextmanager
    async def _shown(self, title: str, token: types.ProgressToken | None, delay_s: float) -> AsyncGenerator[Bar, None]:
        task = asyncio.current_task()
        assert task is not None
        create = token is None
        bar = Bar(self._protocol, title, self._new_token() if token is None else token, task.cancel)
        self._bars[bar.token] = bar
        opening = asyncio.create_task(self._open_later(bar, create, delay_s))
        try:
            yield bar
        finally:
            opening.cancel()
            self._bars.pop(bar.token, None)
            bar.end()

    async def _open_later(self, bar: Bar, create: bool, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._open(bar, create)

    async def _open(self, bar: Bar, create: bool) -> None:
        if create:
            if not self.client.can("window.workDoneProgress"):
                return
            try:
                params = types.WorkDoneProgressCreateParams(bar.token)
                await self._protocol.ask(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params)
            except (JsonRpcException, TimeoutError):
                return
        if bar.token in self._bars:
            bar.begin()

    def _new_token(self) -> str:
        return f"inkling-{next(self._numbers)}"
