"""Cut a stream of bytes into messages, and find the way back after junk.

A message is a block of headers, an empty line, and as many bytes of JSON as `Content-Length` says. Header names may
come in any case and order. What makes recovery exact is that JSON never contains a raw line end inside a string: the
bytes `Content-Length: 5\\r\\n` within a body prove that the body was cut short and the next message has begun.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BODY = 256 * 1024 * 1024
"""Bytes. A larger message is dropped, not read: a document of this size would be beyond use anyway."""

MAX_HEADER = 8 * 1024
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*(?=\r?\n|\Z)", re.IGNORECASE)
_HEADER_INSIDE = re.compile(rb"content-length[ \t]*:[ \t]*\d{1,18}[ \t]*\r?\n", re.IGNORECASE)
_HEADER_LINE = re.compile(rb"[!-9;-~]+:[^\r\n]*")
_LONGEST_HEADER = 64
"""Bytes: `Content-Length`, colon, blanks and digits, split anywhere between two reads."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message's body."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Junk:
    """Bytes that are no message; `reason` is a slug: `bad-header`, `cut-short`, `too-large`."""

    reason: str


class Deframer:
    """Feed it bytes, take messages out one at a time.

    One run of junk gives one `Junk`. A body that turns out not to be JSON is handed back with `reject`, since the
    beginning of the next message may be in it.
    """

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self._max_body = max_body
        self._buffer = bytearray()
        self._need: int | None = None
        self._skip = 0
        self._scanned = 0
        self._in_junk = False

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self._buffer += data

    @property
    def is_empty(self) -> bool:
        """Whether all that was fed has been taken."""
        return not self._buffer

    def reject(self, body: bytes) -> None:
        """Say that the last frame's body is not JSON."""
        self._in_junk = True  # the caller has already answered it
        inside = _HEADER_INSIDE.search(body)
        tail = body[inside.start() :] if inside else body[-_LONGEST_HEADER:]
        if inside or b"c" in tail.lower():
            self._buffer[:0] = tail

    def take(self) -> Frame | Junk | None:
        """The next message or report of junk; None when more bytes are needed."""
        while True:
            if self._skip:
                step: Frame | str | bool = self._skip_body()
            elif self._need is None:
                step = self._read_header()
            else:
                step = self._read_body()
            if isinstance(step, Frame):
                self._in_junk = False
                return step
            if step is False:
                return None
            if isinstance(step, str) and not self._in_junk:
                self._in_junk = True
                return Junk(step)

    def _read_header(self) -> str | bool:
        """False when more bytes are needed, a reason when there is junk before the next body, else True."""
        end, after = _blank_line(self._buffer)
        if end < 0:
            if len(self._buffer) <= MAX_HEADER:
                return False
            del self._buffer[:-_LONGEST_HEADER]
            return "bad-header"
        block = bytes(self._buffer[:end])
        del self._buffer[:after]
        self._scanned = 0
        lengths = list(_LENGTH.finditer(block))
        if not lengths:
            return "bad-header" if block.strip() else True
        length = int(lengths[-1].group(1))
        if length > self._max_body:
            self._skip = length
            return "too-large"
        self._need = length
        clean = all(_HEADER_LINE.fullmatch(line.rstrip(b"\r")) for line in block.split(b"\n") if line.strip())
        return True if clean else "bad-header"

    def _read_body(self) -> Frame | str | bool:
        assert self._need is not None
        start = self._header_within(min(len(self._buffer), self._need))
        if start >= 0:
            del self._buffer[:start]
            self._need = None
            return "cut-short"
        if len(self._buffer) < self._need:
            return False
        body = bytes(self._buffer[: self._need])
        del self._buffer[: self._need]
        self._need = None
        return Frame(body)

    def _skip_body(self) -> bool:
        """Drop an oversized body as it comes, holding on to nothing; True when the next header can be read."""
        available = min(len(self._buffer), self._skip)
        start = self._header_within(available)
        if start >= 0:
            del self._buffer[:start]
            self._skip = 0
            return True
        gone = available if available == self._skip else max(0, available - _LONGEST_HEADER)
        del self._buffer[:gone]
        self._skip -= gone
        self._scanned = 0
        return not self._skip

    def _header_within(self, stop: int) -> int:
        """Where a header begins in the first `stop` bytes of the buffer, or −1; looks at each byte about once."""
        begin = max(0, self._scanned - _LONGEST_HEADER)
        self._scanned = stop
        if self._buffer.find(b"\n", begin, stop) < 0:
            return -1
        found = _HEADER_INSIDE.search(self._buffer, begin, stop)
        return found.start() if found else -1


def _blank_line(buffer: bytearray) -> tuple[int, int]:
    """(end of the header block, start of the body), or (−1, −1)."""
    windows = buffer.find(b"\r\n\r\n")
    unix = buffer.find(b"\n\n", 0, windows if windows >= 0 else len(buffer))
    if unix >= 0:
        return unix, unix + 2
    return (windows, windows + 4) if windows >= 0 else (-1, -1)


def frame(body: bytes) -> bytes:
    """A message ready to be written."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
