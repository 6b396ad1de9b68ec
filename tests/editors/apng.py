"""An animated PNG of the frames that a run took: the same pixels in a new container, so nothing need be installed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LAST_MS = 2500
"""How long the last frame stands before it begins anew."""


def animate(frames: Sequence[Path], target: Path) -> None:
    """Write `target`; each frame's name is the time at which it was taken, in ms. A frame like the last is not kept."""
    assert frames, "no frame was taken"
    kept: list[tuple[int, bytes]] = []
    for path in frames:
        picture = path.read_bytes()
        if not kept or kept[-1][1] != picture:
            kept.append((int(path.stem), picture))
    times = [time for time, _ in kept]
    delays = [later - earlier for earlier, later in pairwise(times)] + [LAST_MS]
    header = next(data for kind, data in chunks(kept[0][1]) if kind == b"IHDR")
    width, height = struct.unpack(">II", header[:8])
    out = [SIGNATURE, chunk(b"IHDR", header), chunk(b"acTL", struct.pack(">II", len(kept), 0))]
    number = 0
    for index, ((_, picture), delay) in enumerate(zip(kept, delays, strict=True)):
        control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, min(delay, 65_535), 1000, 0, 0)
        out.append(chunk(b"fcTL", control))
        number += 1
        data = zlib.compress(zlib.decompress(b"".join(data for kind, data in chunks(picture) if kind == b"IDAT")), 9)
        if index == 0:
            out.append(chunk(b"IDAT", data))
        else:
            out.append(chunk(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    target.write_bytes(b"".join([*out, chunk(b"IEND", b"")]))


def chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kinds and contents of a PNG's chunks."""
    place = len(SIGNATURE)
    while place < len(picture):
        (length,) = struct.unpack_from(">I", picture, place)
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        place += length + 12


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
