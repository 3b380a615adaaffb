"""Images of a shard from their JPEG, PNG or LZ4 bytes.

Imports no torch: jobs that compute from frames may need none.
"""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from mml_core.kinds import kind_of
from mml_core.shards.exact import decode_exact
from mml_core.shards.images import padded


def decode_image(
    data: NDArray[np.uint8], kind: str, height: int, width: int, *, exact: bool = False
) -> NDArray[np.uint8]:
    """Return the image (C, height, width) of the bytes `data` (n,) of a stored image; of colours a view of (H, W, C).

    exact: whether it is LZ4 of its levels (`ShardInfo.exact`), and not what its kind says.

    JPEGs are decoded by libjpeg-turbo, to the pixels that torchvision, OpenCV and Pillow make of them. Raises
    ValueError for other bytes, and where the image has another size, before it is decoded.
    """
    row = kind_of(kind)
    if exact:
        return decode_exact(data, (row.channels, height, width))
    match row.codec:
        case "colour":
            return _jpeg(data, height, width, "RGB").transpose(2, 0, 1)
        case "planes":
            planes = _jpeg(data, row.channels * padded(height), width, "GRAY")
            return planes.reshape(row.channels, -1, width)[:, :height]
        case "lossless":
            return _png(data, height, width)[None]
        case "samples":
            raise ValueError("sound is no image")


def _jpeg(data: NDArray[np.uint8], height: int, width: int, colours: str) -> NDArray[np.uint8]:
    _require((height, width), simplejpeg.decode_jpeg_header(data)[:2])
    return simplejpeg.decode_jpeg(data, colours)


def _png(data: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.mode != "L":
            raise ValueError(f"expected a grey image of 8 bits, got mode {image.mode}")
        _require((height, width), (image.height, image.width))
        return np.asarray(image)


def _require(expected: tuple[int, int], found: tuple[int, int]) -> None:
    if tuple(found) != expected:
        raise ValueError(f"expected an image of {expected[0]} x {expected[1]} pixels, got {found[0]} x {found[1]}")
