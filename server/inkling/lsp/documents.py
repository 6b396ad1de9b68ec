"""The open documents: exact mirrors, in order of use, with the edits that lead from any recent snapshot to the present.

Everything that the protocol forbids a client to send is met with the nearest sensible reading, and logged once per
document and kind: the user must not be asked about their editor's mistakes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from lsprotocol import types

from inkling.api import Range, Snapshot
from inkling.lsp.log import log
from inkling.text.document import Change, Document, MirrorProblem
from inkling.text.encoding import Encoding, locate
from inkling.text.rope import Rope

REMEMBERED_EDITS = 512
"""Per document; a result older than that is dropped rather than moved."""

Splice = tuple[int, int, int, int]
"""(revision after it, start, end before it, end after it): offsets in code points."""


class Mirror:
    """One open document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.splices: deque[Splice] = deque(maxlen=REMEMBERED_EDITS)
        self.first_revision = self.saved_revision = document.snapshot.revision
        self.complaints: set[MirrorProblem] = set()
        self.notebook = ""
        self.lost = False
        """Whether an edit could not be read, so that the text is not what the client has."""
        self.watchers: set[Callable[[Splice | None], None]] = set()
        """Told of every edit, and of the end with None."""

    def end(self) -> None:
        """The document was closed, or opened anew."""
        watchers, self.watchers = self.watchers, set()
        for watcher in watchers:
            watcher(None)

    def rebase(self, snapshot: Snapshot, span: Range) -> Range | None:
        """Where a span of an older snapshot lies now; None when the text in it was edited."""
        now = self.document.snapshot
        if snapshot.revision == now.revision:
            return span
        moved = self.rebase_offsets(snapshot.revision, snapshot.offset(span.start), snapshot.offset(span.end))
        return None if moved is None else now.range(*moved)

    def rebase_offsets(self, revision: int, start: int, end: int) -> tuple[int, int] | None:
        """As `rebase`, with offsets into the text of `revision`."""
        if not self._reaches(revision):
            return None
        for _, first, last, end_after in self.since(revision):
            if last <= start:
                start, end = start + end_after - last, end + end_after - last
            elif first < end:
                return None
        return start, end

    def since(self, revision: int) -> list[Splice]:
        """The edits after a revision, oldest first."""
        return [splice for splice in self.splices if splice[0] > revision]

    def _reaches(self, revision: int) -> bool:
        oldest = self.splices[0][0] if len(self.splices) == REMEMBERED_EDITS else self.first_revision
        return revision >= oldest

    def apply(self, changes: Sequence[Change], version: int) -> None:
        """Apply one `didChange`."""
        self.lost = self.lost and not any(change.start is None for change in changes)
        document = self.document
        if version < document.snapshot.version:
            self._splice(changes, version)
            return
        for change in changes[:-1]:
            self._splice([change], None)
        self._splice(changes[-1:], version)

    def _splice(self, changes: Sequence[Change], version: int | None) -> None:
        before = self.document.snapshot
        span = _span(before.rope, changes, self.document.encoding)
        self.complain(self.document.apply(changes, version))
        after = self.document.snapshot
        if after.revision != before.revision:
            splice = (after.revision, span[0], span[1], span[1] + len(after) - len(before))
            self.splices.append(splice)
            for watcher in tuple(self.watchers):
                watcher(splice)

    def complain(self, problems: Iterable[MirrorProblem]) -> None:
        """Log each kind of problem once."""
        for problem in problems:
            if problem not in self.complaints:
                self.complaints.add(problem)
                snapshot = self.document.snapshot
                log.event("warning", "mirror", uri=snapshot.uri, version=snapshot.version, reason=problem.slug)


class Documents:
    """The open documents of one session."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._mirrors: dict[str, Mirror] = {}
        self._unopened: set[str] = set()

    def __len__(self) -> int:
        return len(self._mirrors)

    def __contains__(self, uri: str) -> bool:
        return uri in self._mirrors

    def open(self, item: types.TextDocumentItem, notebook: str = "") -> Snapshot:
        """Start a mirror; a second open of the same document counts, as its text is the newer."""
        document = Document(item.uri, item.language_id, item.version, item.text, self.encoding)
        mirror = Mirror(document)
        mirror.notebook = notebook
        if (old := self._mirrors.pop(item.uri, None)) is not None:
            old.end()
            mirror.complaints = old.complaints
            mirror.complain([MirrorProblem.ALREADY_OPEN])
        self._mirrors[item.uri] = mirror
        return document.snapshot

    def change(
        self, uri: str, version: int, changes: Sequence[types.TextDocumentContentChangeEvent]
    ) -> Snapshot | None:
        """Apply a client's edits; None when the document is not open."""
        mirror = self._mirrors.get(uri)
        if mirror is None:
            self._not_open(uri)
            return None
        mirror.apply([_change(change) for change in changes], version)
        self.touch(uri)
        return mirror.document.snapshot

    def close(self, uri: str) -> bool:
        """Forget a document; False when it was not open."""
        mirror = self._mirrors.pop(uri, None)
        if mirror is not None:
            mirror.end()
        return mirror is not None

    def snapshot(self, uri: str) -> Snapshot | None:
        """The present version; None when the document is not open."""
        mirror = self._mirrors.get(uri)
        return mirror.document.snapshot if mirror is not None else None

    def mirror(self, uri: str) -> Mirror | None:
        """The mirror itself."""
        return self._mirrors.get(uri)

    def lose(self, uri: object) -> list[str]:
        """An edit of this document, or of some cell of this notebook, could not be read; returns what was lost."""
        lost = [found for found, mirror in self._mirrors.items() if uri in (found, mirror.notebook or found)]
        for found in lost:
            self._mirrors[found].lost = True
        return lost

    def is_lost(self, uri: str) -> bool:
        """Whether the text is not what the client has, until it sends all of it."""
        mirror = self._mirrors.get(uri)
        return mirror is not None and mirror.lost

    def save(self, uri: str) -> None:
        """The client saved the document as it is now."""
        if (mirror := self._mirrors.get(uri)) is not None:
            mirror.saved_revision = mirror.document.snapshot.revision

    def is_saved(self, snapshot: Snapshot) -> bool:
        """Whether it is as the document was opened or last saved; what is no open file is never told to be saved."""
        mirror = self._mirrors.get(snapshot.uri)
        is_file = snapshot.uri.startswith("file:") and mirror is not None and not mirror.notebook
        return not is_file or (mirror is not None and mirror.saved_revision == snapshot.revision)

    def touch(self, uri: str) -> None:
        """Note that the user works in this document."""
        mirror = self._mirrors.pop(uri, None)
        if mirror is not None:
            self._mirrors[uri] = mirror

    def recent(self) -> list[Snapshot]:
        """All documents, the most recently used first."""
        return [mirror.document.snapshot for mirror in reversed(self._mirrors.values())]

    def is_current(self, snapshot: Snapshot) -> bool:
        """Whether the document is open and has not changed since."""
        now = self.snapshot(snapshot.uri)
        return now is not None and now.revision == snapshot.revision

    def rebase(self, snapshot: Snapshot, span: Range) -> Range | None:
        """Where a span lies now; None when it was edited or the document closed."""
        mirror = self._mirrors.get(snapshot.uri)
        return mirror.rebase(snapshot, span) if mirror is not None else None

    def _not_open(self, uri: str) -> None:
        if uri not in self._unopened and len(self._unopened) < 1000:
            self._unopened.add(uri)
            log.event("warning", "mirror", uri=uri, reason=MirrorProblem.NOT_OPEN.slug)


def _change(change: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(change, types.TextDocumentContentChangePartial):
        start, end = change.range.start, change.range.end
        return Change(change.text, (start.line, start.character), (end.line, end.character))
    return Change(change.text)


def _span(rope: Rope, changes: Sequence[Change], encoding: Encoding) -> tuple[int, int]:
    """What the changes replace, in offsets before them."""
    if not changes:
        return 0, 0
    if len(changes) == 1 and changes[0].start is not None and changes[0].end is not None:
        first, last = sorted((changes[0].start, changes[0].end))
        start, end = locate(rope, *first, encoding), locate(rope, *last, encoding)
        return start.offset, end.offset + (1 if end.inside else 0)
    return 0, len(rope)
