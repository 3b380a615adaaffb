"""Images of a shard as JPEG bytes.

RGB frames are colour JPEGs (chroma at half resolution, as libjpeg does by default). Flow and differences are grey
JPEGs with their planes one below the other, so that no colour transform mixes them; every plane is padded to a
multiple of 8 rows by repeating its last row, so that no 8 x 8 block of the JPEG holds values of two planes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from mml_core.kinds import kind_of

_BLOCK_PX = 8


def encode_rgb(frame: NDArray[np.uint8], quality: int) -> bytes:
    """Return the colour JPEG of `frame` (H, W, 3)."""
    return _jpeg(torch.from_numpy(frame).permute(2, 0, 1), quality)


def encode_planes(levels: NDArray[np.uint8], quality: int) -> bytes:
    """Return the grey JPEG of the planes `levels` (C, H, W)."""
    channels, height, width = levels.shape
    padded = np.pad(levels, ((0, 0), (0, _padded(height) - height), (0, 0)), mode="edge")
    return _jpeg(torch.from_numpy(padded).reshape(1, channels * _padded(height), width), quality)


def decode_image(data: torch.Tensor, kind: str, height: int, width: int) -> torch.Tensor:
    """Return the image (C, height, width), uint8, of the JPEG bytes `data` (1-D, uint8).

    Raises ValueError where the JPEG has another size.
    """
    row = kind_of(kind)
    channels = row.channels
    if row.codec == "colour":
        expected = (channels, height, width)
        image = decode_jpeg(data, mode=ImageReadMode.RGB)
    else:
        expected = (1, channels * _padded(height), width)
        image = decode_jpeg(data, mode=ImageReadMode.GRAY)
    if tuple(image.shape) != expected:
        raise ValueError(f"expected an image of shape {expected}, got {tuple(image.shape)}")
    return image.view(channels, -1, width)[:, :height]


def _jpeg(image: torch.Tensor, quality: int) -> bytes:
    return encode_jpeg(image.contiguous(), quality).numpy().tobytes()


def _padded(height: int) -> int:
    return -(-height // _BLOCK_PX) * _BLOCK_PX
