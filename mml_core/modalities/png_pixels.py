"""Whether a PNG holds the pixels that it states, which decoders do not tell: what is missing is black to them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

#: Length of the signature, and of what is around the data of a chunk: length and name before, checksum behind.
_SIGNATURE_BYTES, _BEFORE, _BEHIND = 8, struct.Struct(">I4s"), 4
_HEADER = struct.Struct(">IIBBBBB")
#: First column and row, and distances of columns and rows, of each pass of an interlaced picture (PNG, section 8).
_INTERLACED = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_WHOLE = ((0, 0, 1, 1),)


def fault_of_pixels(data: bytes) -> str | None:
    """Return why the PNG `data`, of one channel of 8 or 16 bits, does not hold all pixels that it states, or None.

    Memory is taken for these alone, whatever else is in it. Raises zlib.error where they cannot be unpacked.
    """
    headers, packed = [], []
    for name, content in _chunks(data):
        if name == b"IHDR":
            headers.append(bytes(content))
        elif name == b"IDAT":
            packed.append(content)
    if len(headers) != 1 or len(headers[0]) != _HEADER.size:
        return "it does not state its size once"
    expected = _unpacked_bytes(*_HEADER.unpack(headers[0]))
    found = len(zlib.decompressobj().decompress(b"".join(packed), expected))
    return f"it holds {found} of {expected} bytes of pixels" if found < expected else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield name and data of each chunk, as far as there are any."""
    at = _SIGNATURE_BYTES
    while at + _BEFORE.size <= len(data):
        length, name = _BEFORE.unpack_from(data, at)
        at += _BEFORE.size
        yield name, memoryview(data)[at : at + length]
        at += length + _BEHIND


def _unpacked_bytes(width: int, height: int, bits: int, *coding: int) -> int:
    """Return the bytes of all rows, each with the number of its filter before it."""
    *_, interlaced = coding
    sizes = [
        (len(range(left, width, right)), len(range(top, height, down)))
        for left, top, right, down in (_INTERLACED if interlaced else _WHOLE)
    ]
    return sum(rows * (1 + columns * bits // 8) for columns, rows in sizes if columns)
