"""All that belongs to one connection. Over TCP every client has a session of its own; the engine alone is shared."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from inkling import __version__
from inkling.api import Nothing, Severity, Snapshot
from inkling.engine.protocol import EngineEvent
from inkling.lsp import engine_link
from inkling.lsp.client import Client
from inkling.lsp.configuration import Configuration
from inkling.lsp.convert import Edge
from inkling.lsp.diagnoser import Diagnoser
from inkling.lsp.dispatch import MARGIN_S, Dispatch
from inkling.lsp.documents import Documents
from inkling.lsp.editor import SessionEditor
from inkling.lsp.engine_link import Connect, EngineLink
from inkling.lsp.features import register_all
from inkling.lsp.ghosts import Ghosts
from inkling.lsp.greeting import Greeting
from inkling.lsp.handles import EngineHandle, LazyTokens
from inkling.lsp.log import log
from inkling.lsp.progress import Progresses
from inkling.lsp.protocol import Protocol, State, request_id, request_line
from inkling.lsp.reasons import UNUSABLE, Reasons
from inkling.lsp.refresh import Refresher
from inkling.lsp.texts import Texts
from inkling.lsp.transport import Transport
from inkling.lsp.watch import Watch
from inkling.lsp.wire import Deframer, Frame, Junk
from inkling.lsp.workspace import Workspace
from inkling.plugins import Entry, Host
from inkling.settings.exclusion import Exclusion

if TYPE_CHECKING:
    from inkling.api import Plugin

TURN = 32
"""Messages handled before running work gets a turn."""

STOP_S = 2.0
"""How long the end may wait for plugins, the engine's client and the last bytes."""


class Session:
    """One client, from its first byte to its last."""

    def __init__(
        self,
        transport: Transport,
        *,
        deframer: Deframer | None = None,
        connect: Connect = engine_link.connect,
        plugins: Iterable[EntryPoint] | None = None,
    ) -> None:
        self.transport = transport
        self._deframer = deframer or Deframer()
        self.server = LanguageServer("inkling", __version__, protocol_cls=Protocol, converter_factory=default_converter)
        protocol = self.server.protocol
        assert isinstance(protocol, Protocol)
        self.protocol = protocol
        protocol.transport = transport
        protocol.deadline = self._deadline
        self.client = Client()
        self.edge = Edge(self.client)
        self.documents = Documents(self.edge.encoding)
        self.configuration = Configuration()
        self.excluded = Exclusion(())
        self.reasons = Reasons()
        self._told: set[tuple[str, str]] = set()
        self.progresses = Progresses(protocol)
        self.engine = EngineLink(lambda: self.configuration.engine, self.progresses, self._engine_event, connect)
        self.host = Host(self)
        self.dispatch = Dispatch(self)
        self.diagnoser = Diagnoser(self)
        self.ghosts = Ghosts(self)
        self.refresher = Refresher(self)
        self.texts = Texts()
        self.workspace = Workspace(self)
        self.watch = Watch()
        self.greeted = False
        """Whether `initialized` has come: before it, the client takes no messages."""
        protocol.refused = self._refused
        protocol.caught_up = lambda: self._deframer.is_empty
        self.plugin_points = plugins
        self._early: list[tuple[str, Severity]] = []
        self._handles: dict[str, EngineHandle] = {}
        self._tokens = LazyTokens()
        self._settled = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._applied = 0
        self._ending = asyncio.Event()
        self._cleanups: list[Callable[[], object]] = []
        register_all(self)

    # -- life

    async def run(self, first: Frame | Junk | None = None) -> int:
        """Serve until the client exits, hangs up or dies; returns the process's exit status.

        `first` is a message that was taken from the deframer before.
        """
        reading = asyncio.create_task(self._read(first))
        dying = asyncio.create_task(self.watch.wait())
        try:
            await asyncio.wait({reading, dying}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and (error := reading.exception()) is not None:
                log.event("error", "bug", reason="read", error=error)
        finally:
            reading.cancel()
            dying.cancel()
            await self._end()
        if self.protocol.state is State.EXITED:
            return self.protocol.exit_code
        return 0 if self.protocol.state is State.SHUT_DOWN else 1

    async def _read(self, item: Frame | Junk | None) -> None:
        handled = 0
        while True:
            while item is None and (item := self._deframer.take()) is None:
                data = await self.transport.read()
                if not data:
                    return
                self._deframer.feed(data)
            self._handle(item)
            item = None
            if self.protocol.state is State.EXITED:
                return
            handled += 1
            if handled % TURN == 0:
                await asyncio.sleep(0)
            await self.transport.room()

    def _handle(self, item: Frame | Junk) -> None:
        if isinstance(item, Junk):
            self.protocol.junk(item.reason)
        elif not self.protocol.receive(item.body):
            self._deframer.reject(item.body)

    async def _end(self) -> None:
        """Whatever goes wrong with one step, the others are taken."""
        steps: tuple[Callable[[], object], ...] = (
            self.protocol.stop_all,
            self.diagnoser.stop,
            self.refresher.stop,
            self.ghosts.stop_all,
            lambda: self.host.stop(STOP_S),
            self.engine.close,
            self._tokens.close,
            self._clean_up,
            lambda: self.transport.close(STOP_S),
        )
        for step in steps:
            try:
                result = step()
                if inspect.isawaitable(result):
                    await result
            except Exception as error:
                log.event("error", "bug", reason="end", error=error)
        await asyncio.to_thread(log.flush)

    def _clean_up(self) -> None:
        for cleanup in self._cleanups:
            with contextlib.suppress(OSError):
                cleanup()

    def at_end(self, cleanup: Callable[[], object]) -> None:
        """Do this when the session is over."""
        self._cleanups.append(cleanup)

    def _deadline(self, method: str) -> float:
        timeouts = self.configuration.server.timeouts
        seconds = {
            types.WORKSPACE_EXECUTE_COMMAND: timeouts.command,
            types.CODE_ACTION_RESOLVE: timeouts.resolver,
            types.TEXT_DOCUMENT_DIAGNOSTIC: timeouts.diagnostics,
            types.TEXT_DOCUMENT_INLINE_COMPLETION: timeouts.inline_completion * max(1, len(self.host.entries)),
            types.TEXT_DOCUMENT_HOVER: timeouts.hover,
            types.TEXT_DOCUMENT_CODE_ACTION: timeouts.code_actions,
            types.TEXT_DOCUMENT_CODE_LENS: timeouts.code_lenses,
            types.TEXT_DOCUMENT_COMPLETION: timeouts.completion,
            types.TEXT_DOCUMENT_INLAY_HINT: timeouts.inlay_hints,
            types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL: timeouts.semantic_tokens,
            types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE: timeouts.semantic_tokens,
            types.WORKSPACE_SYMBOL: timeouts.workspace_symbols,
        }.get(method, 30.0)
        return seconds + MARGIN_S

    # -- at `initialize`

    def meet(self, greeting: Greeting) -> None:
        """Take what `initialize` settled; before any document is open."""
        self.client = greeting.client
        self.edge = Edge(greeting.client, lambda uri: self.documents.snapshot(uri))
        self.documents = Documents(self.edge.encoding)
        self.configuration = greeting.configuration
        self._applied = greeting.configuration.generation
        self.progresses.client = greeting.client
        self.excluded = Exclusion(self.configuration.server.hidden_files)
        self.watch.take_over(greeting.watch)
        self.set_trace(greeting.trace)
        self.host = greeting.host
        self.host.listener = self
        for entry in self.host.entries:
            if entry.plugin is not None:
                self.loaded(entry)
            elif entry.reason != "disabled":
                self.disabled(entry)
        self.protocol.state = State.RUNNING

    # -- for features

    def snapshot(self, uri: str, surface: str) -> Snapshot | None:
        """The document as it is now; None, with a reason noted, when nothing is to be shown in it."""
        snapshot = self.documents.snapshot(uri)
        if snapshot is None:
            nothing = Nothing("not-open", "The document is not open in this session.")
        elif self.excluded(uri):
            nothing = Nothing("excluded", "The setting server.exclude or server.secret_files names this file.")
        elif len(snapshot) > (limit := self.configuration.server.max_document_size):
            nothing = Nothing("too-large", f"The document has over {limit:,} characters (server.max_document_size).")
        elif self.documents.is_lost(uri):
            nothing = Nothing("out-of-sync", "An edit could not be read. Close the file and open it again.")
        else:
            return snapshot
        self.note(uri, surface, nothing)
        return None

    def _refused(self, method: str, raw: Any) -> None:
        """A notification that could not be taken in: if it was an edit, we no longer know the text."""
        key = {
            types.TEXT_DOCUMENT_DID_CHANGE: "textDocument",
            types.NOTEBOOK_DOCUMENT_DID_CHANGE: "notebookDocument",
        }.get(method)
        document = raw.get(key) if isinstance(raw, Mapping) else None
        for uri in self.documents.lose(document.get("uri") if isinstance(document, Mapping) else None):
            self.diagnoser.changed(uri)

    def note(
        self, uri: str, surface: str, nothing: Nothing, *, plugin: str = "", request: int | str | None = None
    ) -> None:
        """Keep the reason why nothing was shown."""
        identifier = request if request is not None else request_id.get()
        self.reasons.record(uri, surface, nothing, plugin=plugin, request=identifier, line=request_line.get())
        if nothing.reason in UNUSABLE and (plugin, nothing.detail) not in self._told:
            self._told.add((plugin, nothing.detail))
            self.show_message(f"Inkling: {plugin}: {nothing.detail}", Severity.WARNING)
        log.event(
            "debug",
            "nothing",
            id=identifier,
            method=surface,
            plugin=plugin,
            uri=uri,
            reason=nothing.reason,
            trace=self.protocol.trace_line,
        )

    def engine_handle(self, entry: Entry) -> EngineHandle:
        """The engine as this plugin sees it."""
        if entry.name not in self._handles:
            self._handles[entry.name] = EngineHandle(self.engine.connection)
        return self._handles[entry.name]

    async def settled(self) -> None:
        """Wait, not for long, until the workspace's settings have been read."""
        if not self._settled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), 2.0)

    # -- settings

    async def reload_settings(self) -> None:
        """Read and apply all settings, and tell the user once what is wrong with them."""
        async with self._reloading:
            await self.configuration.reload()
            self.apply_settings()
            await self.engine.follow_settings()

    def apply_settings(self) -> None:
        """Give everyone the settings in force."""
        self.excluded = Exclusion(self.configuration.server.hidden_files)
        log.follow(self.configuration.server.log_level)
        self.host.review(self.configuration.may_load)
        for entry in self.host.entries:
            if entry.plugin is not None:
                entry.plugin.settings = self.configuration.of_plugin(entry.name, type(entry.plugin).Settings)
        self._settled.set()
        tables: dict[str, type | None] = {entry.name: None for entry in self.host.entries}
        tables |= {entry.name: type(entry.plugin).Settings for entry in self.host.entries if entry.plugin is not None}
        for problem in self.configuration.new_problems(tables):
            log.event("warning", "setting", reason=problem.reason)
            self.show_message(f"Inkling: {problem}", Severity.WARNING)
        if self.configuration.generation != self._applied:
            self._applied = self.configuration.generation
            self.refresher.refresh()

    # -- what the host tells (inkling.plugins.Listener)

    def loaded(self, entry: Entry) -> None:
        """Give a plugin its handles and settings."""
        plugin: Plugin | None = entry.plugin
        assert plugin is not None
        plugin.engine = self.engine_handle(entry)
        plugin.editor = SessionEditor(self, entry.name)
        plugin.tokens = self._tokens
        plugin.settings = self.configuration.of_plugin(entry.name, type(plugin).Settings)

    def failed(self, entry: Entry, kind: str, failure: str, error: BaseException | None) -> None:
        """Log it: the log says where, the client learns only that."""
        log.event("error", "plugin", plugin=entry.name, method=kind, reason=failure, error=error)

    def disabled(self, entry: Entry) -> None:
        """Tell the user once."""
        log.event("error", "plugin-disabled", plugin=entry.name, reason=entry.reason)
        self.show_message(f"Inkling: {entry.name} disabled: {entry.detail}", Severity.WARNING)
        self.status_changed()

    # -- to the client

    def show_message(self, text: str, severity: Severity) -> None:
        """One short message; not before the client may get any."""
        if self.protocol.state is State.RUNNING and self.greeted:
            kind = {Severity.ERROR: 1, Severity.WARNING: 2, Severity.INFORMATION: 3, Severity.HINT: 4}[severity]
            self.server.window_show_message(types.ShowMessageParams(types.MessageType(kind), text))
        else:
            self._early.append((text, severity))

    def show_early_messages(self) -> None:
        """Send what came up before `initialized`."""
        self.greeted = True
        early, self._early = self._early, []
        for text, severity in early:
            self.show_message(text, severity)

    def status_changed(self) -> None:
        """Tell a client that shows a status to ask for it again."""
        if self.protocol.state is State.RUNNING:
            self.protocol.notify("inkling/statusChanged", {"engine": self.engine.state})

    def set_trace(self, value: str) -> None:
        """Send the log's lines as `$/logTrace`, unless it is "off"."""
        self.protocol.trace_line = None if value == "off" else self._send_trace

    def _send_trace(self, line: str) -> None:
        self.protocol.notify(types.LOG_TRACE, types.LogTraceParams(message=line))

    def _engine_event(self, event: EngineEvent) -> None:
        self.status_changed()
        if event.kind in ("crashed", "failed", "remote-failed"):
            self.show_message(f"Inkling: {event.message}", Severity.WARNING)
        elif event.kind == "gave-up":
            self.protocol.in_background(self._offer_restart(event.message), "offer-restart")
        elif event.kind in ("started", "remote-ready") or (
            event.model is not None and event.model.state in ("ready", "failed")
        ):
            self.refresher.model_ready()

    async def _offer_restart(self, message: str) -> None:
        actions = [types.MessageActionItem("Restart"), types.MessageActionItem("Show log")]
        params = types.ShowMessageRequestParams(types.MessageType.Error, f"Inkling: {message}", actions)
        with contextlib.suppress(TimeoutError, JsonRpcException):
            chosen = await self.protocol.ask(types.WINDOW_SHOW_MESSAGE_REQUEST, params, timeout_s=3600)
            if chosen is not None and chosen.title == "Restart":
                await self.engine.restart()
            elif chosen is not None:
                tail = await asyncio.to_thread(engine_link.log_tail)
                await SessionEditor(self, "").show_text("Inkling engine log", tail, "plaintext")
