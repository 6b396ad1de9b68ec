"""Plugins: find them, load them, call them so that a bad one loses only its own result, disable it when it stays bad.

A plugin is found by the entry-point group `inkling.plugins`. It is disabled, with a reason for the user, when it does
not import, is not what an entry point promises, or fails `FAILURES` times in a row. A failure is an exception, a
result of the wrong type, no result in time, or the event loop blocked; an `InklingError` is no failure but the
plugin's own way to say why there is nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from inkling.api import InklingError, Nothing, Plugin, Surface

GROUP = "inkling.plugins"
FAILURES = 3
BLOCKED_S = 2.0
"""Seconds that a plugin may keep the event loop to itself before that counts as a failure; its result stands."""
BUNDLED = "inkling-ls"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RESERVED = {"server", "engine"}
"""Tables of inkling.toml that are not a plugin's."""

T = TypeVar("T")
current_plugin: ContextVar[str] = ContextVar("current_plugin", default="")


@dataclass(frozen=True, slots=True)
class Method:
    """A decorated method of a loaded plugin, bound."""

    surface: Surface
    call: Callable[..., Any]


@dataclass(eq=False)
class Entry:
    """A plugin as the host knows it. `state` is `ready` or `disabled`; `reason` and `detail` say why it is disabled."""

    name: str
    distribution: str
    point: EntryPoint
    plugin: Plugin | None = None
    methods: tuple[Method, ...] = ()
    state: str = "ready"
    reason: str = ""
    detail: str = ""
    failures: int = 0
    start: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it is asked for results."""
        return self.state == "ready"

    def disable(self, reason: str, detail: str) -> None:
        """Ask it no more."""
        self.state, self.reason, self.detail = "disabled", reason, detail

    def enable(self) -> None:
        """Give it another chance."""
        if self.plugin is not None:
            self.state, self.reason, self.detail, self.failures = "ready", "", "", 0

    def of_kind(self, kind: str, language: str | None = None) -> Iterator[Method]:
        """Its methods for a surface."""
        for method in self.methods:
            surface = method.surface
            if surface.kind == kind and (language is None or not surface.languages or language in surface.languages):
                yield method


@dataclass
class Outcome(Generic[T]):
    """What one method gave: accepted results, and reasons for what is missing. `failure` is empty or a slug."""

    plugin: str
    items: list[T] = field(default_factory=list)
    reasons: list[Nothing] = field(default_factory=list)
    failure: str = ""
    held_s: float = 0.0
    """The longest time that the plugin kept the event loop to itself."""
    error: InklingError | None = None
    """Set when the plugin said so with an exception, which a command passes on to its caller."""


class Listener(Protocol):
    """Who is told about plugins."""

    def loaded(self, entry: Entry) -> None:
        """It was imported; give it its settings and handles. What this raises disables it."""
        ...

    def failed(self, entry: Entry, kind: str, failure: str, error: BaseException | None) -> None:
        """A call went wrong."""
        ...

    def disabled(self, entry: Entry) -> None:
        """It is asked no more."""
        ...


class WrongTypeError(TypeError):
    """A plugin returned something that its surface does not take."""


class Host:
    """The plugins of one session, in the order in which they are asked: added ones first, then those that ship."""

    def __init__(self, listener: Listener) -> None:
        self.entries: list[Entry] = []
        self.listener = listener
        self._strays: set[asyncio.Task[Any]] = set()

    def load(self, enabled: Callable[[str], str], points: Iterable[EntryPoint] | None = None) -> None:
        """Import all plugins; `enabled(name)` gives a reason not to, or an empty string. Never raises."""
        for point in find() if points is None else points:
            entry = Entry(point.name, point.dist.name if point.dist is not None else "", point)
            self.entries.append(entry)
            if not _NAME.fullmatch(point.name) or point.name in _RESERVED:
                entry.disable("bad-name", "A plugin's name is lower-case words joined by underscores.")
                self.listener.disabled(entry)
            elif any(other.name == point.name for other in self.entries[:-1]):
                entry.disable("name-taken", f"Another plugin is named {point.name}.")
                self.listener.disabled(entry)
            else:
                entry.disable("disabled", "")
        self.review(enabled)

    def review(self, enabled: Callable[[str], str]) -> None:
        """Switch plugins off and on as the settings now say; one that is switched on later is imported then."""
        for entry in self.entries:
            why = enabled(entry.name)
            if why and entry.ready:
                entry.disable("disabled", why)
            elif why and entry.reason == "disabled":
                entry.detail = why
            elif entry.reason == "disabled":
                entry.state, entry.reason, entry.detail, entry.failures = "ready", "", "", 0
                if entry.plugin is None:
                    self._import(entry)

    def _import(self, entry: Entry) -> None:
        try:
            plugin_class = entry.point.load()
            surfaces = _check_class(entry, plugin_class)
            entry.plugin = plugin = plugin_class()
            entry.methods = tuple(Method(surface, getattr(plugin, name)) for name, surface in surfaces)
            self.listener.loaded(entry)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except WrongTypeError as error:
            entry.disable("not-a-plugin", str(error))
        except BaseException as error:
            entry.disable("import-failed", f"It does not load: {type(error).__name__}.")
            self.listener.failed(entry, "import", "import-failed", error)
        if not entry.ready:
            self.listener.disabled(entry)

    def ready(self, kind: str, language: str | None = None) -> list[tuple[Entry, Method]]:
        """Who to ask for a surface, in order."""
        return [(entry, method) for entry in self.entries if entry.ready for method in entry.of_kind(kind, language)]

    def named(self, kind: str, name: str, plugin: str | None = None) -> tuple[Entry, Method] | None:
        """The resolver or command of a name."""
        for entry, method in self.ready(kind):
            if method.surface.name == name and plugin in (None, entry.name):
                return entry, method
        return None

    @property
    def strays(self) -> int:
        """Calls that were given up and have not ended."""
        return len(self._strays)

    async def call(
        self,
        entry: Entry,
        method: Method,
        arguments: Sequence[Any],
        accept: Callable[[Any], T],
        *,
        timeout_s: float,
        keywords: Mapping[str, Any] | None = None,
        on_item: Callable[[T], None] | None = None,
        waits_for_engine: Callable[[], bool] = lambda: False,
    ) -> Outcome[T]:
        """Call one method and collect what it returns or yields, each item through `accept`, which may raise.

        Cancelling ends at once and reaches the plugin; so does the time limit. What a plugin that ignores them does
        later is lost. Time spent waiting for the engine is not held against the plugin.
        """
        outcome: Outcome[T] = Outcome(entry.name)
        task = asyncio.create_task(self._drive(entry, method, arguments, keywords or {}, accept, outcome, on_item))
        self._strays.add(task)
        task.add_done_callback(self._strays.discard)
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            # Later items must not slip into a result that has been given out.
            outcome = Outcome(entry.name, list(outcome.items), list(outcome.reasons))
            if waits_for_engine():
                outcome.reasons.append(Nothing("engine-slow", f"The model needed more than {timeout_s:g} s."))
            else:
                outcome.reasons.append(Nothing("timed-out", f"{entry.name} gave no result within {timeout_s:g} s."))
                self._failed(entry, method, outcome, "timed-out", None)
        elif task.cancelled():
            outcome.reasons.append(Nothing("cancelled", f"{entry.name} cancelled itself."))
        elif (error := task.exception()) is not None:
            self._raised(entry, method, outcome, error)
        elif outcome.held_s > BLOCKED_S:
            self._failed(entry, method, outcome, "blocked", None)
        else:
            entry.failures = 0
        return outcome

    async def _drive(
        self,
        entry: Entry,
        method: Method,
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
        accept: Callable[[Any], T],
        outcome: Outcome[T],
        on_item: Callable[[T], None] | None,
    ) -> None:
        current_plugin.set(entry.name)
        await _started(entry)

        def take(item: Any) -> None:
            if isinstance(item, Nothing):
                outcome.reasons.append(item)
            elif item is not None:
                try:
                    accepted = accept(item)
                except Exception as error:
                    raise WrongTypeError(f"a result of the wrong type for {method.surface.kind}") from error
                outcome.items.append(accepted)
                if on_item is not None:
                    on_item(accepted)

        result = method.call(*arguments, **keywords)
        if inspect.isasyncgen(result):
            async with contextlib.aclosing(result):
                while (item := await _Watched(anext(result, _END), outcome)) is not _END:
                    take(item)
            return
        result = await _Watched(result, outcome)
        if isinstance(result, Iterable) and not isinstance(result, str | bytes | Mapping):
            for item in result:
                take(item)
        else:
            take(result)

    def _raised(self, entry: Entry, method: Method, outcome: Outcome[T], error: BaseException) -> None:
        if isinstance(error, InklingError):
            entry.failures = 0
            outcome.error = error
            outcome.reasons.append(Nothing(error.reason, str(error)))
            return
        failure = "wrong-type" if isinstance(error, WrongTypeError) else "raised"
        outcome.items.clear()
        outcome.reasons.append(Nothing(failure, f"{entry.name} failed; the server's log says where."))
        self._failed(entry, method, outcome, failure, error)

    def _failed(
        self, entry: Entry, method: Method, outcome: Outcome[T], failure: str, error: BaseException | None
    ) -> None:
        if failure != "blocked":
            outcome.failure = failure
        entry.failures += 1
        self.listener.failed(entry, method.surface.kind, failure, error)
        if entry.failures >= FAILURES and entry.ready:
            words = {
                "timed-out": "gave no result in time",
                "wrong-type": "gave results of the wrong type",
                "blocked": "blocked the server",
            }
            entry.disable("failing", f"It {words.get(failure, 'raised an error')} {FAILURES} times in a row.")
            self.listener.disabled(entry)

    async def stop(self, timeout_s: float) -> None:
        """Stop every plugin that was started."""
        stops = [asyncio.create_task(entry.plugin.stop()) for entry in self.entries if entry.start and entry.plugin]
        for task in self._strays:
            task.cancel()
        if stops or self._strays:
            await asyncio.wait({*stops, *self._strays}, timeout=timeout_s)
        for task in stops:
            if task.done() and not task.cancelled():
                task.exception()  # retrieved: at the end nobody can be told


async def _started(entry: Entry) -> None:
    """Call the plugin's `start` once; when it fails, again for the next request."""
    assert entry.plugin is not None
    if entry.start is None:
        entry.start = asyncio.create_task(entry.plugin.start())
    start = entry.start
    try:
        await asyncio.shield(start)
    except BaseException:
        if start.done() and entry.start is start:
            entry.start = None
        raise


class _Watched:
    """Awaits for someone else, and notes how long each step kept the event loop."""

    def __init__(self, awaitable: Awaitable[Any], outcome: Outcome[Any]) -> None:
        self._awaitable = awaitable
        self._outcome = outcome

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        step: Callable[[], Any] = functools.partial(next, inner)
        while True:
            began = time.perf_counter()
            try:
                future = step()
            except StopIteration as stop:
                return stop.value
            finally:
                self._outcome.held_s = max(self._outcome.held_s, time.perf_counter() - began)
            try:
                value = yield future
            except BaseException as error:
                step = functools.partial(inner.throw, error)
            else:
                step = functools.partial(inner.send, value)


_END = object()


def find() -> list[EntryPoint]:
    """The installed plugins' entry points: added ones by name, then the bundled ones."""

    def order(point: EntryPoint) -> tuple[bool, str]:
        return (point.dist is not None and point.dist.name == BUNDLED, point.name)

    return sorted(set(entry_points(group=GROUP)), key=order)


def _check_class(entry: Entry, plugin_class: Any) -> list[tuple[str, Surface]]:
    if not isinstance(plugin_class, type) or not issubclass(plugin_class, Plugin):
        raise WrongTypeError("Its entry point is not a class derived from inkling.api.Plugin.")
    if getattr(plugin_class, "name", None) != entry.name:
        raise WrongTypeError(f'Its entry point is named "{entry.name}", the class itself is not.')
    if not is_dataclass(plugin_class.Settings):
        raise WrongTypeError("Its Settings is not a dataclass.")
    surfaces = []
    for name in dir(plugin_class):
        function = inspect.getattr_static(plugin_class, name)
        surface = getattr(function, "__inkling_surface__", None)
        if surface is None:
            continue
        if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
            raise WrongTypeError(f'Its method "{name}" is not "async def".')
        surfaces.append((name, surface))
    return surfaces
