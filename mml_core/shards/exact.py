"""Levels as LZ4 bytes: what is read is what was written, and reading costs a third of decoding a JPEG.

A block of LZ4 without a frame, of all planes one behind the other: its checksum and the planes' size are the shard's.
"""

from __future__ import annotations

import math

import lz4.block
import numpy as np
from numpy.typing import NDArray

#: Of LZ4's thorough levels, 3 to 12, one that takes 1.5 ms for a field of 340 x 256 pixels: level 9 takes 14 and saves
#: 9 % of the bytes. docs/shards.md has the measurements.
_LEVEL = 4
#: No byte of a block stands for more bytes of its content.
_MOST_RATIO = 255


def encode_exact(levels: NDArray[np.uint8]) -> bytes:
    """Return the LZ4 block of `levels`, of any shape."""
    content = np.ascontiguousarray(levels)
    return lz4.block.compress(content, mode="high_compression", compression=_LEVEL, store_size=False)


def decode_exact(data: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the levels of `shape`, read-only, of the LZ4 block `data` (n,).

    Raises ValueError for other bytes, and for levels of another size; no memory is taken for a size that so few bytes
    cannot have.
    """
    size = math.prod(shape)
    if size > _MOST_RATIO * len(data):
        raise ValueError(f"expected the LZ4 bytes of {size} levels, got {len(data)} bytes, which are too few")
    try:
        content = lz4.block.decompress(data, uncompressed_size=size)
    except (lz4.block.LZ4BlockError, OverflowError) as error:
        raise ValueError(f"no LZ4 bytes of {size} levels: {error}") from error
    if len(content) != size:
        raise ValueError(f"expected the LZ4 bytes of {size} levels, got those of {len(content)}")
    return np.frombuffer(content, np.uint8).reshape(shape)
