"""Images of a shard as JPEG bytes.

RGB frames are colour JPEGs (chroma at half resolution, as libjpeg does by default). Flow and differences are grey
JPEGs with their planes one below the other, so that no colour transform mixes them; every plane is padded to a
multiple of 8 rows by repeating its last row, so that no 8 x 8 block of the JPEG holds values of two planes.

Encoding is Pillow's, in half of torchvision's time and to the same bytes (both have libjpeg-turbo), so that jobs that
decode videos need no torch, whose import takes longer than a short shard.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BLOCK_PX = 8


def encode_rgb(frame: NDArray[np.uint8], quality: int) -> bytes:
    """Return the colour JPEG of `frame` (H, W, 3)."""
    return _jpeg(frame, quality)


def encode_planes(levels: NDArray[np.uint8], quality: int) -> bytes:
    """Return the grey JPEG of the planes `levels` (C, H, W)."""
    channels, height, width = levels.shape
    planes = np.pad(levels, ((0, 0), (0, padded(height) - height), (0, 0)), mode="edge")
    return _jpeg(planes.reshape(channels * padded(height), width), quality)


def padded(height: int) -> int:
    """Return the rows that a plane of `height` rows takes in the JPEG."""
    return -(-height // _BLOCK_PX) * _BLOCK_PX


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=quality)
    return content.getvalue()
