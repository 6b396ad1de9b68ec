"""Spans of older snapshots, followed through edits, against a reference that carries a mark on every character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from inkling.lsp.documents import Documents
from inkling.text.encoding import Encoding

URI = "file:///a"
ALPHABET = st.text(st.sampled_from("ab\n😀é\r"), max_size=12)
EDIT = st.tuples(st.integers(0, 40), st.integers(0, 8), ALPHABET)


@given(ALPHABET, st.integers(0, 12), st.integers(0, 6), st.lists(EDIT, max_size=5))
def test_a_span_keeps_its_characters(text: str, start: int, size: int, edits: list[tuple[int, int, str]]) -> None:
    documents = Documents(Encoding.UTF32)
    snapshot = documents.open(types.TextDocumentItem(URI, "plaintext", 1, text))
    text = snapshot.text
    start, end = min(start, len(text)), min(start + size, len(text))
    marks = [(index, char) for index, char in enumerate(text)]
    touched = False
    for version, (where, removed, new) in enumerate(edits, 2):
        now = documents.snapshot(URI)
        assert now is not None
        first, last = now.position(min(where, len(marks))), now.position(min(where + removed, len(marks)))
        first_at, last_at = now.offset(first), now.offset(last)
        span = types.Range(types.Position(*first), types.Position(*last))
        documents.change(URI, version, [types.TextDocumentContentChangePartial(span, new)])
        ours = [index for index, mark in enumerate(marks) if mark[0] in range(start, end)]
        if ours and first_at <= ours[-1] and last_at > ours[0]:
            touched = True
        marks[first_at:last_at] = [(-1, char) for char in new]
    after = documents.snapshot(URI)
    assert after is not None and after.text == "".join(char for _, char in marks)
    moved = documents.rebase(snapshot, snapshot.range(start, end))
    whole = snapshot.position(start) != snapshot.position(end) and snapshot.offset(snapshot.position(end)) == end
    if not whole or snapshot.offset(snapshot.position(start)) != start:
        return  # a place between \r and \n is no place of its own
    ours = [index for index, mark in enumerate(marks) if mark[0] in range(start, end)]
    if not touched:
        assert moved == after.range(ours[0], ours[-1] + 1)
    elif moved is not None:
        assert after.text_in(moved) == text[start:end]


def test_only_recent_edits_are_remembered() -> None:
    documents = Documents(Encoding.UTF32)
    snapshot = documents.open(types.TextDocumentItem(URI, "plaintext", 1, "a b"))
    span = snapshot.range(2, 3)
    start = types.Position(0, 0)
    for version in range(2, 700):
        documents.change(URI, version, [types.TextDocumentContentChangePartial(types.Range(start, start), "x")])
        moved = documents.rebase(snapshot, span)
        assert moved is None or moved.start.character == version + 1
    assert documents.rebase(snapshot, span) is None


def test_a_closed_document_has_no_places() -> None:
    documents = Documents(Encoding.UTF16)
    snapshot = documents.open(types.TextDocumentItem(URI, "plaintext", 1, "a b"))
    documents.close(URI)
    assert documents.rebase(snapshot, snapshot.range(0, 1)) is None
    reopened = documents.open(types.TextDocumentItem(URI, "plaintext", 1, "a b"))
    assert documents.rebase(snapshot, snapshot.range(0, 1)) is None
    assert documents.is_current(reopened) and not documents.is_current(snapshot)
