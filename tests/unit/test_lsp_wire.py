"""Cutting a byte stream into messages, and finding the way back after junk."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.lsp.wire import Deframer, Frame, Junk, frame

A, B = b'{"a":1}', b'{"b":2}'
TEXT = b'"Content-Length: 3\\r\\n\\r\\n{}"'
FA, FB = frame(A), frame(B)
JUNK = st.binary(max_size=40).filter(lambda junk: b"ont" not in junk.lower())


def read(data: bytes, size: int | None = None, max_body: int = 1000) -> list[bytes | str]:
    """Bodies and reasons of junk, with bodies that are no JSON given back, as the session does."""
    deframer = Deframer(max_body)
    found: list[bytes | str] = []
    for start in range(0, len(data), size or max(1, len(data))):
        deframer.feed(data[start : start + (size or len(data))])
        while (item := deframer.take()) is not None:
            if isinstance(item, Junk):
                found.append(item.reason)
                continue
            try:
                json.loads(item.body)
                found.append(item.body)
            except ValueError:
                found.append("bad-json")
                deframer.reject(item.body)
    return found


CASES = {
    "two messages": (FA + FB, [A, B]),
    "lower case": (b"content-length: 7\r\n\r\n" + A + FB, [A, B]),
    "odd case, no blank, blanks behind": (b"CONTENT-length:7  \r\n\r\n" + A, [A]),
    "other headers first": (b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n" + FA + FB, [A, B]),
    "other headers last": (b"Content-Length: 7\r\nContent-Type: x\r\n\r\n" + A + FB, [A, B]),
    "bare line feeds": (b"Content-Length: 7\n\n" + A + FB, [A, B]),
    "blank lines between": (FA + b"\r\n\r\n" + FB, [A, B]),
    "many blank lines": (b"\r\n\r\n" * 5000 + FB, [B]),
    "empty body": (b"Content-Length: 0\r\n\r\n" + FB, ["bad-json", B]),
    "no length": (b"Content-Type: x\r\n\r\n" + A + FB, ["bad-header", B]),
    "no number": (b"Content-Length: seven\r\n\r\n" + A + FB, ["bad-header", B]),
    "negative": (b"Content-Length: -7\r\n\r\n" + A + FB, ["bad-header", B]),
    "junk before": (b"hello world\r\n" + FA + FB, ["bad-header", A, B]),
    "junk glued on": (b"some junk" + FA + FB, ["bad-header", A, B]),
    "junk between": (FA + b"\x00\xff junk \r\n\r\n more" + FB, [A, "bad-header", B]),
    "too large, then good": (b"Content-Length: 5000\r\n\r\n" + b"x" * 5000 + FB, ["too-large", B]),
    "a lie too large": (b"Content-Length: 99999999999999\r\n\r\n" + FA + FB, ["too-large", A, B]),
    "length of forty digits": (b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + FB, ["bad-header", B]),
    "cut short": (b"Content-Length: 900\r\n\r\n" + A[:3] + FA + FB, ["cut-short", A, B]),
    "cut short twice": (b"Content-Length: 90\r\n\r\n{" + b"Content-Length: 90\r\n\r\n{" + FB, ["cut-short", B]),
    "length too long by a little": (b"Content-Length: 17\r\n\r\n" + A + FB, ["bad-json", B]),
    "length too short": (b"Content-Length: 5\r\n\r\n" + A + FB, ["bad-json", B]),
    "a header in a string is text": (
        frame(b'"Content-Length: 3\\r\\n\\r\\n{}"') + FB,
        [b'"Content-Length: 3\\r\\n\\r\\n{}"', B],
    ),
}


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("name", CASES)
def test_messages(name: str, size: int | None) -> None:
    data, expected = CASES[name]
    assert read(data, size) == expected


def test_endless_header_keeps_memory_flat() -> None:
    deframer = Deframer()
    for _ in range(1000):
        deframer.feed(b"x" * 1000)
        deframer.take()
    assert len(deframer._buffer) < 10_000
    deframer.feed(FB)
    assert deframer.take() == Frame(B)


def test_skipped_body_keeps_memory_flat() -> None:
    deframer = Deframer(max_body=10)
    deframer.feed(b"Content-Length: 1000000\r\n\r\n")
    for _ in range(1000):
        deframer.feed(b"x" * 1000)
        deframer.take()
        assert len(deframer._buffer) < 10_000
    deframer.feed(FB)
    assert deframer.take() == Frame(B)


@given(
    st.lists(
        st.one_of(st.just(FA), st.just(FB), st.binary(max_size=40).filter(lambda junk: b"ont" not in junk.lower()))
    ),
    st.integers(1, 50),
)
def test_what_follows_any_junk_is_read(pieces: list[bytes], size: int) -> None:
    # Two good messages at the end: the first may be taken for the rest of what was cut short before it.
    found = read(b"".join(pieces) + FA + FB, size)
    assert found[-1] == B
    good = sum(piece in (FA, FB) for piece in pieces)
    assert sum(isinstance(item, bytes) for item in found) >= good
