"""Diagnostics: computed per snapshot, kept for their quick fixes, pulled by or pushed to the client."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lsprotocol import types

from inkling.api import Action, Diagnostic, Range, Snapshot
from inkling.lsp.checks import check_diagnostic
from inkling.lsp.protocol import Encoded, to_json

if TYPE_CHECKING:
    from inkling.lsp.session import Session

KIND = "diagnostics"
PUSH_AFTER_S = 0.4


@dataclass(frozen=True)
class Report:
    """The diagnostics of one snapshot. `complete` is False when some plugin could not say."""

    snapshot: Snapshot
    generation: int
    found: tuple[tuple[str, Diagnostic], ...]
    complete: bool


@dataclass(frozen=True)
class Sent:
    """A diagnostic as the client gets it: in LSP's types and as JSON. `digest` tells it from others.

    `lasts` is whether it is so wherever its span is the same: in plain text, whatever stands before it on its line.
    """

    made_of: Diagnostic
    span: Range
    lasts: bool
    item: types.Diagnostic
    json: str
    digest: bytes


@dataclass
class Wire:
    """A report as the client gets it."""

    sent: list[Sent] = field(default_factory=list)
    result_id: str = ""

    @property
    def items(self) -> list[types.Diagnostic]:
        """In LSP's types."""
        return [sent.item for sent in self.sent]


class Diagnoser:
    """The diagnostics of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reports: dict[str, Report] = {}
        self._accepted: dict[str, dict[int, tuple[Diagnostic, Diagnostic]]] = {}
        """By document: the plugins' own objects and what was made of them, which serves when the same comes again."""
        self._sent: dict[str, dict[int, Sent]] = {}
        self._pushes: dict[str, asyncio.Task[None]] = {}
        self._models = 0
        """Grows when a model became ready or failed, or a plugin says so: reports from before may be wrong."""

    @property
    def generation(self) -> int:
        """Grows with whatever else than the text decides about diagnostics."""
        return self._session.configuration.generation + self._models

    async def compute(self, snapshot: Snapshot) -> Report:
        """Ask the plugins, unless this very snapshot has been answered in full."""
        known = self._reports.get(snapshot.uri)
        generation = self.generation
        if known and known.complete and (known.generation, known.snapshot) == (generation, snapshot):
            return known
        before, accepted = self._accepted.get(snapshot.uri, {}), dict[int, tuple[Diagnostic, Diagnostic]]()

        def accept(given: Diagnostic) -> Diagnostic:
            known = before.get(id(given))
            if known is None or known[0] is not given:
                known = given, check_diagnostic(given)
            accepted[id(given)] = known
            return known[1]

        outcomes = await self._session.dispatch.ask(KIND, snapshot, (snapshot,), accept)
        found = tuple((outcome.plugin, item) for outcome in outcomes for item in outcome.items)
        report = Report(snapshot, generation, found, not any(outcome.reasons for outcome in outcomes))
        if snapshot.uri in self._session.documents:
            self._reports[snapshot.uri], self._accepted[snapshot.uri] = report, accepted
        return report

    def to_wire(self, report: Report) -> Wire | None:
        """The report moved to the present text, spans that were edited left out; None when the document is closed."""
        session = self._session
        now = session.documents.snapshot(report.snapshot.uri)
        if now is None:
            return None
        wire = Wire()
        before = self._sent.get(now.uri, {})
        plain = now.rope.root.utf8 == now.rope.root.chars
        for plugin, diagnostic, span in self._moved(report):
            sent = before.get(id(diagnostic))
            if sent is None or sent.made_of is not diagnostic or sent.span != span or not (sent.lasts and plain):
                item = session.edge.diagnostic(now, span, plugin, diagnostic)
                encoded = to_json(session.protocol.encode(item))
                digest = hashlib.blake2s(encoded.encode("ascii"), digest_size=12).digest()
                sent = Sent(diagnostic, span, plain, item, encoded, digest)
            wire.sent.append(sent)
        self._sent[now.uri] = {id(sent.made_of): sent for sent in wire.sent}
        digests = b"".join([sent.digest for sent in wire.sent])
        wire.result_id = hashlib.blake2s(digests, digest_size=12).hexdigest()
        return wire

    def fixes(self, uri: str, span: Range) -> Iterator[tuple[str, Diagnostic, Range, Action, Snapshot]]:
        """(plugin, diagnostic, its span now, fix, the snapshot that the fix was made for) that touch `span`."""
        report = self._reports.get(uri)
        if report is None:
            return
        for plugin, diagnostic, now in self._moved(report):
            if now.start <= span.end and span.start <= now.end:
                for fix in diagnostic.fixes:
                    yield plugin, diagnostic, now, fix, report.snapshot

    def _moved(self, report: Report) -> Iterator[tuple[str, Diagnostic, Range]]:
        for plugin, diagnostic in report.found:
            span = self._session.documents.rebase(report.snapshot, diagnostic.range)
            if span is not None:
                yield plugin, self._with_moved_places(report.snapshot, diagnostic), span

    def _with_moved_places(self, snapshot: Snapshot, diagnostic: Diagnostic) -> Diagnostic:
        """The other places that it speaks of, where they lie in this document now."""
        if not diagnostic.related:
            return diagnostic
        related = []
        for place in diagnostic.related:
            here = place.uri in ("", snapshot.uri)
            span = self._session.documents.rebase(snapshot, place.range) if here else place.range
            if span is not None:
                related.append(replace(place, range=span))
        return replace(diagnostic, related=tuple(related))

    # -- push

    def changed(self, uri: str, after_s: float = PUSH_AFTER_S) -> None:
        """The text changed: publish anew once the user pauses, for a client that does not pull."""
        if self._session.client.pulls_diagnostics:
            return
        if (running := self._pushes.pop(uri, None)) is not None:
            running.cancel()
        self._pushes[uri] = asyncio.create_task(self._push(uri, after_s))

    def closed(self, uri: str) -> None:
        """Take the document's squiggles away."""
        for kept in (self._reports, self._accepted, self._sent):
            kept.pop(uri, None)
        if (running := self._pushes.pop(uri, None)) is not None:
            running.cancel()
        if not self._session.client.pulls_diagnostics:
            self._publish(uri, None, [])

    async def _push(self, uri: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        snapshot = self._session.snapshot(uri, KIND)
        if snapshot is None:
            if uri in self._session.documents:  # open, but too large now, say: what was said of it no longer holds
                self._publish(uri, None, [])
            return
        report = await self.compute(snapshot)
        wire = self.to_wire(report)
        now = self._session.documents.snapshot(uri)
        if wire is not None and now is not None:
            self._publish(uri, now.version, wire.items)

    def _publish(self, uri: str, version: int | None, items: list[types.Diagnostic]) -> None:
        params = types.PublishDiagnosticsParams(uri=uri, diagnostics=items, version=version)
        self._session.server.text_document_publish_diagnostics(params)

    # -- anew

    def outdate(self) -> None:
        """Something else than the text and the settings decides differently now: no report stands."""
        self._models += 1

    def outdate_if_short(self) -> bool:
        """A model became ready: whether somebody went without."""
        short = any(not report.complete for report in self._reports.values())
        if short:
            self.outdate()
        return short

    def publish_all(self) -> None:
        """Look at all open documents again, for a client that does not pull."""
        for snapshot in self._session.documents.recent():
            self.changed(snapshot.uri, after_s=0.0)

    def stop(self) -> None:
        """End all work."""
        for task in self._pushes.values():
            task.cancel()


def full(wire: Wire) -> Encoded:
    """The reply that holds everything."""
    items = ",".join([sent.json for sent in wire.sent])
    return Encoded(f'{{"kind":"full","items":[{items}],"resultId":{to_json(wire.result_id)}}}')


def empty() -> types.RelatedFullDocumentDiagnosticReport:
    """The reply for a document with nothing to say about."""
    return types.RelatedFullDocumentDiagnosticReport(items=[])
